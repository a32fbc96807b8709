import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { batchSystem } from "../../src/batch/job.ts";
import type { ListedJob } from "../../src/batch/job-list.ts";
import { cancelLines, cancelMarked, markOf, newListKey, refuseForeign } from "../../src/batch/mark.ts";
import type { BatchName, Ran } from "../../src/batch/system.ts";
import { procStat } from "../../src/launcher/proc-stat.ts";
import { covers } from "./covers.ts";
import type { SystemName } from "./features.ts";
import { recordedShell } from "./recorded.ts";

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "tsdask-mark-"))));
afterEach(() => rmSync(folder, { recursive: true }));

const key = newListKey();
const mark = markOf(key);
const foreign = markOf(newListKey());

const listed = (system: BatchName, id: string): ListedJob => ({
  system,
  id,
  host: hostname(),
  submitted: 1,
  expected: 1,
  joined: false,
});

it("is a word that every batch system takes, follows from the key, and does not tell it", () => {
  expect(mark).toMatch(/^tsdask-[0-9a-f]{24}$/);
  expect(markOf(key)).toBe(mark);
  expect(foreign).not.toBe(mark);
  expect(mark).not.toContain(key.slice(0, 8));
});

it("is not needed for the lines with which people cancel jobs, one of each batch system", () => {
  const jobs = [listed("slurm", "11"), listed("pbs", "12.head"), listed("slurm", "13")];
  expect(cancelLines(jobs)).toEqual(["scancel 11 13", "qdel 12.head"]);
});

interface Recorded {
  readonly system: SystemName;
  /** What submitting says, and how its line must look. */
  readonly submitted: readonly [words: RegExp, stdout: string];
  /** What the jobs 11 (marked), 12 (another mark), 13 (none) are shown as; 14 is not known. */
  readonly shown: readonly (readonly [line: RegExp, answer: Partial<Ran>])[];
  readonly cancelled: RegExp;
}

