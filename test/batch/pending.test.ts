import { describe, expect, it } from "vitest";
import { cannotRun, pendingLines, prospectOf, whyPending, type Pending } from "../../src/batch/pending.ts";
import type { BatchName, Ran } from "../../src/batch/system.ts";
import { covers } from "./covers.ts";
import { recordedShell } from "./recorded.ts";

const why = (system: BatchName, id: string, pattern: RegExp, answer: Partial<Ran>): Promise<readonly Pending[]> =>
  whyPending([{ system, id }], recordedShell([[pattern, answer]]));

describe("why a job waits", () => {
  it("is Slurm's reason and expected start", async () => {
    const stdout = "12|12|Priority|2026-11-21T18:00:00\n13|13_[1-4]|Resources|N/A\n14|14|None|N/A\n";
    const ids = ["12", "13", "14"].map((id) => ({ system: "slurm" as const, id }));
    const found = await whyPending(
      ids,
      recordedShell([[/^squeue -h -t PD -j 12,13,14 -o %F\|%i\|%r\|%S -r$/, { stdout }]]),
    );
    expect(found.map(({ id, reason }) => [id, reason])).toEqual([
      ["12", "Priority, expected to start at 2026-11-21T18:00:00"],
      ["13", "Resources"],
    ]);
    covers("slurm", ["reasons"]);
  });

  it("is the comment of PBS's scheduler", async () => {
    const text = "Can Never Run: Insufficient amount of resource: ncpus (R: 500 A: 4 T: 4)";
    const stdout = `Job Id: 12.pbs01\n    job_state = Q\n    comment = ${text}\n    estimated.start_time = Sat Nov 21 18:00:00 2026\n\n`;
    expect(await why("pbs", "12.pbs01", /^qstat -f 12.pbs01$/, { stdout })).toEqual([
      {
        system: "pbs",
        id: "12.pbs01",
        reason: `${text}, expected to start at Sat Nov 21 18:00:00 2026`,
        prospect: "never",
      },
    ]);
    covers("pbs", ["reasons"]);
  });

  it("is why Grid Engine could not start a job, what it says of an empty cluster, or its scheduler's words", async () => {
    const told = async (
      ids: readonly string[],
      shown: string,
      verified = "verification: found possible assignment with 16 slots\n",
    ): Promise<unknown> => {
      const shell = recordedShell([
        [/^qstat -j 12(,14)?$/, { stdout: shown }],
        [/^qalter -w v \d+$/, { stdout: verified }],
      ]);
      const found = await whyPending(
        ids.map((id) => ({ system: "sge" as const, id })),
        shell,
      );
      return found.map(({ id, reason, prospect }) => [id, reason, prospect]);
    };
    const block = (job: string, ...more: readonly string[]): string =>
      [`${"=".repeat(62)}`, `job_number:                 ${job}`, "job_name:                   dask", ...more, ""].join(
        "\n",
      );
    const full =
      'scheduling info:            queue instance "main.q@sge" dropped because it is full\n                            All queues dropped because of overload or full';
    const words =
      'queue instance "main.q@sge" dropped because it is full; All queues dropped because of overload or full';
    expect(await told(["12"], block("12", full))).toEqual([["12", words, "waits"]]);
    expect(
      await told(
        ["12"],
        block("12", "scheduling info:            (Collecting of scheduler job information is turned off)"),
      ),
    ).toEqual([]);
    const no =
      'Job 12 cannot run in queue "all.q" because it offers only qc:slots=2\nverification: no suitable queues\n';
    expect(await told(["12"], block("12", full), no)).toEqual([
      ["12", 'no suitable queues; Job 12 cannot run in queue "all.q" because it offers only qc:slots=2', "never"],
    ]);
    const failed =
      'error reason          2:      11/22/2026 07:19:23 [0:27641]: error: can\'t open output file "/nope/x": No such file or directory';
    const array = block("14", failed, full, "                            Job is in error state");
    expect(await told(["12", "14.1", "14.2"], block("12", full) + array)).toEqual([
      ["12", words, "waits"],
      ["14.1", words, "waits"],
      ["14.2", 'error reason: can\'t open output file "/nope/x": No such file or directory', "never"],
    ]);
    covers("sge", ["reasons"]);
  });

  it("is what bjobs -p of LSF says", async () => {
    const bjobs =
      "JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME\n7678    ada     PEND  priority   login1                  dask       Oct 28 13:08\n Queue's resource requirements not satisfied:3 hosts;\n Not enough job slots: 1 host;\n";
    expect(await why("lsf", "7678", /^bjobs -p 7678$/, { stdout: bjobs })).toMatchObject([
      {
        reason: "Queue's resource requirements not satisfied:3 hosts; Not enough job slots: 1 host;",
        prospect: "waits",
      },
    ]);
    covers("lsf", ["reasons"]);
  });

  it("is why HTCondor holds a job, what no machine of its pool can give, or the condition that no slot meets", async () => {
    const asks = (status: string, memory: string, words: string): [RegExp, { stdout: string }] => [
      /^condor_q 12\.0 -af ClusterId ProcId JobStatus RequestCpus RequestMemory RequestGPUs HoldReason$/,
      { stdout: `12 0 ${status} 2 ${memory} undefined ${words}\n` },
    ];
    // Two machines, of which the first is divided among jobs.
    const pool: [RegExp, { stdout: string }] = [
      /^condor_status -af TotalSlotCpus TotalSlotMemory TotalSlotGPUs$/,
      { stdout: "16 8192 0\n4 1024 0\n8 16384 undefined\n" },
    ];
    const analysis = (text: string): [RegExp, { stdout: string }] => [
      /^condor_q -better-analyze 12\.0$/,
      { stdout: text },
    ];
    const told = async (...answers: (readonly [RegExp, { stdout: string }])[]): Promise<unknown> =>
      (await whyPending([{ system: "htcondor", id: "12.0" }], recordedShell(answers))).map(({ reason, prospect }) => [
        reason,
        prospect,
      ]);
    const failed = "Error from slot1_1@e1: Failed to open '/nope/o' as standard output";
    expect(await told(asks("5", "1024", failed))).toEqual([[`on hold: ${failed}`, "never"]]);
    const own = "via condor_hold (by user ada)";
    expect(await told(asks("5", "1024", own))).toEqual([[`on hold: ${own}`, "waits"]]);
    expect(await told(asks("1", "20000", "undefined"), pool)).toEqual([
      [
        "no machine of the pool is large enough: 2 cores, 20000 MB of memory are asked for, the most that any has is 16 cores, 16384 MB of memory",
        "never",
      ],
    ]);
    const steps = 'Step    Matched  Condition\n-----  --------  ---------\n[0]           2  TARGET.Arch == "X86_64"\n';
    const unmet = `${steps}[5]           0  TARGET.HasWings\n\nWARNING:  Be advised:\n   No machines matched the jobs's constraints\n`;
    expect(await told(asks("1", "1024", "undefined"), pool, analysis(unmet))).toEqual([
      ["no slot meets TARGET.HasWings", "waits"],
    ]);
    const busy = "      0 match and are already running your jobs\n      2 match but are serving other users\n";
    expect(await told(asks("1", "1024", "undefined"), pool, analysis(steps + busy))).toEqual([
      ["2 matching slots serve other users", "waits"],
    ]);
    const early = "12.000:  Job has not yet been considered by the matchmaker.\n";
    expect(await told(asks("1", "1024", "undefined"), pool, analysis(early))).toEqual([[early.trim(), "waits"]]);
    expect(await told(asks("2", "1024", "undefined"))).toEqual([]);
    covers("htcondor", ["reasons"]);
  });

  it("is nothing where nothing is said, or the batch system does not answer", async () => {
    expect(await why("slurm", "12", /squeue/, { code: 1, stderr: "slurm_load_jobs error: Unable to contact" })).toEqual(
      [],
    );
    expect(await why("local", "12", /./, {})).toEqual([]);
  });
});

