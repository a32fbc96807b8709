import { describe, expect, it } from "vitest";
import { batchNames } from "../../src/dask/scheduler-file.ts";
import { batchSystem, describeJob, inquireJob, labelOf, safeLabel } from "../../src/batch/job.ts";
import type { BatchName } from "../../src/batch/system.ts";
import { recordedShell } from "./recorded.ts";

describe("what an environment says of its job", () => {
  it("is nothing outside of any batch system", () => {
    expect(describeJob({ PATH: "/bin", HOME: "/root" })).toEqual({ system: "local" });
  });
  it("is Slurm's, recorded on Slurm 22.05 in an array", () => {
    const env = {
      SLURM_JOB_ID: "26",
      SLURM_ARRAY_JOB_ID: "21",
      SLURM_ARRAY_TASK_ID: "1",
      SLURM_JOB_NODELIST: "n[1-2]",
      SLURM_SUBMIT_HOST: "login1",
      SLURM_JOB_PARTITION: "main",
      SLURM_RESTART_COUNT: "2",
      SLURM_PROCID: "0",
    };
    expect(describeJob(env)).toEqual({
      system: "slurm",
      jobId: "21_1",
      label: "21_1",
      submitHost: "login1",
      hosts: ["n1", "n2"],
      requeues: 2,
      queue: "main",
    });
  });
  it("has Slurm's end time where it is exported (from 23.02 on)", () => {
    expect(
      describeJob({ SLURM_JOB_ID: "5", SLURM_JOB_END_TIME: "1700003600", SLURM_JOB_START_TIME: "1700000000" }),
    ).toMatchObject({ endTime: 1_700_003_600, startTime: 1_700_000_000 });
    const year = { SLURM_JOB_ID: "5", SLURM_JOB_START_TIME: "1700000000", SLURM_JOB_END_TIME: "1731536000" };
    expect(describeJob(year)).not.toHaveProperty("endTime");
    expect(describeJob({ SLURM_JOB_ID: "5", SLURM_JOB_END_TIME: "Unknown" })).not.toHaveProperty("endTime");
  });
  it("is PBS's, its array tasks without brackets in the label", () => {
    expect(
      describeJob({
        PBS_JOBID: "1234[7].pbs01",
        PBS_O_HOST: "login2",
        PBS_NODEFILE: "/var/spool/pbs/aux/1234[7].pbs01",
        PBS_QUEUE: "workq",
      }),
    ).toEqual({
      system: "pbs",
      jobId: "1234[7].pbs01",
      label: "1234.7.pbs01",
      submitHost: "login2",
      hostFile: "/var/spool/pbs/aux/1234[7].pbs01",
      queue: "workq",
    });
  });
  it("is Grid Engine's, recorded on 8.1.9", () => {
    const env = {
      JOB_ID: "7",
      SGE_TASK_ID: "undefined",
      SGE_O_HOST: "login3",
      PE_HOSTFILE: "/var/spool/gridengine/pe_hostfile",
      RESTARTED: "0",
      QUEUE: "all.q",
      NSLOTS: "3",
    };
    expect(describeJob(env)).toEqual({
      system: "sge",
      jobId: "7",
      label: "7",
      submitHost: "login3",
      hostFile: "/var/spool/gridengine/pe_hostfile",
      requeues: 0,
      queue: "all.q",
    });
    expect(describeJob({ ...env, SGE_TASK_ID: "3" })).toMatchObject({ jobId: "7.3" });
    expect(describeJob({ JOB_ID: "7" })).toEqual({ system: "local" });
  });
  it("is LSF's, with the hosts of LSB_MCPU_HOSTS", () => {
    const env = {
      LSB_JOBID: "542935",
      LSB_JOBINDEX: "0",
      LSB_SUB_HOST: "login4",
      LSB_MCPU_HOSTS: "h1 4 h2 4 ",
      LSB_QUEUE: "short",
    };
    expect(describeJob(env)).toEqual({
      system: "lsf",
      jobId: "542935",
      label: "542935",
      submitHost: "login4",
      hosts: ["h1", "h2"],
      queue: "short",
    });
    expect(describeJob({ ...env, LSB_JOBINDEX: "4" })).toMatchObject({ jobId: "542935[4]", label: "542935.4" });
  });
  it("is Flux's, the enclosing instance's inside flux batch, before the Slurm job around it", () => {
    expect(describeJob({ FLUX_JOB_ID: "ƒ2Abc", FLUX_ENCLOSING_ID: "ƒM7Zq9AKHno", SLURM_JOB_ID: "9" })).toEqual({
      system: "flux",
      jobId: "fM7Zq9AKHno",
      label: "fM7Zq9AKHno",
    });
  });
  it("is HTCondor's and Kubernetes'", () => {
    expect(describeJob({ _CONDOR_JOB_AD: "/scratch/.job.ad", TSDASK_CONDOR_ID: "12.3" })).toEqual({
      system: "htcondor",
      jobId: "12.3",
      label: "12.3",
    });
    expect(describeJob({ KUBERNETES_SERVICE_HOST: "10.0.0.1", HOSTNAME: "dask-x7f2q-worker-3" })).toMatchObject({
      system: "kubernetes",
      jobId: "dask-x7f2q",
    });
    expect(describeJob({ KUBERNETES_SERVICE_HOST: "10.0.0.1", HOSTNAME: "web-0" })).toEqual({ system: "kubernetes" });
  });
  it("takes the label of scale and adapt before the job's id", () => {
    expect(describeJob({ SLURM_JOB_ID: "9", TSDASK_JOB: "local.5.77" })).toMatchObject({
      jobId: "9",
      label: "local.5.77",
    });
  });
});

