import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { logsCommand } from "../../src/commands/logs.ts";
import { deadlines } from "../../src/deadlines.ts";
import type { ClusterEntry } from "../../src/registry/cluster-entry.ts";
import { pendingLaunch, writeEntry } from "../../src/registry/write.ts";

const changed: { askCluster: number } = deadlines;

let folder = "";
beforeEach(() => {
  // A busy machine starts Slurm's commands late.
  changed.askCluster = 60_000;
  folder = mkdtempSync(join(tmpdir(), "tsdask-logs-"));
  mkdirSync(join(folder, "bin"));
  slurm("PENDING");
});
afterEach(() => rmSync(folder, { recursive: true }));

const env = (): NodeJS.ProcessEnv => ({ XDG_STATE_HOME: join(folder, "state"), PATH: `${folder}/bin:/usr/bin:/bin` });

/** Slurm's commands: its one job is in this state, or it knows none. */
function slurm(state: string | undefined): void {
  const does = state === undefined ? 'echo "Invalid job id specified" >&2; exit 1' : `echo "7|7|${state}|N/A"`;
  for (const [name, text] of [
    ["squeue", does],
    ["scontrol", "exit 1"],
  ] as const) {
    writeFileSync(join(folder, "bin", name), `#!/bin/sh\ntouch ${folder}/asked\n${text}\n`);
    chmodSync(join(folder, "bin", name), 0o755);
  }
}

const job = { system: "slurm", id: "7" } as const;

/** A cluster in a job, on a host that cannot be asked. */
const entry = (more: Partial<ClusterEntry>): ClusterEntry => ({
  ...{ format: 1, name: "night", launch: "abc.1", version: "0", state: "running", started: Date.now() / 1000 - 60 },
  ...{ pid: 1, startTime: "1", host: "node7", machine: "elsewhere 1", hosts: ["node7"], ranks: 3, workers: 1 },
  ...{ cwd: folder, folder: join(folder, ".tsdask-0123456789abcdef"), security: "tls", job, grace: 10 },
  ...more,
});

const waiting = (): ClusterEntry =>
  entry({ state: "pending", launch: pendingLaunch(job), folder, pid: 0, startTime: "", host: "login1", machine: "" });

/** A folder of logs with one line. */
function log(name: string, msg: string): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "node7.jsonl"), `${JSON.stringify({ level: 30, time: new Date(), rank: 0, msg })}\n`);
  return path;
}

/** The list has been read, and the batch system is asked. */
const isAsked = (): Promise<void> => expect.poll(() => existsSync(join(folder, "asked"))).toBe(true);

/** `logs night`; what it has said so far, and its end. */
function logs(...words: string[]): { readonly said: () => string; readonly ended: Promise<number> } {
  let said = "";
  const write = (text: string): unknown => (said += text);
  const ended = logsCommand(["night", ...words], { env: env(), cwd: folder, stdout: { write }, stderr: { write } });
  return { said: () => said, ended };
}

describe("a log that is followed ends", () => {
  it("with a cluster that is killed on another host", async () => {
    slurm("RUNNING");
    await writeEntry(entry({ log: log("kept", "it runs") }), env());
    const { said, ended } = logs("--follow");
    await expect.poll(said).toContain("it runs");
    slurm(undefined);
    expect(await ended).toBe(0);
    expect(said()).toContain("night has ended.");
  });

  it("with the launch that takes a pending job, whose lines it shows", async () => {
    log("log", "the user's own");
    await writeEntry(waiting(), env());
    const { said, ended } = logs("--follow");
    await isAsked();
    await writeEntry(entry({ state: "ended", code: 0, log: log("kept", "it ran") }), env());
    expect(await ended).toBe(0);
    expect(said()).toMatch(/\| it ran\ntsdask-mpi: night has ended\.\n$/);
    expect(said()).not.toContain("the user's own");
  });

  it("with a pending job that is cancelled, of which nothing is shown", async () => {
    log("log", "the user's own");
    await writeEntry(waiting(), env());
    const { said, ended } = logs("--follow");
    await isAsked();
    slurm(undefined);
    expect(await ended).toBe(0);
    expect(said()).toBe("tsdask-mpi: night has ended.\n");
    await expect(logs().ended).rejects.toMatchObject({ code: "TSD-149" });
  });
});