it.each([
  ["slurm", "PartitionTimeLimit", "never"],
  ["slurm", "PartitionConfig", "never"],
  ["slurm", "PartitionNodeLimit", "waits"],
  ["slurm", "DependencyNeverSatisfied", "never"],
  ["slurm", "AssocMaxCpuPerJobLimit", "never"],
  ["slurm", "AssocMaxJobsLimit", "limit"],
  ["slurm", "QOSMaxJobsPerUserLimit", "limit"],
  ["slurm", "AssocGrpCPUMinutesLimit", "limit"],
  ["slurm", "Resources, expected to start at 2026-11-21T18:00:00", "waits"],
  ["slurm", "ReqNodeNotAvail, UnavailableNodes:n1", "waits"],
  ["slurm", "Dependency", "waits"],
  ["pbs", "Can Never Run: Insufficient amount of resource: ncpus (R: 9 A: 4 T: 4)", "never"],
  ["pbs", "Not Running: Insufficient amount of resource: ncpus (R: 4 A: 1 T: 4)", "waits"],
  ["pbs", "Not Running: User has reached queue workq running job limit.", "limit"],
  ["htcondor", "constructor", "waits"],
] as const)("%s: %s means %s", (system, reason, prospect) => {
  expect(prospectOf(system, reason)).toBe(prospect);
});

it("ends a wait for jobs that never run, and where asked for those that a limit keeps back", () => {
  const job = (id: string, reason: string): Pending => ({
    system: "slurm",
    id,
    reason,
    prospect: prospectOf("slurm", reason),
  });
  const jobs = [job("1", "Resources"), job("2", "AssocMaxJobsLimit"), job("3", "AssocMaxJobsLimit")];
  expect(cannotRun(jobs, { limits: false })).toBeUndefined();
  expect(cannotRun(jobs, { limits: true })).toMatchObject({ code: "TSD-141", facts: { jobs: "2 3" } });
  const never = [...jobs, job("4", "BadConstraints")];
  expect(cannotRun(never, { limits: false })).toMatchObject({ facts: { jobs: "4", reason: "BadConstraints" } });
  expect(pendingLines([...never, ..."5678".split("").map((id) => job(id, "Resources"))])).toEqual([
    "1, 5, 6 and 2 more: Resources",
    "2, 3: AssocMaxJobsLimit",
    "4: BadConstraints",
  ]);
});