describe("labels", () => {
  it("are safe in a worker's name", () => {
    expect(safeLabel("12[].pbs 01/x")).toBe("12..pbs_01_x");
  });
  it.each([
    ["12", "12", true],
    ["12_3", "12", true],
    ["123", "12", false],
    ["12.3", "12", true],
    ["12.3.pbs01", "12[].pbs01", true],
    ["12.pbs01", "12.pbs01", true],
    ["12.pbs02", "12.pbs01", false],
    ["local.5.77", "local.5.77", true],
    ["fM7Zq9AKHno", "fM7Zq9AKHno", true],
    ["dask-x7f2q", "dask-x7f2q", true],
    ["lab.dask-x7f2q", "lab.dask-x7f2q", true],
    ["dask-x7f2q", "lab.dask-x7f2q", true],
    ["lab", "lab.dask-x7f2q", false],
    ["pbs", "12.pbs", false],
    ["12.0", "12.0", true],
  ])("%s belongs to job %s: %s", (label, id, expected) => {
    expect(labelOf(label, id)).toBe(expected);
  });
});

it("every system is found by its name, and asks nothing without a job", async () => {
  for (const name of batchNames) {
    expect(batchSystem(name).name).toBe(name);
    await expect(inquireJob({ system: name }, recordedShell([]))).resolves.toEqual({ system: name });
  }
});

const row = (state: string): string =>
  `<job_info><job_list state="running"><JB_job_number>12</JB_job_number><state>${state}</state></job_list></job_info>`;

it.each<[BatchName, string, string]>([
  ["slurm", "a job of higher priority runs (preemption), or scontrol suspend", "12|12|SUSPENDED|None\n"],
  ["slurm", "scontrol's SIGSTOP", "12|12|STOPPED|None\n"],
  ["pbs", "qsig -s suspend, or preemption", "Job Id: 12\n    job_state = S\n\n"],
  ["sge", "qmod -sj", row("s")],
  ["sge", "its queue", row("S")],
  ["sge", "the host's load", row("T")],
  ["lsf", "bstop", "12|0|USUSP\n"],
  ["lsf", "LSF itself", "12|0|SSUSP\n"],
  ["htcondor", "the machine's owner", "12 0 7\n"],
])("%s: a job that has been stopped by %s is suspended, not running", async (system, _, stdout) => {
  const states = await batchSystem(system).states(["12"], recordedShell([[/./, { stdout }]]));
  expect(states.get("12")).toBe("suspended");
});
