import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { drainPlan } from "../../src/batch/drain.ts";
import { describeJob, inquireJob } from "../../src/batch/job.ts";
import { covers } from "./covers.ts";
import type { SystemName } from "./features.ts";
import { recordedShell } from "./recorded.ts";

describe("the drain before the walltime", () => {
  const hour = { now: 1000, started: 1000, end: 4600, drain: undefined };

  it("is five minutes in a job of an hour or more", () => {
    expect(drainPlan({ ...hour, end: 1000 + 7200 })).toMatchObject({
      drainAt: 1000 + 7200 - 300,
      lead: 300,
      from: "default",
    });
    expect(drainPlan(hour)?.lead).toBe(300);
  });
  it("is a tenth of the walltime in a shorter one, but no less than ten seconds", () => {
    expect(drainPlan({ ...hour, end: 1600 })?.lead).toBe(60);
    expect(drainPlan({ ...hour, end: 1060 })?.lead).toBe(10);
  });
  it("counts the walltime from the job's start, not from now", () => {
    expect(drainPlan({ ...hour, now: 4000 })?.drainAt).toBe(4300);
  });
  it("follows the option, also beyond a tenth", () => {
    expect(drainPlan({ ...hour, drain: 1800 })).toMatchObject({ drainAt: 2800, from: "option" });
  });
  it("is due at once when its time has passed or the option is longer than the job", () => {
    expect(drainPlan({ ...hour, now: 4500 })?.drainAt).toBe(4500);
    expect(drainPlan({ ...hour, drain: 99_999 })?.drainAt).toBe(1000);
    expect(drainPlan({ ...hour, now: 5000 })?.drainAt).toBe(5000);
  });
  it("leaves time for an orderly end", () => {
    expect(drainPlan({ ...hour, grace: 30 })?.leaveBy).toBe(4570);
    expect(drainPlan({ ...hour, end: 1060, grace: 30 })?.leaveBy).toBe(1055);
  });
  it("is off without an end, and with --drain 0", () => {
    expect(drainPlan({ ...hour, end: undefined })).toBeUndefined();
    expect(drainPlan({ ...hour, drain: 0 })).toBeUndefined();
  });
});

const start = new Date(2026, 10, 21, 12, 0, 0).getTime() / 1000;
/**
 * The end of an hour's job, 3600 s after its start, as each batch system tells it; LSF and Flux tell what is left, here
 * at its start.
 */
const told: readonly (readonly [SystemName, Record<string, string>, readonly (readonly [RegExp, string])[]])[] = [
  ["slurm", { SLURM_JOB_ID: "12" }, [[/^squeue -h -j 12 /, `${start + 3600}|${start}|1:00:00\n`]]],
  [
    "pbs",
    { PBS_JOBID: "12.pbs" },
    [
      [
        /^qstat -f 12.pbs$/,
        "Job Id: 12.pbs\n    job_state = R\n    Resource_List.walltime = 01:00:00\n    stime = Sat Nov 21 12:00:00 2026\n\n",
      ],
    ],
  ],
  [
    "sge",
    { JOB_ID: "12", SGE_O_HOST: "login" },
    [
      [/^qstat -j 12$/, "job_number:                 12\nhard resource_list:         h_rt=3600\n"],
      [
        /^qstat -xml -s r$/,
        "<job_info><job_list state='running'><JB_job_number>12</JB_job_number><state>r</state><JAT_start_time>2026-11-21T12:00:00</JAT_start_time></job_list></job_info>",
      ],
    ],
  ],
  ["lsf", { LSB_JOBID: "12" }, [[/^bjobs -noheader -o time_left 12$/, "1:0 L\n"]]],
  ["flux", { FLUX_JOB_ID: "f12" }, [[/^flux job timeleft$/, "3600\n"]]],
];

it.each(told)(
  "%s: an hour's job is drained five minutes before the end that it is told",
  async (system, env, answers) => {
    const shell = recordedShell(
      answers.map(([line, stdout]) => [line, { stdout }]),
      { env, now: start },
    );
    const { endTime, startTime } = await inquireJob(describeJob(env), shell);
    expect(drainPlan({ now: start + 60, started: startTime, end: endTime, drain: undefined })?.drainAt).toBe(
      start + 3300,
    );
    covers(system, ["drain"]);
  },
);

it("htcondor: an hour's job is drained five minutes before the end that its ClassAd tells", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tsdask-condor-"));
  const ad = join(folder, "job.ad");
  writeFileSync(ad, `AllowedExecuteDuration = 3600\nClusterId = 12\nProcId = 0\nJobCurrentStartDate = ${start}\n`);
  // As in a script that is not of ours: no variable has the job's id.
  const env = { _CONDOR_JOB_AD: ad, _CONDOR_SLOT: "slot1" };
  const { jobId, endTime, startTime } = await inquireJob(describeJob(env), recordedShell([], { env }));
  expect(drainPlan({ now: start + 60, started: startTime, end: endTime, drain: undefined })?.drainAt).toBe(
    start + 3300,
  );
  expect(jobId).toBe("12.0");
  rmSync(folder, { recursive: true });
  covers("htcondor", ["drain"]);
});
