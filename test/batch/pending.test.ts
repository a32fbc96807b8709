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

  it("is what Grid Engine's verification of an empty cluster says", async () => {
    const stdout =
      'Job 12 cannot run in queue "all.q" because it offers only qc:slots=2\nverification: no suitable queues\n';
    const asked = /^qalter -w v 12$/;
    expect(await why("sge", "12", asked, { stdout, code: 1 })).toMatchObject([
      {
        reason: 'no suitable queues; Job 12 cannot run in queue "all.q" because it offers only qc:slots=2',
        prospect: "never",
      },
    ]);
    expect(await why("sge", "12", asked, { stdout: "verification: found suitable queue(s)\n" })).toEqual([]);
    covers("sge", ["reasons"]);
  });

  it("is what bjobs -p of LSF and condor_q -better-analyze say", async () => {
    const bjobs =
      "JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME\n7678    ada     PEND  priority   login1                  dask       Oct 28 13:08\n Queue's resource requirements not satisfied:3 hosts;\n Not enough job slots: 1 host;\n";
    expect(await why("lsf", "7678", /^bjobs -p 7678$/, { stdout: bjobs })).toMatchObject([
      {
        reason: "Queue's resource requirements not satisfied:3 hosts; Not enough job slots: 1 host;",
        prospect: "waits",
      },
    ]);
    const condor = "12.000:  Job has not yet been considered by the matchmaker.\n";
    expect(await why("htcondor", "12.0", /better-analyze 12.0$/, { stdout: condor })).toMatchObject([
      { reason: "12.000:  Job has not yet been considered by the matchmaker." },
    ]);
    covers("lsf", ["reasons"]);
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
