import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { local } from "../../src/batch/local.ts";
import { commandShell } from "../../src/batch/run.ts";

/** Whether anything runs in this process group (negative, as kill(2) takes it). */
function hasProcesses(group: number): boolean {
  try {
    return process.kill(group, 0);
  } catch {
    return false;
  }
}

it("a local job runs in the background under its id, and is cancelled with all its processes", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tsdask-local-"));
  const path = join(folder, "w.sh");
  writeFileSync(path, "echo job $TSDASK_JOB $X\nsleep 60 &\nsleep 60\n");
  const shell = commandShell({ env: process.env });
  const id = await local.submit({ path, env: { X: "y z" }, logFolder: join(folder, "log") }, shell);
  expect(id).toMatch(/^local\.\d+\.\d+$/);
  await expect
    .poll(() => readdirSync(join(folder, "log")).map((name) => readFileSync(join(folder, "log", name), "utf8")), {
      timeout: 10_000,
    })
    .toEqual([`job ${id} y z\n`]);
  const other = id.replace(/\d+$/, "1");
  expect(Object.fromEntries(await local.states([id, other], shell))).toEqual({ [id]: "running", [other]: "gone" });
  await local.cancel([id, other], shell);
  await expect.poll(async () => (await local.states([id], shell)).get(id), { timeout: 10_000 }).toBe("gone");
  const group = -Number(id.split(".")[1]);
  await expect.poll(() => hasProcesses(group), { timeout: 10_000 }).toBe(false);
  rmSync(folder, { recursive: true });
});
