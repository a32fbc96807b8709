import { readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { covers } from "../batch/covers.ts";
import type { SystemName } from "../batch/features.ts";
import { jobEnvironment, mpiruns, ours, until } from "./batch-jobs.ts";
import { command, type Command } from "./bed/command.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { run, start, tell } from "./bed/run.ts";

// These batch systems do not run here. Their commands answer as their manuals show it; the jobs that are submitted are
// started by the test, in the environment that the manuals give them, and really join.

interface Recorded {
  readonly system: SystemName;
  readonly id: string;
  /** What the job's worker is called; after the job's id by default. */
  readonly worker?: string;
  /**
   * What its commands do, by the words they are asked with: shell, with `$mark` and `$state` set. The submitted script
   * is kept as `submitted`.
   */
  readonly commands: Readonly<Record<string, readonly (readonly [asked: string, does: string])[]>>;
  /** Its words for a job that waits, runs and has ended. */
  readonly states: readonly [string, string, string];
  /** The submitted job's command and environment; absent where it only waits. */
  readonly job?: (script: string, clean: Clean) => Command;
  readonly words?: readonly string[];
}

const mpirun = (options = ""): readonly string[] => ["--launcher", `${mpiruns.at(-1) ?? "mpirun"}${options}`];
const keep = (script: string): string => `cat ${script} > submitted`;

const recorded: readonly Recorded[] = [
  {
    system: "pbs",
    // Its script is an array.
    id: "1235[].pbs01",
    worker: "tsdask-1235.2.pbs01-0",
    commands: {
      qsub: [["*", `${keep('"$3"')}; echo "$TSDASK_WORKER_JOB" > mark; echo "1235[].pbs01"`]],
      qstat: [
        [
          "-f*",
          'printf "Job Id: 1235[].pbs01\\n    job_state = $state\\n    Variable_List = TSDASK_WORKER_JOB=$mark\\n\\n"',
        ],
      ],
      qdel: [["*", 'echo "$*" > cancelled']],
    },
    states: ["Q", "B", "F"],
    job: (script, clean) => {
      const nodes = clean.write("nodefile", "localhost\n");
      const variables = ["PBS_JOBID=1235[2].pbs01", `PBS_NODEFILE=${nodes}`, `PBS_O_WORKDIR=${clean.folder}`];
      return command("env", ...variables, "bash", clean.write("pbs.sh", script));
    },
    words: [...mpirun(), "--directive=-J 1-2"],
  },
  {
    system: "lsf",
    id: "542935",
    commands: {
      bsub: [["-Jd*", `${keep("")}; echo "$2" > mark; echo "Job <542935> is submitted to queue <normal>."`]],
      bjobs: [
        ["*time_left*", "echo 0:10 L"],
        ["*description*", 'echo "542935|0|$mark"'],
        ["*stat*", 'echo "542935|0|$state"'],
      ],
      bkill: [["*", 'echo "$*" > cancelled; echo "Job <542935> is being terminated"']],
    },
    states: ["PEND", "RUN", "DONE"],
    job: (script, clean) =>
      command(
        "env",
        "LSB_JOBID=542935",
        "LSB_JOBINDEX=0",
        "LSB_MCPU_HOSTS=h1 1",
        "bash",
        clean.write("lsf.sh", script),
      ),
    words: mpirun(" -np 1"),
  },
  {
    system: "flux",
    id: "f2kAbcXyz",
    commands: {
      flux: [
        ["batch*", `for file; do :; done; ${keep('"$file"')}; echo "\${2#*=*=}" > mark; echo ƒ2kAbcXyz`],
        ["jobs*", 'echo "ƒ2kAbcXyz $state"'],
        ["*jobspec", 'echo "{\\"attributes\\": {\\"user\\": {\\"tsdask\\": \\"$mark\\"}}}"'],
        ["*timeleft", "echo 600"],
        ["cancel*", 'echo "$2" > cancelled'],
      ],
    },
    states: ["SCHED", "RUN", "INACTIVE"],
    job: (script, clean) => command("env", "FLUX_JOB_ID=ƒ2kAbcXyz", "bash", clean.write("flux.sh", script)),
    words: mpirun(),
  },
  {
    system: "htcondor",
    id: "12.0",
    commands: {
      condor_submit: [
        ["*", `for file; do :; done; ${keep('"$file"')}; echo "$3" | cut -d '"' -f 2 > mark; echo "12.0 - 12.0"`],
      ],
      condor_q: [
        ["*TsdaskWorkerJob", 'echo "12 0 $mark"'],
        ["*JobCurrentStartExecutingDate", 'echo "12 0 $state 1733140800 1733140801"'],
        ["-better-analyze*", "echo"],
      ],
      condor_rm: [["*", 'echo "$*" > cancelled; echo "Job 12.0 marked for removal"']],
    },
    states: ["1", "2", "4"],
    job: (script, clean) => {
      const words = /^arguments = "-lc '(.*)'"$/m.exec(script)?.[1] ?? "";
      const condor = ["_CONDOR_SCRATCH_DIR=/tmp", "TSDASK_CONDOR_ID=12.0"];
      const file = `TSDASK_SCHEDULER_FILE=${join(clean.folder, "scheduler.json")}`;
      return command("env", ...condor, file, "bash", "-lc", words.replaceAll("''", "'"));
    },
  },
  {
    system: "kubernetes",
    id: "lab.dask-x7f2q",
    commands: {
      kubectl: [
        ["create*", `${keep('"$3"')}; echo "MPIJob|lab|dask-x7f2q"`],
        ['label*"-n lab "*', 'echo "${6#*=}" > mark'],
        ['*"-n lab "*labels*', 'echo "dask-x7f2q|$mark"'],
        ['get*"-n lab "*', 'echo "dask-x7f2q|$state"'],
        ['delete*"-n lab "*dask-x7f2q', "echo lab.dask-x7f2q > cancelled"],
      ],
    },
    states: ["Created,", "Created,Running,", "Created,Running,Succeeded,"],
    words: ["--image", "registry.example.org/dask:1", "--volume", "data:/tmp"],
  },
];

/** The system's commands in a folder of the test, for the PATH. */
function commandsOf({ commands }: Recorded, clean: Clean): string {
  for (const [name, answers] of Object.entries(commands)) {
    const cases = answers.map(([asked, does]) => `${asked}) ${does} ;;`);
    const known = "mark=$(cat mark 2>/dev/null); state=$(cat state)";
    clean.write(
      `bin/${name}`,
      `#!/bin/bash\ncd ${clean.folder}/said; ${known}\ncase "$*" in ${cases.join("\n")} esac\n`,
    );
  }
  return join(clean.folder, "bin");
}

test.runIf(mpiruns.length > 0)(
  "adapt submits, counts and cancels jobs by the commands of each batch system that does not run here, and they join in its environment",
  { timeout: 600_000 },
  async () => {
    await using clean = nothingLeft({ within: 15 });
    const plain = jobEnvironment(clean);
    await using cluster = start(ours("--np", "2", "--dashboard-address", ":0"), {
      folder: clean.folder,
      env: plain,
      deadline: 580,
    });
    await cluster.says(/the worker is in/);
    clean.allow(/^said\//);
    const said = (name: string): string => readFileSync(join(clean.folder, "said", name), "utf8");
    for (const one of recorded) {
      const { system, id, states, job, words = [] } = one;
      const [waits, runs, ended] = states;
      // The commands read it at any moment.
      const state = (word: string): void => {
        renameSync(clean.write("said/next-state", word), join(clean.folder, "said", "state"));
      };
      state(waits);
      clean.write("said/cancelled", "");
      const env = { ...plain, PATH: `${commandsOf(one, clean)}:${plain["PATH"]}` };
      const options = { folder: clean.folder, env, deadline: 280 };
      const range = ["--min", "2", "--max", "2", "--interval", "300ms", "--batch", system];
      await using adapting = start(
        ours("adapt", ...range, "--ranks-per-node", "1", "--time", "10m", ...words),
        options,
      );
      await adapting.says(/1 job \(.*\) submitted/);
      expect(adapting.stderr()).toContain(`1 job (${id}) submitted`);
      if (job !== undefined) {
        state(runs);
        await using joining = start(job(said("submitted"), clean), options);
        const { worker: name = `tsdask-${id}-0` } = one;
        await until(
          () => `${name}\n${joining.stderr()}`,
          150,
          async () => (await run(ours("connect", "--json"), options)).stdout.includes(name),
        );
        adapting.signal("SIGINT");
        const joined = await joining.finished;
        expect(joined, `${system}: ${tell(joined)}\n--- adapt\n${adapting.stderr()}`).toMatchObject({ code: 0 });
        state(ended);
        covers(system, system === "pbs" ? ["array", "join", "adapt"] : ["join", "adapt"]);
      } else {
        adapting.signal("SIGINT");
        await until("the job is cancelled", 150, () => said("cancelled").includes(id));
        covers(system, ["adapt"]);
      }
      const finished = await adapting.finished;
      expect(finished, tell(finished)).toMatchObject({ code: 130 });
      expect(finished.stderr.match(/ submitted/g)).toHaveLength(1);
    }
    cluster.signal("SIGTERM");
    await cluster.finished;
  },
);
