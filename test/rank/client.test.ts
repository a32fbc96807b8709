import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { procStat } from "../../src/launcher/proc-stat.ts";
import type { RankEvent } from "../../src/protocol/messages.ts";
import { runClient } from "../../src/rank/client.ts";

vi.mock("../../src/rank/child.ts", async (original) => ({
  ...(await original<object>()),
  // A process in an uninterruptible wait, as on a file system that hangs: no signal ends it.
  killPid: () => true,
}));

/** Runs a program in `folder` as the script; what is reported goes to `told`. */
const run = (folder: string, args: readonly string[], told: RankEvent[], env: Record<string, string> = {}) =>
  runClient({
    start: { file: "/bin/sleep", python: "/usr/bin/python3", args, env: {} } as never,
    env: { PATH: "/usr/bin:/bin", ...env },
    cwd: folder,
    address: "127.0.0.1",
    watchdogSocket: join(folder, "none.sock"),
    pythonRoot: folder,
    report: (event) => void told.push(event),
  });

/** The pid of the script, once it is told. */
async function startedAs(told: readonly RankEvent[]): Promise<number> {
  await expect.poll(() => told).toHaveLength(1);
  return (told[0] as Extract<RankEvent, { k: "client-started" }>).pid;
}

const isAlive = (pid: number): boolean => procStat(pid) !== undefined;

test("a script that not even SIGKILL ends does not hold the launch", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tsdask-client-"));
  const told: RankEvent[] = [];
  const script = await run(folder, ["100"], told);
  const pid = await startedAs(told);
  try {
    await script.end(0);
    const exit = { k: "client-exit", code: 137, signal: "SIGKILL" };
    expect(told.slice(1)).toEqual([exit]);
    // It ends after all, and the rank has not left yet.
    process.kill(pid, "SIGKILL");
    await script.end(0);
    expect(told.slice(1)).toEqual([exit]);
  } finally {
    if (isAlive(pid)) process.kill(pid, "SIGKILL");
    rmSync(folder, { recursive: true });
  }
});

test.each([
  ["in a PBS job, which counts and kills by session, in its rank's", { PBS_JOBID: "7.pbs01" }, process.pid],
  ["elsewhere in one of its own, and so in a group that no launcher signals", {}, undefined],
])("the script is in a session %s", async (_, env, rank) => {
  const folder = mkdtempSync(join(tmpdir(), "tsdask-client-"));
  const told: RankEvent[] = [];
  try {
    await run(folder, ["1"], told, env);
    const pid = await startedAs(told);
    expect(procStat(pid)?.session).toBe(rank === undefined ? pid : procStat(rank)?.session);
    await expect.poll(() => told.slice(1)).toEqual([{ k: "client-exit", code: 0 }]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