const recorded: readonly Recorded[] = [
  {
    system: "slurm",
    submitted: [new RegExp(`^sbatch --parsable --comment=${mark} .*w\\.sh$`), "11\n"],
    shown: [
      [
        /^squeue -h -j 11,12,13,14 -o %F\|%i\|%k -r$/,
        { stdout: `11|11|${mark}\n12|12|12:00:00 ${foreign}|x\n13|13|(null)\n` },
      ],
    ],
    cancelled: /^scancel 11$/,
  },
  {
    system: "pbs",
    submitted: [/^qsub -v A,TSDASK_WORKER_JOB .*w\.sh$/, "11.pbs\n"],
    shown: [
      [
        /^qstat -f 11 12 13 14$/,
        {
          code: 153,
          stdout: [
            `Job Id: 11.pbs\n    job_state = R\n    Variable_List = PBS_O_HOME=/home/ada,TSDASK_WORKER_JOB=${mark.slice(0, 9)}\n\t${mark.slice(9)},B=1`,
            `Job Id: 12.pbs\n    job_state = R\n    Variable_List = TSDASK_WORKER_JOB=${foreign},X=${mark}`,
            "Job Id: 13.pbs\n    job_state = R\n    Variable_List = PBS_O_HOME=/home/ada\n",
          ].join("\n"),
          stderr: "qstat: Unknown Job Id 14.pbs\n",
        },
      ],
    ],
    cancelled: /^qdel 11$/,
  },
  {
    system: "sge",
    submitted: [new RegExp(`^qsub -terse -v A -ac tsdask=${mark} .*w\\.sh$`), "11\n"],
    shown: [
      [
        /^qstat -j 11,12,13,14$/,
        {
          stdout: `====\njob_number:                 11\nowner:                      ada\ncontext:                    tsdask=${mark}\n====\njob_number:                 12\ncontext:                    tsdask=${foreign}\n====\njob_number:                 13\n`,
          stderr: "Following jobs do not exist: \n14\n",
          code: 1,
        },
      ],
    ],
    cancelled: /^qdel 11$/,
  },
  {
    system: "lsf",
    submitted: [new RegExp(`^bsub -Jd ${mark}$`), "Job <11> is submitted to queue <normal>.\n"],
    shown: [
      [
        /^bjobs -a -noheader -o jobid jobindex description delimiter='\|' 11 12 13 14$/,
        { stdout: `11|0|${mark}\n12|0|mine ${foreign}\n13|0|-\n`, stderr: "Job <14> is not found\n", code: 255 },
      ],
    ],
    cancelled: /^bkill 11$/,
  },
  {
    system: "flux",
    submitted: [new RegExp(`^flux batch --setattr=user.tsdask=${mark} .*w\\.sh$`), "f11\n"],
    shown: [
      [
        /^flux job info 11 jobspec$/,
        { stdout: JSON.stringify({ attributes: { system: {}, user: { tsdask: mark } } }) },
      ],
      [
        /^flux job info 12 jobspec$/,
        { stdout: JSON.stringify({ attributes: { system: { x: mark }, user: { tsdask: foreign } } }) },
      ],
      [/^flux job info 13 jobspec$/, { stdout: JSON.stringify({ attributes: { system: {} } }) }],
      [/^flux job info 14 jobspec$/, { code: 1, stderr: "flux-job: No such file or directory\n" }],
    ],
    cancelled: /^flux cancel 11$/,
  },
  {
    system: "htcondor",
    submitted: [
      new RegExp(`^condor_submit -terse -append \\+TsdaskWorkerJob = "${mark}" A=1 .*w\\.sh$`),
      "11.0 - 11.0\n",
    ],
    shown: [
      [
        /^condor_q 11 12 13 14 -af ClusterId ProcId TsdaskWorkerJob$/,
        { stdout: `11 0 ${mark}\n12 0 ${foreign}\n13 0 undefined\n` },
      ],
    ],
    cancelled: /^condor_rm 11$/,
  },
  {
    system: "kubernetes",
    submitted: [/^kubectl create -f .*w\.sh -o jsonpath=/, "MPIJob|lab|w-11\n"],
    shown: [[/^kubectl get mpijob -o jsonpath=.*labels\.tsdask/, { stdout: `11|${mark}\n12|${foreign}\n13|\n` }]],
    cancelled: /^kubectl delete mpijob --ignore-not-found --wait=false 11$/,
  },
];

describe.each(recorded)("$system", ({ system, submitted, shown, cancelled }) => {
  it("is given the mark with a worker job", async () => {
    const path = join(folder, "w.sh");
    writeFileSync(path, "#!/bin/bash\n");
    const shell = recordedShell([
      [submitted[0], { stdout: submitted[1] }],
      [/^kubectl label/, {}],
    ]);
    await batchSystem(system).submit({ path, env: { A: "1" }, mark }, shell);
    expect(shell.asked[0]?.line).toMatch(submitted[0]);
    if (system === "pbs") expect(shell.asked[0]?.env).toEqual({ A: "1", TSDASK_WORKER_JOB: mark });
    if (system === "kubernetes") expect(shell.asked[1]?.line).toBe(`kubectl label mpijob -n lab w-11 tsdask=${mark}`);
  });

  it("has only those jobs cancelled that it shows with the mark", async () => {
    const shell = recordedShell([...shown, [cancelled, {}]]);
    const jobs = ["11", "12", "13", "14"].map((id) => listed(system, id));
    expect(await cancelMarked(jobs, key, shell)).toEqual([jobs[1], jobs[2]]);
    expect(shell.asked.filter(({ line }) => cancelled.test(line))).toHaveLength(1);
    covers(system, ["scale"]);
  });

  it("cancels nothing for the one who has read a mark and forged a list", async () => {
    const shell = recordedShell([...shown, [/^flux job info/, { stdout: "{}" }]]);
    const left = await cancelMarked([listed(system, "11"), listed(system, "12")], newListKey(), {
      ...shell,
      run: async (command, args, given) => {
        const line = [command, ...args].join(" ").replace("11,12", "11,12,13,14").replace("11 12", "11 12 13 14");
        return shell.run(line.split(" ")[0] ?? "", line.split(" ").slice(1), given);
      },
    });
    expect(left.map(({ id }) => id)).toEqual(["11", "12"]);
  });
});

