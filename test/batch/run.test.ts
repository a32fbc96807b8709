import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { commandShell, outsideJob } from "../../src/batch/run.ts";

const env = { PATH: process.env["PATH"], SLURM_NTASKS: "4", SLURM_CONF: "/etc/slurm.conf" };
const shell = commandShell({ env, deadline: 60_000 });

describe("commands of a batch system", () => {
  it("return what they said and how they ended", async () => {
    expect(await shell.run("sh", ["-c", "echo out; echo err >&2; exit 3"])).toEqual({
      code: 3,
      stdout: "out",
      stderr: "err",
    });
  });
  it("read what they are given, in the folder and with the variables they are given", async () => {
    expect(
      await shell.run("sh", ["-c", "cat; pwd; echo $A"], { input: "in\n", cwd: "/", env: { A: "b c" } }),
    ).toMatchObject({ stdout: "in\n/\nb c" });
  });
  it("do not see the job around them", async () => {
    expect(await shell.run("sh", ["-c", "echo $SLURM_NTASKS$SLURM_CONF"])).toMatchObject({ stdout: "/etc/slurm.conf" });
  });
  it("that are not installed, or do not answer in time, are told as such", async () => {
    await expect(shell.run("no-such-command", [])).rejects.toMatchObject({ code: "TSD-091" });
    await expect(shell.run("no-such-command", [], { cwd: "/" })).rejects.toMatchObject({ code: "TSD-091" });
    await expect(shell.run("true", [], { cwd: "/no/such" })).rejects.toMatchObject({ code: "TSD-208" });
    await expect(commandShell({ env, deadline: 700 }).run("sleep", ["300"])).rejects.toMatchObject({ code: "TSD-092" });
  });
  it.each([
    ["in time", "echo 77; exit 3", { code: 3, stdout: "77", stderr: "" }],
    ["too late", "exec sleep 300", undefined],
  ])("are not waited for by what they leave behind with their pipes, having ended %s", async (_, line, answer) => {
    const begun = performance.now();
    const mark = `${process.pid}.${Math.round(begun)}`;
    const left = `(trap "" TERM; exec sleep 40) & echo $! > ${join(tmpdir(), mark)}; `;
    const ran = commandShell({ env, deadline: 3_000 }).run("sh", ["-c", left + line]);
    try {
      if (answer === undefined) await expect(ran).rejects.toMatchObject({ code: "TSD-092" });
      else expect(await ran).toEqual(answer);
      expect(performance.now() - begun).toBeLessThan(15_000);
    } finally {
      process.kill(Number(readFileSync(join(tmpdir(), mark), "utf8")), "SIGKILL");
      rmSync(join(tmpdir(), mark));
    }
  });
});

it("an environment outside the job keeps what is not the job's or its launcher's", () => {
  const env = {
    PATH: "/bin",
    SLURM_JOB_ID: "1",
    SLURM_CONF: "c",
    SLURM_CLUSTERS: "x",
    PMI_RANK: "0",
    OMPI_COMM_WORLD_RANK: "0",
    OMPI_MCA_x: "1",
    TSDASK_SCRIPT_MARK: "m",
    TSDASK_RANK: "0",
    TSDASK_SIZE: "1",
    TSDASK_SCHEDULER_FILE: "s",
    FLUX_URI: "u",
    FLUX_TASK_RANK: "0",
    PBS_DEFAULT: "srv",
  };
  expect(outsideJob(env)).toEqual({
    PATH: "/bin",
    SLURM_CONF: "c",
    SLURM_CLUSTERS: "x",
    TSDASK_SCHEDULER_FILE: "s",
    FLUX_URI: "u",
    PBS_DEFAULT: "srv",
  });
});
