import { condorText } from "../condor-text.ts";
import { environmentLines, given, mebibytes, quoted, type Rendered, type JobSpec } from "./job-spec.ts";

/**
 * A submit description for `condor_submit`: "Submitting a Job" of the HTCondor manual. HTCondor starts no ranks over
 * several machines without a dedicated scheduler, so that each machine is a job of its own, with its ranks started by
 * tsdask-mpi: the first has the scheduler, the others join it.
 */
export function htcondorScript(spec: JobSpec): Rendered {
  const { nodes, ranksPerNode, threads } = spec;
  const file = spec.join === undefined ? "scheduler-$(ClusterId).json" : condorText(spec.join.schedulerFile);
  // The first machine has scheduler and script on its own few ranks; with fewer than three, a worker shares one with
  // them.
  const few = ranksPerNode < 3 ? ["--inclusive-workers"] : [];
  const lead = [quoted(spec.command), "--np", String(ranksPerNode), ...few, ...spec.words.map(quoted)].join(" ");
  const joining = `${quoted(spec.command)} --np ${ranksPerNode} --no-scheduler`;
  const variables = "TSDASK_CONDOR_ID=$(ClusterId).$(ProcId) TSDASK_SCHEDULER_FILE='$(TSDASK_SCHEDULER_FILE)'";
  const lines = [
    "# A Dask cluster; written by `tsdask-mpi script`. Change what you like. All machines must share this folder.",
    "if ! defined TSDASK_SCHEDULER_FILE",
    `  TSDASK_SCHEDULER_FILE = ${file}`,
    "endif",
    `batch_name = ${spec.name}`,
    "universe = vanilla",
    `request_cpus = ${ranksPerNode * threads}`,
    `request_memory = ${mebibytes(spec.memory ?? ranksPerNode * gibi)}MB`,
    given(spec.gpus, (n) => `request_gpus = ${n}`),
    given(spec.time, (seconds) => `allowed_execute_duration = ${Math.ceil(seconds)}`),
    given(spec.account, (name) => `accounting_group = ${name}`),
    given(spec.queue, (expression) => `requirements = ${expression}`),
    "should_transfer_files = NO",
    "getenv = HOME, USER, PATH, LANG",
    `environment = "${variables}"`,
    `output = ${spec.output ?? `${spec.name}-$(ClusterId).$(ProcId).out`}`,
    `error = ${spec.output ?? `${spec.name}-$(ClusterId).$(ProcId).out`}`,
    `log = ${spec.name}-$(ClusterId).log`,
    ...spec.directives,
    "executable = /bin/bash",
    "transfer_executable = false",
    ...(spec.join === undefined
      ? [
          `arguments = ${bashArguments(spec, lead)}`,
          "queue 1",
          ...(nodes === 1 ? [] : [`arguments = ${bashArguments(spec, joining)}`, `queue ${nodes - 1}`]),
        ]
      : [
          `arguments = ${bashArguments(spec, [joining, ...spec.words.map(quoted)].join(" "))}`,
          `queue ${nodes * (spec.array ?? 1)}`,
        ]),
    "",
  ].filter((line) => line !== undefined);
  return {
    text: lines.join("\n"),
    notes: [
      ...(spec.launcher === undefined
        ? []
        : ["HTCondor: the ranks of a machine are started by tsdask-mpi itself; --launcher is not used."]),
      ...(spec.array !== undefined && spec.join === undefined
        ? ["HTCondor: an array of whole clusters is not written; submit the description as often as you want one."]
        : []),
      ...(spec.memory === undefined
        ? [
            "HTCondor: 1 GiB is asked for each rank; HTCondor itself grants a job that asks for none 128 MiB. --memory says how much.",
          ]
        : []),
      ...(spec.queue === undefined ? [] : ["HTCondor has no queues: --queue is written as the job's requirements."]),
    ],
  };
}

/** Bytes. */
const gibi = 1024 ** 3;

/**
 * `-lc '…'` in the new syntax of `arguments`: double quotes around all, single quotes around a word, each doubled where
 * it is meant. A line of the user's own may end in a comment, a `;` or a `&`, or go on in the next one, so that only a
 * newline can follow it; `arguments` is one line, and bash makes the newlines.
 */
function bashArguments(spec: JobSpec, launch: string): string {
  const all = [...environmentLines(spec), `exec ${launch}`];
  const script = spec.setup.length === 0 ? all.join("; ") : `eval $'${all.map(inDollarQuotes).join("\\n")}'`;
  return `"-lc '${condorText(script)}'"`;
}

/** Text inside bash's `$'…'`, with nothing in it special. */
function inDollarQuotes(text: string): string {
  return text.replace(/[\\']/g, "\\$&");
}