it("keeps the comment and the description that a script asks for", async () => {
  const path = join(folder, "w.sh");
  writeFileSync(path, "#!/bin/bash\n#SBATCH --comment='12:00:00 a'\n#BSUB -q normal -Jd mine\n");
  const slurm = recordedShell([[/^sbatch/, { stdout: "1\n" }]]);
  await batchSystem("slurm").submit({ path, mark }, slurm);
  expect(slurm.asked[0]?.line).toContain(`--comment=12:00:00 a ${mark}`);
  const lsf = recordedShell([[/^bsub/, { stdout: "Job <1> is submitted to queue <q>.\n" }]]);
  await batchSystem("lsf").submit({ path, mark }, lsf);
  expect(lsf.asked[0]?.line).toBe(`bsub -Jd mine ${mark}`);
});

it("a Kubernetes job that cannot be marked is deleted, and told of", async () => {
  const shell = recordedShell([
    [/^kubectl create/, { stdout: "MPIJob|lab|w-1\n" }],
    [/^kubectl label/, { code: 1, stderr: "forbidden" }],
    [/^kubectl delete mpijob -n lab .* w-1$/, {}],
  ]);
  await expect(batchSystem("kubernetes").submit({ path: "w.yaml", mark }, shell)).rejects.toMatchObject({
    code: "TSD-090",
  });
  expect(shell.asked).toHaveLength(3);
});

it("a system that does not answer has nothing cancelled", async () => {
  const shell = recordedShell([[/^squeue/, { code: 1, stderr: "slurm_load_jobs error: Unable to contact" }]]);
  await expect(cancelMarked([listed("slurm", "11")], key, shell)).rejects.toMatchObject({ code: "TSD-094" });
});

it("a process without the mark is left alone; one that was submitted with it is ended", async () => {
  const shell = { ...recordedShell([]), env: process.env };
  const victim = spawn("sleep", ["30"], { detached: true, stdio: "ignore" });
  const path = join(folder, "w.sh");
  writeFileSync(path, "#!/bin/bash\nsleep 30\n", { mode: 0o700 });
  const own = await batchSystem("local").submit({ path, mark }, shell);
  const other = await batchSystem("local").submit({ path, mark: foreign }, shell);
  const id = `local.${victim.pid}.${procStat(victim.pid ?? 0)?.start}`;
  const jobs = [id, own, other].map((one) => listed("local", one));
  try {
    expect(await cancelMarked(jobs, key, shell)).toEqual([jobs[0], jobs[2]]);
    expect(victim.exitCode).toBeNull();
    await expect
      .poll(async () => Object.fromEntries(await batchSystem("local").states([own, other], shell)))
      .toEqual({ [own]: "gone", [other]: "running" });
  } finally {
    await batchSystem("local").cancel([other], shell);
    victim.kill("SIGKILL");
    await once(victim, "exit");
  }
});

it("says which jobs were left alone, and how to end them", () => {
  refuseForeign([], "/a/jobs");
  expect(() => refuseForeign([listed("slurm", "11"), listed("slurm", "12")], "/a/jobs")).toThrow(
    /TSD-135 .*11 12[\s\S]*scancel 11 12/,
  );
  expect(() => refuseForeign([listed("kubernetes", "lab.a"), listed("kubernetes", "b")], "/a/jobs")).toThrow(
    "kubectl delete mpijob -n lab a; kubectl delete mpijob b",
  );
});
