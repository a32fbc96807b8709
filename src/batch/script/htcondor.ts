import { environmentLines, given, mebibytes, quoted, type Rendered, type ScriptWish } from "./wish.ts";

/**
 * A submit description for `condor_submit`: "Submitting a Job" of the HTCondor manual. HTCondor starts no ranks over several machines without a
 * dedicated scheduler, so that each machine is a job of its own, with its ranks started by tsdask-mpi: the first has the scheduler, the others join it.
 */
export function htcondorScript(wish: ScriptWish): Rendered {
  const { nodes, ranksPerNode, threads } = wish;
  const file = wish.join === undefined ? "scheduler-$(ClusterId).json" : condorText(wish.join.schedulerFile);
  const lead = [quoted(wish.command), "--np", String(ranksPerNode), ...wish.words.map(quoted)].join(" ");
  const joining = `${quoted(wish.command)} --np ${ranksPerNode} --no-scheduler`;
  const variables = "TSDASK_CONDOR_ID=$(ClusterId).$(ProcId) TSDASK_SCHEDULER_FILE='$(TSDASK_SCHEDULER_FILE)'";
  const lines = [
    "# A Dask cluster; written by `tsdask-mpi script`. Change what you like. All machines must share this folder.",
    "if ! defined TSDASK_SCHEDULER_FILE",
    `  TSDASK_SCHEDULER_FILE = ${file}`,
    "endif",
    `batch_name = ${wish.name}`,
    "universe = vanilla",
    `request_cpus = ${ranksPerNode * threads}`,
    given(wish.memory, (bytes) => `request_memory = ${mebibytes(bytes)}MB`),
    given(wish.gpus, (n) => `request_gpus = ${n}`),
    given(wish.time, (seconds) => `allowed_execute_duration = ${Math.ceil(seconds)}`),
    given(wish.account, (name) => `accounting_group = ${name}`),
    given(wish.queue, (expression) => `requirements = ${expression}`),
    "should_transfer_files = NO",
    "getenv = HOME, USER, PATH, LANG",
    `environment = "${variables}"`,
    `output = ${wish.output ?? `${wish.name}-$(ClusterId).$(ProcId).out`}`,
    `error = ${wish.output ?? `${wish.name}-$(ClusterId).$(ProcId).out`}`,
    `log = ${wish.name}-$(ClusterId).log`,
    ...wish.directives,
    "executable = /bin/bash",
    "transfer_executable = false",
    ...(wish.join === undefined
      ? [
          `arguments = ${bashArguments(wish, lead)}`,
          "queue 1",
          ...(nodes === 1 ? [] : [`arguments = ${bashArguments(wish, joining)}`, `queue ${nodes - 1}`]),
        ]
      : [
          `arguments = ${bashArguments(wish, [joining, ...wish.words.map(quoted)].join(" "))}`,
          `queue ${nodes * (wish.array ?? 1)}`,
        ]),
    "",
  ].filter((line) => line !== undefined);
  return {
    text: lines.join("\n"),
    notes: [
      ...(wish.launcher === undefined
        ? []
        : ["HTCondor: the ranks of a machine are started by tsdask-mpi itself; --launcher is not used."]),
      ...(wish.array !== undefined && wish.join === undefined
        ? ["HTCondor: an array of whole clusters is not written; submit the description as often as you want one."]
        : []),
      ...(wish.queue === undefined ? [] : ["HTCondor has no queues: --queue is written as the job's requirements."]),
    ],
  };
}

/** `-lc '…'` in the new syntax of `arguments`: double quotes around all, single quotes around a word, each doubled where it is meant. */
function bashArguments(wish: ScriptWish, launch: string): string {
  const script = [...environmentLines(wish), `exec ${launch}`].join("; ");
  return `"-lc '${condorText(script)}'"`;
}

/**
 * Text inside both quotes of the new syntax, each doubled. A `$` could start a macro or a function of the submit file, and `$$(` one that is
 * filled in when a machine is matched: both have a macro of their own that stands for the plain characters (condor_submit(1), "Macros").
 */
function condorText(text: string): string {
  const quotes = text.replaceAll("'", "''").replaceAll('"', '""');
  return quotes.replace(/\$\$(?=\()|\$/g, (dollars) => (dollars === "$" ? "$(DOLLAR)" : "$$(DOLLARDOLLAR)"));
}
