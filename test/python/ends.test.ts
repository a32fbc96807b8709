import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { alive, client, exists, PROGRAMS, pythons, readyHost, scratch, until, type Host, type Rank } from "./host.ts";

/** How long what ends may take (ms), also on a busy machine. */
const QUICKLY = 30_000;

/**
 * Has a task start three processes: a child, one in a session of its own, and one that is orphaned at once; returns
 * their pids.
 */
const FAMILY = `
def start():
    import os, subprocess
    sleep = ["sleep", "600"]
    child = subprocess.Popen(sleep)
    session = subprocess.Popen(sleep, start_new_session=True)
    orphan = subprocess.run(["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"], capture_output=True, text=True, start_new_session=True)
    return [child.pid, session.pid, int(orphan.stdout)]
print(*list(client.run(start).values())[0])`;

async function withFamily(
  host: Host,
): Promise<{ readonly scheduler: Rank; readonly worker: Rank; readonly pids: readonly number[] }> {
  const scheduler = await host.scheduler();
  const worker = host.worker(scheduler.address);
  await worker.next("ready");
  const started = (await client(host.python, scheduler.address, FAMILY)).split(" ").map(Number);
  const pids = [await worker.pid(), ...started];
  expect(pids.map(alive)).toEqual([true, true, true, true]);
  return { scheduler, worker, pids };
}

async function gone(pids: readonly number[]): Promise<void> {
  await until(() => !pids.some(alive), `the processes ${pids.filter(alive).join(", ")} to go`, QUICKLY);
}

