import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isOfJob } from "../../src/batch/growth.ts";
import { describeJob } from "../../src/batch/job.ts";
import { slurm } from "../../src/batch/slurm.ts";
import { recordedShell } from "./recorded.ts";

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "tsdask-slurm-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

// All recorded on Slurm 22.05.
describe("Slurm", () => {
  it("tells a job's end in seconds, whatever the time zone", async () => {
    const shell = recordedShell([[/^squeue -h -j 20 -o %e/, { stdout: "1795222578|1795222458|2:00\n" }]]);
    await expect(slurm.inquire({ system: "slurm", jobId: "20" }, shell)).resolves.toMatchObject({
      endTime: 1_795_222_578,
      startTime: 1_795_222_458,
    });
    expect(shell.asked[0]?.env).toEqual({ SLURM_TIME_FORMAT: "%s", SQUEUE_FEDERATION: "1", SQUEUE_SIBLING: "1" });
  });
  it("asks all clusters of a federation, of which another one may run a job: what is revoked here runs there", async () => {
    // As Slurm 22.05 answered with two clusters.
    const stdout = "67108869|67108869|RUNNING|None\n67108870|67108870|RUNNING|None\n67108870|67108870|REVOKED|None\n";
    const shell = recordedShell([
      [/^squeue -h -j 67108869,67108870 -o %F/, { stdout }],
      [/^squeue -h -j 67108870 -o %e/, { stdout: "N/A|N/A|1:00:00\n1795226060|1795222460|1:00:00\n" }],
    ]);
    const states = await slurm.states(["67108869", "67108870"], shell);
    expect([...states.values()]).toEqual(["running", "running"]);
    expect(shell.asked[0]?.env).toEqual({ SQUEUE_FEDERATION: "1", SQUEUE_SIBLING: "1" });
    await expect(slurm.inquire({ system: "slurm", jobId: "67108870" }, shell)).resolves.toMatchObject({
      endTime: 1_795_226_060,
      startTime: 1_795_222_460,
    });
    const env = { SLURM_JOB_ID: "67108871", SLURM_ARRAY_JOB_ID: "67108869", SLURM_ARRAY_TASK_ID: "2" };
    expect(describeJob(env).label).toBe("67108869_2");
    expect(isOfJob("tsdask-67108869_2-0", "67108869_2")).toBe(true);
  });
  it.each(["UNLIMITED", "365-00:00:00"])("has no end for a job without a limit: %s", async (limit) => {
    const job = await slurm.inquire(
      { system: "slurm", jobId: "20" },
      recordedShell([[/squeue/, { stdout: `1826855524|1795319524|${limit}\n` }]]),
    );
    expect(job).not.toHaveProperty("endTime");
  });
  it("is not asked when the environment said it all", async () => {
    const shell = recordedShell([]);
    await slurm.inquire({ system: "slurm", jobId: "20", endTime: 2, startTime: 1 }, shell);
    expect(shell.asked).toEqual([]);
  });
  it("submits with the job's variables and returns its id, also of a federated cluster", async () => {
    const shell = recordedShell([[/^sbatch --parsable --array=1-2 \/a\/w.sh$/, { stdout: "21;cluster2\n" }]]);
    await expect(
      slurm.submit({ path: "/a/w.sh", args: ["--array=1-2"], env: { TSDASK_SCHEDULER_FILE: "/a/s.json" } }, shell),
    ).resolves.toBe("21");
    expect(shell.asked[0]?.env).toEqual({ TSDASK_SCHEDULER_FILE: "/a/s.json" });
  });
  it.each([
    ["77\nYour balance is 12 hours.\n", "77"],
    ["Welcome to 2 clusters\n77;cluster2\nUse them well.\n", "77"],
    ["Submitted batch job 77\n", "77"],
    ["Submitted batch job 77 on cluster c2\n", "77"],
    ["12\n77\n", "77"],
    ["12\n77\nwell done\n", undefined],
    ["Submitted!\n", undefined],
  ])("finds the id among the lines of a site's wrapper: %j", async (stdout, id) => {
    const submitted = slurm.submit({ path: "/a/w.sh" }, recordedShell([[/sbatch/, { stdout }]]));
    if (id === undefined) await expect(submitted).rejects.toMatchObject({ code: "TSD-093" });
    else expect(await submitted).toBe(id);
  });
  it.each([
    ["#SBATCH --export=NONE\n", undefined, "--export=TSDASK_RESOURCES "],
    ["#SBATCH --export=ALL\n#SBATCH -N 1 --export nil # --export=ALL\n", undefined, "--export=TSDASK_RESOURCES "],
    ['#SBATCH --export=A,B="b c","C=\'c,c\'"\n', undefined, "--export=A,B=b c,C='c,c',TSDASK_RESOURCES "],
    ["#SBATCH --export=ALL,A=1\n", undefined, ""],
    ["#SBATCH --export=ALL\n", "NONE", "--export=TSDASK_RESOURCES "],
    ["#SBATCH --export=NONE\n", "ALL", ""],
    ["module load dask\n#SBATCH --export=NONE\n", undefined, ""],
    ["", undefined, ""],
  ])("has the job's variables pass where its script keeps the environment out: %s, %s", async (text, said, option) => {
    const path = join(folder, "w.sh");
    writeFileSync(path, `#!/bin/bash\n\n# Workers.\n${text}srun true\n`);
    const env = said === undefined ? {} : { SBATCH_EXPORT: said };
    const shell = recordedShell([[/^sbatch/, { stdout: "21\n" }]], { env });
    await slurm.submit({ path, env: { TSDASK_RESOURCES: "GPU=1,MEM=2" } }, shell);
    await slurm.submit({ path }, shell);
    expect(shell.asked.map(({ line }) => line)).toEqual([
      `sbatch --parsable ${option}${path}`,
      `sbatch --parsable ${path}`,
    ]);
  });
  it.each([
    [
      "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified\n",
      "sinfo -s",
    ],
    [
      "sbatch: error: Memory specification can not be satisfied\nsbatch: error: Batch job submission failed: Requested node configuration is not available\n",
      "sinfo -N",
    ],
    [
      "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified\n",
      "sacctmgr",
    ],
    [
      "sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)\n",
      "longest time",
    ],
    ["sbatch: error: Unable to open file missing.sh\n", "path"],
  ])("tells Slurm's own words and what to do: %s", async (stderr, cure) => {
    const failure = slurm.submit({ path: "/a/w.sh" }, recordedShell([[/sbatch/, { code: 1, stderr }]]));
    await expect(failure).rejects.toMatchObject({ code: "TSD-090" });
    await expect(failure).rejects.toThrow(cure);
    await expect(failure).rejects.toThrow(stderr.split("\n")[0] ?? "");
  });
  it("submits many jobs as the tasks of one array, asks of them with one short question, and cancels them with one word", async () => {
    const shell = recordedShell([
      [/^scontrol show federation$/, {}],
      [/^sbatch --parsable --array=1-300 \/a\/w.sh$/, { stdout: "30\n" }],
      [/^squeue -h -j 30,41 -o %F\|%i\|%T\|%r -r$/, { stdout: "30|30_1|RUNNING|None\n30|30_2|PENDING|Resources\n" }],
      [/^scancel 30_\[1-299\] 41$/, {}],
    ]);
    const ids = await slurm.submitArray?.({ path: "/a/w.sh" }, 300, shell);
    expect([ids?.length, ids?.[0], ids?.[299]]).toEqual([300, "30_1", "30_300"]);
    const states = await slurm.states([...(ids ?? []), "41"], shell);
    expect(["30_1", "30_2", "30_3", "41"].map((id) => states.get(id))).toEqual(["running", "pending", "gone", "gone"]);
    await slurm.cancel([...(ids ?? []).slice(0, 299), "41"], shell);
    expect(shell.asked).toHaveLength(4);
  });
  it("makes no array of what the site does not take as one", async () => {
    const stderr = "sbatch: error: Batch job submission failed: Invalid job array specification\n";
    const shell = recordedShell([
      [/^scontrol show federation$/, {}],
      [/--array=1-300/, { code: 1, stderr }],
    ]);
    await expect(slurm.submitArray?.({ path: "/a/w.sh" }, 300, shell)).resolves.toBeUndefined();
  });
  it("makes no array in a federation, where only the cluster of its submission would run it", async () => {
    const stdout = "Federation: fed\nSelf:       feda:127.0.0.1:36821 ID:1 FedState:ACTIVE Features:\n";
    const shell = recordedShell([[/^scontrol show federation$/, { stdout }]]);
    await expect(slurm.submitArray?.({ path: "/a/w.sh" }, 3, shell)).resolves.toBeUndefined();
  });
  it("reads states, of arrays the liveliest, held ones by their reason, and unknown ones as gone", async () => {
    const stdout =
      "23|23|PENDING|PartitionNodeLimit\n20|20|RUNNING|None\n21|21_[3-4]|PENDING|Resources\n21|21_1|RUNNING|None\n25|25|PENDING|JobHeldUser\n26|26|COMPLETING|None\n";
    const states = await slurm.states(
      ["20", "21", "21_1", "23", "25", "26", "77"],
      recordedShell([[/^squeue -h -j 20,21/, { stdout }]]),
    );
    expect(Object.fromEntries(states)).toEqual({
      20: "running",
      21: "running",
      "21_1": "running",
      23: "pending",
      25: "held",
      26: "ending",
      77: "gone",
    });
  });
  it("knows that a forgotten job is gone", async () => {
    const states = await slurm.states(
      ["77"],
      recordedShell([[/squeue/, { code: 1, stderr: "slurm_load_jobs error: Invalid job id specified\n" }]]),
    );
    expect(states.get("77")).toBe("gone");
  });
  it("refuses what it does not know, and says when Slurm is down", async () => {
    await expect(
      slurm.states(["1"], recordedShell([[/squeue/, { stdout: "1|1|DREAMING|None\n" }]])),
    ).rejects.toMatchObject({ code: "TSD-093" });
    await expect(
      slurm.states(
        ["1"],
        recordedShell([
          [
            /squeue/,
            { code: 1, stderr: "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n" },
          ],
        ]),
      ),
    ).rejects.toMatchObject({ code: "TSD-094" });
  });
  it("finds one's own jobs by their mark, those that are over aside, and each once in a federation", async () => {
    const shown = ["30_1|PENDING|m1", "30_2|RUNNING|mine|m1", "31|COMPLETING|m1", "32|RUNNING|m2", "33|RUNNING|(null)"];
    const federated = ["34|REVOKED|m1", "34|RUNNING|m1", "34|RUNNING|m1"];
    const shell = recordedShell([
      [/^squeue -h -u \d+ -o %i\|%T\|%k -r$/, { stdout: [...shown, ...federated].join("\n") }],
    ]);
    await expect(slurm.marked?.("m1", shell)).resolves.toEqual(["30_1", "30_2", "34"]);
  });
  it("cancels, and does not mind those that are gone", async () => {
    await slurm.cancel(
      ["1", "2"],
      recordedShell([
        [
          /^scancel 1 2$/,
          { code: 1, stderr: "scancel: error: Kill job error on job id 2: Invalid job id specified\n" },
        ],
      ]),
    );
    await expect(
      slurm.cancel(
        ["1"],
        recordedShell([
          [/scancel/, { code: 1, stderr: "scancel: error: Kill job error on job id 1: Access/permission denied\n" }],
        ]),
      ),
    ).rejects.toMatchObject({ code: "TSD-095" });
    await slurm.cancel([], recordedShell([]));
  });
});
