import { expect, test } from "vitest";
import { describeJob, isElsewhere, namedJob, withSite, withSiteHere } from "../../src/batch/job.ts";
import { recordedShell } from "./recorded.ts";

/** As the commands of each system print it. */
const slurm = [
  [/^scontrol show config$/, { stdout: "Configuration data as of x\nClusterName             = Alpha\n" }],
] as const;
const pbs = [
  [
    /^qstat -B -f$/,
    { stdout: "Server: pbs01.example.org\n    server_state = Active\n    server_host = head-1.example.org\n" },
  ],
] as const;

test.each([
  ["slurm", { SLURM_JOB_ID: "7", SLURM_CLUSTER_NAME: "alpha" }, slurm, false],
  ["slurm", { SLURM_JOB_ID: "7", SLURM_CLUSTER_NAME: "beta" }, slurm, true],
  ["slurm", { SLURM_JOB_ID: "7" }, slurm, false],
  ["slurm without an answer", { SLURM_JOB_ID: "7", SLURM_CLUSTER_NAME: "beta" }, [], false],
  ["pbs", { PBS_JOBID: "7.pbs01" }, pbs, false],
  ["pbs by its host", { PBS_JOBID: "7[2].head-1.example.org" }, pbs, false],
  ["pbs", { PBS_JOBID: "7.casper" }, pbs, true],
  ["no job", {}, slurm, false],
] as const)("%s: whether a job of %j is another system's", async (_, env, answers, elsewhere) => {
  const job = withSite(namedJob(describeJob(env)), env);
  expect(await isElsewhere(job, recordedShell(answers.length === 0 ? [[/^scontrol/, { code: 1 }]] : answers))).toBe(
    elsewhere,
  );
});

test.each([
  ["lsf", "LSF_ENVDIR", { LSB_JOBID: "7" }],
  ["sge", "SGE_CLUSTER_NAME", { JOB_ID: "7", SGE_TASK_ID: "undefined" }],
] as const)("%s is told by its variable, %s", async (_, name, env) => {
  const job = withSite(namedJob(describeJob(env)), { ...env, [name]: "one" });
  expect(await isElsewhere(job, recordedShell([], { env: { [name]: "one" } }))).toBe(false);
  expect(await isElsewhere(job, recordedShell([], { env: { [name]: "two" } }))).toBe(true);
  expect(await isElsewhere(job, recordedShell([], { env: {} }))).toBe(false);
});

test("a job that is submitted here is of the system that is asked here", async () => {
  expect(await withSiteHere({ system: "slurm", id: "8" }, recordedShell(slurm))).toEqual({
    system: "slurm",
    id: "8",
    site: "alpha",
  });
  expect(await withSiteHere({ system: "local", id: "8" }, recordedShell([]))).toEqual({ system: "local", id: "8" });
});
