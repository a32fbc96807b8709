import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { adaptCommand } from "../../src/commands/adapt.ts";
import { systemHere } from "../../src/commands/growth-options.ts";
import { scaleCommand } from "../../src/commands/scale.ts";
import { scriptCommand } from "../../src/commands/script.ts";

let folder = "";
let site = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tsdask-script-test-"));
  site = join(folder, "site.yaml");
  writeFileSync(site, "");
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Variables that a test adds to the command's environment. */
let more: Readonly<Record<string, string>> = {};
afterEach(() => void (more = {}));

async function ran(
  command: typeof scriptCommand,
  ...argv: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const said = { stdout: "", stderr: "" };
  const sink = (name: "stdout" | "stderr") => ({ write: (text: string) => void (said[name] += text) });
  const env = { PATH: folder, HOME: folder, XDG_CONFIG_HOME: folder, TSDASK_SITE_CONFIG: site, ...more };
  const code = await command(argv, { env, cwd: folder, stdout: sink("stdout"), stderr: sink("stderr") });
  return { code, ...said };
}

describe("tsdask-mpi script", () => {
  it("writes to stdout, with what follows the options as the job", async () => {
    const { code, stdout } = await ran(
      scriptCommand,
      "slurm",
      "--nodes=3",
      "--time",
      "90m",
      "analysis.py",
      "--nodes",
      "9",
    );
    expect(code).toBe(0);
    expect(stdout).toContain("#SBATCH --nodes=3\n");
    expect(stdout).toContain("#SBATCH --time=01:30:00\n");
    expect(stdout).toMatch(/tsdask-mpi analysis\.py --nodes 9\n$/);
  });
  it("passes tsdask-mpi's own options on behind --", async () => {
    expect((await ran(scriptCommand, "pbs", "--", "--jupyter", "lab")).stdout).toMatch(/tsdask-mpi --jupyter lab\n$/);
  });
  it("takes defaults from the user's file, then the site's; the command line comes first", async () => {
    writeFileSync(
      site,
      "script:\n  queue: site\n  account: all\n  modules: [python, openmpi]\n  time: 2:00:00\n  env: {A: 1}\n",
    );
    writeFileSync(join(folder, "tsdask-mpi.yaml"), "script:\n  queue: mine\n  threads: 4\n");
    const { stdout } = await ran(scriptCommand, "slurm", "--threads", "2", "a.py");
    for (const line of [
      "--partition=mine",
      "--account=all",
      "--cpus-per-task=2",
      "--time=02:00:00",
      "module load python openmpi",
      "export A=1",
    ])
      expect(stdout).toContain(line);
  });
  it("says which file has a key that is no option", async () => {
    writeFileSync(site, "script:\n  que: short\n");
    await expect(ran(scriptCommand, "slurm")).rejects.toThrow(
      /que is not an option \(from .*site\.yaml, script:\)[\s\S]*Did you mean `queue`/,
    );
  });
  it("writes a file that only its owner can read, over an open one too, and says that --env values stand in it", async () => {
    const path = join(folder, "secret.sh");
    for (const force of [[], ["--force"]]) {
      const { stderr } = await ran(scriptCommand, "slurm", "-o", "secret.sh", ...force, "--env", "PASSWORD=x", "a.py");
      expect(stderr).toMatch(/the values of --env stand in the script/);
      expect(statSync(path).mode & 0o777).toBe(0o700);
      chmodSync(path, 0o755);
    }
  });
  it("writes a file that can be run, and none over another unasked", async () => {
    const { stdout, stderr } = await ran(scriptCommand, "slurm", "-o", "job.sh", "a.py");
    expect([stdout, stderr]).toEqual(["", `Written to ${join(folder, "job.sh")}.\n`]);
    expect(statSync(join(folder, "job.sh")).mode & 0o700).toBe(0o700);
    await expect(ran(scriptCommand, "slurm", "-o", "job.sh", "b.py")).rejects.toMatchObject({ code: "TSD-100" });
    await ran(scriptCommand, "slurm", "-o", "job.sh", "--force", "b.py");
    expect(readFileSync(join(folder, "job.sh"), "utf8")).toContain("b.py");
  });
  it("joins the cluster of a file, by its whole path", async () => {
    expect((await ran(scriptCommand, "slurm", "--join", "scheduler.json", "--array", "4")).stdout).toContain(
      `--no-scheduler --scheduler-file "\${TSDASK_SCHEDULER_FILE:-${join(folder, "scheduler.json")}}"`,
    );
  });
  it("submits workers for the cluster of a file where the environment names another one", async () => {
    writeFileSync(join(folder, "sbatch"), '#!/bin/sh\necho "$TSDASK_SCHEDULER_FILE" >seen\necho 17\n', { mode: 0o755 });
    more = { TSDASK_SCHEDULER_FILE: "/cluster-A/scheduler.json" };
    await ran(scriptCommand, "slurm", "--join", "/cluster-B/scheduler.json", "--submit");
    expect(readFileSync(join(folder, "seen"), "utf8")).toBe("/cluster-B/scheduler.json\n");
  });
  it("waits on where a question about the job is not answered, and says so", async () => {
    writeFileSync(join(folder, "sbatch"), "#!/bin/sh\necho 17\n", { mode: 0o755 });
    const deaf = `[ -e ${folder}/asked ] || { : >${folder}/asked; echo Socket timed out >&2; exit 1; }`;
    writeFileSync(join(folder, "squeue"), `#!/bin/sh\n${deaf}\necho '17|17|RUNNING|None'\n`, { mode: 0o755 });
    const waited = await ran(scriptCommand, "slurm", "--submit", "--wait", "1m", "--", "hostname");
    expect(waited).toMatchObject({ code: 0, stdout: "17\n" });
    expect(waited.stderr).toMatch(
      /TSD-094 .*Socket timed out.* asked again\.\n.*the batch system answers again\.\n.*job 17 runs\.\n$/,
    );
  });
  it("does not wait longer than it was told for answers that do not come", async () => {
    writeFileSync(join(folder, "sbatch"), "#!/bin/sh\necho 17\n", { mode: 0o755 });
    writeFileSync(join(folder, "squeue"), "#!/bin/sh\necho Socket timed out >&2; exit 1\n", { mode: 0o755 });
    const waited = ran(scriptCommand, "slurm", "--submit", "--wait", "1s", "--", "hostname");
    await expect(waited).rejects.toMatchObject({ code: "TSD-094" });
  });
  it("notes options that need another one, those of a file's defaults aside", async () => {
    const noted = async (...argv: string[]) => (await ran(scriptCommand, "slurm", ...argv)).stderr;
    expect(await noted("--wait", "1m", "--force", "a.py")).toBe(
      "note: --wait has no effect without --submit.\nnote: --force has no effect without -o.\n",
    );
    expect(await noted("--", "a.py", "--wait", "--force")).toBe("");
    writeFileSync(site, "script:\n  wait: 1m\n  force: true\n");
    expect(await noted("a.py")).toBe("");
  });
  it("says which of a job's options stand behind the script's name, and are the script's own", async () => {
    const noted = async (...argv: string[]) => (await ran(scriptCommand, "slurm", ...argv)).stderr;
    expect(await noted("a.py", "--nodes", "2")).toBe(
      "note: --nodes stands after a.py, so it is the script's own; the job's options come before it.\n",
    );
    expect(await noted("a.py", "--nodes=2", "x", "--ranks-per-node", "8", "--nodes=3")).toMatch(
      /^note: --nodes and --ranks-per-node stand after a\.py, so they are/,
    );
    expect(await noted("--", "a.py", "--nodes", "2")).toBe("");
    expect(await noted("a.py", "--steps", "2", "--", "--nodes")).toBe("");
  });
  it.each([
    ["TSD-002", /3 are needed[\s\S]*--ranks-per-node/, ["--ranks-per-node", "2", "a.py"]],
    ["TSD-006", /Did you mean --memory-limit/, ["--", "--memory-limt", "4GiB", "a.py"]],
    ["TSD-003", /--memory-limit/, ["--", "--memory-limit", "4GIBB", "a.py"]],
    ["TSD-007", /--jupyter/, ["--", "--jupyter", "lab", "a.py"]],
    ["TSD-003", /TSDASK_NTHREADS/, ["--env", "TSDASK_NTHREADS=many", "a.py"]],
  ])("refuses with %s what would only fail in the job", async (code, says, argv) => {
    await expect(ran(scriptCommand, "slurm", ...argv)).rejects.toMatchObject({ code });
    await expect(ran(scriptCommand, "slurm", ...argv)).rejects.toThrow(says);
  });
  it("reads a launch's words as the job will", async () => {
    writeFileSync(site, "local-directory: ${JOBS_DISK}\n");
    for (const argv of [
      ["slurm", "--ranks-per-node", "2", "--", "--inclusive-workers", "a.py"],
      ["slurm", "--ranks-per-node", "1", "--nodes", "3", "a.py"],
      ["htcondor", "--ranks-per-node", "2", "a.py"],
      ["slurm", "--ranks-per-node", "1", "--env", "TSDASK_EXCLUSIVE_WORKERS=no", "--", "./simulate"],
      ["slurm", "--", "doctor"],
    ])
      expect(await ran(scriptCommand, ...argv)).toMatchObject({ code: 0 });
  });
  it("notes a script and an environment that are not there, before it submits", async () => {
    writeFileSync(join(folder, "here.py"), "");
    writeFileSync(join(folder, "sbatch"), "#!/bin/sh\necho 17\n", { mode: 0o755 });
    const submitted = async (...argv: string[]) =>
      (await ran(scriptCommand, "slurm", "--submit", ...argv)).stderr.replaceAll(/, seen from .*/g, "");
    expect(await submitted("--environment", "/no/env", "away.py")).toBe(
      "note: away.py is not there\nnote: /no/env is not there\n",
    );
    expect(await submitted("--environment", folder, "here.py")).toBe("");
    expect(await submitted("--environment", "conda", "--", "hostname")).toBe("");
  });
  it.each([
    ["TSD-093", "echo Submitted!", /was probably taken.*`squeue -u \$USER`.*report/],
    ["TSD-090", "echo 'Socket timed out on send/recv operation' >&2; exit 1", /may have been taken all the same/],
  ])("says that the job may be there where its answer is lost (%s)", async (code, line, cure) => {
    writeFileSync(join(folder, "sbatch"), `#!/bin/sh\n${line}\n`, { mode: 0o755 });
    const failure = await ran(scriptCommand, "slurm", "--submit", "--", "hostname").catch((error: unknown) => error);
    expect(failure).toMatchObject({ code, message: expect.stringMatching(cure) });
  });
  it.each([
    ["--modules", "nothing-of-this-name"],
    ["--environment", "/no/such/environment"],
    ["--environment", "no-such-environment"],
  ])("writes a job that ends before its launch where %s %s is not there", async (...asked) => {
    const { stdout } = await ran(scriptCommand, "slurm", ...asked, "--launcher", "echo launched", "a.py");
    const ended = spawnSync("/bin/bash", ["-c", stdout], {
      encoding: "utf8",
      env: { PATH: "/usr/bin:/bin" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    expect(ended).toMatchObject({ status: 1, stdout: "" });
  });
  it("tells on stderr what a batch system cannot express", async () => {
    expect((await ran(scriptCommand, "flux", "--memory", "1GiB", "a.py")).stderr).toMatch(
      /^note: Flux does not schedule memory/,
    );
  });
  it.each([
    [["slurmm"], "TSD-006", /Did you mean slurm\?/],
    [["slurm", "--ranks", "2"], "TSD-006", /--ranks is not an option/],
    [["slurm", "--nodes", "0"], "TSD-003", /from 1 to/],
    [["slurm", "--nodes", "--time"], "TSD-008", /--nodes has no value/],
    [["slurm", "--env", "A"], "TSD-003", /NAME=value/],
    [["slurm", "--queue", "a;b c"], "TSD-003", /--queue/],
    [["slurm", "--directive", "a\nb"], "TSD-003", /--directive/],
    [["slurm", "--memory", "lots"], "TSD-003", /bytes/],
    [["kubernetes", "--volume", "data"], "TSD-003", /CLAIM:\/path/],
  ])("refuses %j with what to do", async (argv, code, cure) => {
    await expect(ran(scriptCommand, ...argv)).rejects.toMatchObject({ code });
    await expect(ran(scriptCommand, ...argv)).rejects.toThrow(cure);
  });
  it("without a batch system shows how, exit 64; --help does the same on stdout, exit 0", async () => {
    expect(await ran(scriptCommand)).toMatchObject({ code: 64, stdout: "", stderr: expect.stringContaining("Usage:") });
    expect(await ran(scriptCommand, "--help")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("--ranks-per-node"),
      stderr: "",
    });
  });
});

describe("scale and adapt", () => {
  it("say how they are used", async () => {
    expect(await ran(scaleCommand)).toMatchObject({
      code: 64,
      stderr: expect.stringContaining("Usage: tsdask-mpi scale N"),
    });
    expect(await ran(scaleCommand, "-h")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("--workers-per-job"),
    });
    expect(await ran(adaptCommand, "--help")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("--target-duration"),
    });
  });
  it.each([
    [scaleCommand, ["many"], "TSD-003", /tsdask-mpi scale 20/],
    [scaleCommand, ["-3"], "TSD-006", /-3 is not an option/],
    [scaleCommand, ["3", "a.json", "b"], "TSD-006", /b is one word too many/],
    [scaleCommand, ["3"], "TSD-023", /no such file/],
    [adaptCommand, [], "TSD-006", /--max is missing/],
    [adaptCommand, ["--min", "4", "--max", "2"], "TSD-007", /--min 4 is more than --max 2/],
    [adaptCommand, ["--max", "2", "--batch", "torque"], "TSD-003", /one of slurm, pbs/],
  ] as const)("%o refuses %j", async (command, argv, code, cure) => {
    await expect(ran(command, ...argv)).rejects.toMatchObject({ code });
    await expect(ran(command, ...argv)).rejects.toThrow(cure);
  });
  it("find the batch system by this job, else by the submit command in PATH, else there is none", () => {
    const put = (name: string) => writeFileSync(join(folder, name), "", { mode: 0o755 });
    expect(systemHere({ PATH: folder })).toBe("local");
    put("qsub");
    expect(systemHere({ PATH: folder })).toBe("pbs");
    expect(systemHere({ PATH: folder, SGE_ROOT: "/sge" })).toBe("sge");
    put("sbatch");
    expect(systemHere({ PATH: folder })).toBe("slurm");
    expect(systemHere({ PATH: folder, LSB_JOBID: "1" })).toBe("lsf");
  });
});