describe.each(pythons())("the end of children, with %s", (python) => {
  test("a rank that goes takes its worker along, and all that the worker started", async () => {
    await using host = await readyHost(python);
    const { worker, pids } = await withFamily(host);
    worker.control.destroy();
    await gone(pids);
  });

  test("a worker that is killed takes along what it started, and its rank is told", async () => {
    await using host = await readyHost(python);
    const { worker, pids } = await withFamily(host);
    process.kill(pids[0] ?? 0, "SIGKILL");
    expect(await worker.next("exit")).toMatchObject({ event: "exit", code: null, signal: 9 });
    await gone(pids);
  });

  test("a worker that stops in order takes along what it started, and leaves other workers' processes alone", async () => {
    await using host = await readyHost(python);
    const { worker, pids } = await withFamily(host);
    const other = await withFamily(host);
    worker.say({ op: "stop", grace: 2 });
    expect(await worker.next("exit")).toMatchObject({ code: 0 });
    await gone(pids);
    expect(other.pids.map(alive)).toEqual([true, true, true, true]);
  });

  test("a leader that is killed outright leaves no process and no folder", async () => {
    const folder = process.env["TMPDIR"] ?? "/tmp";
    const leader = spawn(
      process.execPath,
      ["--input-type=module", "-e", LEADER, python, join(PROGRAMS, "forkserver.py"), folder],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    let text = "";
    leader.stdout.setEncoding("utf8").on("data", (data: string) => (text += data));
    await until(() => text.includes("\n"), "the leader");
    const { dir, server, worker } = JSON.parse(text) as { dir: string; server: number; worker: number };
    expect([server, worker].map(alive)).toEqual([true, true]);
    leader.kill("SIGKILL");
    await once(leader, "exit");
    await gone([server, worker]);
    expect(exists(dir)).toBe(false);
  });

  test("a fork server that is killed takes its children along", async () => {
    await using host = await readyHost(python);
    const { scheduler, worker, pids } = await withFamily(host);
    host.process.kill("SIGKILL");
    await gone([pids[0] ?? 0, await scheduler.pid()]);
    await until(() => worker.control.destroyed || worker.control.readableEnded, "the connection to end", QUICKLY);
    for (const pid of pids.slice(1).filter(alive)) process.kill(pid, "SIGKILL");
  });

  test("an order to end stops all within its grace, also what does not listen", async () => {
    await using host = await readyHost(python);
    const scheduler = await host.scheduler();
    const worker = host.worker(scheduler.address);
    await worker.next("ready");
    process.kill(await worker.pid(), "SIGSTOP");
    // The scheduler tries for 2 s to close in order (CHILD_STOP_SECONDS), on a busy machine longer: only then is the
    // worker's time short.
    const end = (grace: number): void => void host.process.stdin?.write(`${JSON.stringify({ op: "end", grace })}\n`);
    end(30);
    expect(await scheduler.next("exit")).toMatchObject({ code: 0 });
    end(1);
    expect(await worker.next("exit")).toMatchObject({ signal: 9 });
    await until(() => host.process.exitCode === 0, "the fork server to end", QUICKLY);
    expect(exists(host.folder)).toBe(false);
  });

  test("a batch system's signals to every process end none: the rank may still move a worker's results", async () => {
    await using host = await readyHost(python);
    const scheduler = await host.scheduler();
    const worker = host.worker(scheduler.address);
    await worker.next("ready");
    for (const pid of [host.process.pid ?? 0, await scheduler.pid(), await worker.pid()]) {
      for (const signal of ["SIGTERM", "SIGUSR1", "SIGUSR2"]) process.kill(pid, signal);
    }
    await client(python, scheduler.address, "print(client.submit(sum, [1, 2]).result())");
    host.process.stdin?.write(`${JSON.stringify({ op: "end", grace: 10 })}\n`);
    expect(await worker.next("exit")).toMatchObject({ code: 0 });
    await until(() => host.process.exitCode === 0, "the fork server to end", QUICKLY);
  });

  test("a worker that crashes says by which signal, one that exits with which code", async () => {
    await using host = await readyHost(python);
    const scheduler = await host.scheduler();
    const [crash, leave] = [
      host.worker(scheduler.address, { kwargs: { name: "crash" } }),
      host.worker(scheduler.address, { kwargs: { name: "leave" } }),
    ];
    await Promise.all([crash.next("ready"), leave.next("ready")]);
    // The client stays until its task has ended the worker: the tasks of a client that goes may be forgotten before
    // they run.
    const end = (name: string, how: string): Promise<string> =>
      client(
        python,
        scheduler.address,
        `
import time
task = client.submit(lambda: ${how}, workers=["${name}"], allow_other_workers=False)
until = time.monotonic() + 30
while any(worker["name"] == "${name}" for worker in client.scheduler_info()["workers"].values()):
    assert time.monotonic() < until
    time.sleep(0.02)`,
      );
    await end("crash", `__import__("os").abort()`);
    await end("leave", `__import__("os")._exit(9)`);
    expect(await crash.next("exit")).toMatchObject({ event: "exit", code: null, signal: 6 });
    expect(await leave.next("exit")).toMatchObject({ event: "exit", code: 9, signal: null });
  });

  test("takes the rank's cores and limits", async () => {
    await using host = await readyHost(python);
    const scheduler = await host.scheduler();
    const marker = join(host.folder, "seen");
    const code = `
import json, os, resource, socket, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
resource.setrlimit(resource.RLIMIT_NOFILE, (333, 444))
def line(message):
    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall((json.dumps(message) + "\\n").encode()); return s
stdio = line({"op": "stdio", "id": "x"})
control = line({"op": "fork", "id": "x", "kind": "worker", "env": dict(os.environ), "cwd": "/", "cpu_count": 1, "memory_limit": None, "sys_path": [],
    "params": {"scheduler": sys.argv[2], "kwargs": {"name": "limited", "host": "127.0.0.1", "dashboard_address": ":0", "local_directory": sys.argv[4]}}})
for text in control.makefile():
    if json.loads(text)["event"] == "ready": open(sys.argv[3], "w").write("ready")
`;
    const script = join(host.folder, "rank.py");
    writeFileSync(script, code);
    const rank = spawn(python, [script, host.socket, scheduler.address, marker, join(host.folder, "w")], {
      stdio: "inherit",
    });
    await until(() => exists(marker), "the worker");
    const seen = await client(
      python,
      scheduler.address,
      `print(list(client.run(lambda: (len(__import__("os").sched_getaffinity(0)), __import__("resource").getrlimit(__import__("resource").RLIMIT_NOFILE))).values()))`,
    );
    expect(seen).toBe("[(1, (333, 444))]");
    expect(readFileSync(marker, "utf8")).toBe("ready");
    rank.kill("SIGKILL");
    await once(rank, "exit");
  });
});

/** A leader in a process of its own: starts a fork server and one worker that waits, and prints the pids. */
const LEADER = `
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { connect } from "node:net";
import { createInterface } from "node:readline";
const [python, entry, tmp] = process.argv.slice(1);
const dir = mkdtempSync(tmp + "/tsdask-leader-");
const server = spawn(python, [entry], { detached: true, stdio: ["pipe", "pipe", "inherit"] });
server.stdin.write(JSON.stringify({ op: "start", socket: dir + "/fork.sock", host_dir: dir }) + "\\n");
createInterface(server.stdout).on("line", (line) => {
  if (JSON.parse(line).event !== "ready") return;
  const stdio = connect(dir + "/fork.sock"); stdio.write(JSON.stringify({ op: "stdio", id: "x" }) + "\\n");
  const control = connect(dir + "/fork.sock");
  control.write(JSON.stringify({ op: "fork", id: "x", kind: "worker", env: process.env, cwd: "/", params: {} }) + "\\n");
  createInterface(control).on("line", (text) => process.stdout.write(JSON.stringify({ dir, server: server.pid, worker: JSON.parse(text).pid }) + "\\n"));
});
`;

test.each(pythons())("a leader killed as it removed its folder leaves none above it, with %s", async (python) => {
  const base = mkdtempSync(join(tmpdir(), "tsdask-base-"));
  const folder = join(base, "0123456789abcdef");
  const server = spawn(python, [join(PROGRAMS, "forkserver.py")], { stdio: ["pipe", "ignore", "ignore"] });
  server.stdin.end(`${JSON.stringify({ op: "start", socket: join(folder, "fork.sock"), host_dir: folder })}\n`);
  expect(await once(server, "exit")).toEqual([1, null]);
  expect(exists(base)).toBe(false);
});

test.each(pythons())("a fork server that may make no socket in its folder says so, with %s", (python) => {
  using place = scratch("tsdask-place-");
  const file = join(place.path, "file");
  writeFileSync(file, "");
  const start = { op: "start", socket: join(file, "fork.sock"), host_dir: file };
  const { status, stdout, stderr } = spawnSync(python, [join(PROGRAMS, "forkserver.py")], {
    input: `${JSON.stringify(start)}\n`,
    encoding: "utf8",
  });
  expect([status, stderr]).toEqual([1, ""]);
  expect(JSON.parse(stdout)).toMatchObject({ event: "failed", reason: "folder", message: "Not a directory (ENOTDIR)" });
});
