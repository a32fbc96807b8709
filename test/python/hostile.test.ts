import { execFileSync, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmodSync, readFileSync, readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { alive, pythons, readyHost, until, type Host } from "./host.ts";

const TRIES = 1500;
const AT_ONCE = 100;
const GROWTH = 24 * 2 ** 20;

/** Bytes of a page of memory: 4 KiB on x86, up to 64 KiB on arm64. */
const pageSize = Number(execFileSync("getconf", ["PAGESIZE"], { encoding: "utf8" }));

/**
 * Open files that a fork server must be allowed, so that a third of them is more than one peer may have connections.
 */
const DESCRIPTORS = 8192;
const mostDescriptors = execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).trim();
const hasDescriptors = mostDescriptors === "unlimited" || Number(mostDescriptors) >= DESCRIPTORS;

interface Answer {
  readonly text: string;
}

/** Sends something to the fork server and returns what comes back until it hangs up. */
async function answerTo(path: string, ...pieces: readonly (string | Buffer)[]): Promise<Answer> {
  return new Promise((resolve) => {
    let text = "";
    const socket = open(path);
    socket
      .setEncoding("utf8")
      .on("data", (data: string) => (text += data))
      .on("close", () => resolve({ text }));
    for (const piece of pieces) socket.write(piece);
  });
}

function open(path: string): Socket {
  const socket = connect(path);
  return socket.on("error", () => socket.destroy());
}

function memory(host: Host): number {
  const pages = Number(readFileSync(`/proc/${host.process.pid}/statm`, "utf8").split(" ")[1]);
  return pages * pageSize;
}

function descriptors(host: Host): number {
  return readdirSync(`/proc/${host.process.pid}/fd`).length;
}

async function stillServes(host: Host): Promise<void> {
  const scheduler = await host.scheduler();
  const worker = host.worker(scheduler.address);
  await worker.next("ready");
  for (const rank of [worker, scheduler]) rank.say({ op: "stop", grace: 1 });
  await Promise.all([worker, scheduler].map(async (rank) => rank.next("exit")));
}

const FORK = { op: "fork", id: "x", kind: "worker", env: {}, cwd: "/", params: {} };

describe.each(pythons().slice(0, 1))("a fork server among enemies, with %s", (python) => {
  test("answers what is malformed with a reason, and goes on", async () => {
    await using host = await readyHost(python);
    const lines: readonly (string | object)[] = [
      "no json",
      "[]",
      "1",
      "null",
      '"fork"',
      "{",
      "{}",
      "\u0000\u0001",
      '{"op":',
      `${"[".repeat(200_000)}`,
      { op: "drop" },
      { op: "stdio" },
      { op: "stdio", id: 1 },
      { op: "stdio", id: "" },
      { op: "stdio", id: "x".repeat(1000) },
      { ...FORK, kind: "nanny" },
      { ...FORK, kind: ["worker"] },
      { ...FORK, env: null },
      { ...FORK, env: { a: 1 } },
      { ...FORK, env: { "a=b": "c" } },
      { ...FORK, env: { "": "c" } },
      { ...FORK, env: { a: "b\u0000c" } },
      { ...FORK, params: [] },
      { ...FORK, cwd: 5 },
      { ...FORK, sys_path: "no" },
      { ...FORK, sys_path: [1] },
    ];
    for (const line of lines) {
      const { text } = await answerTo(host.socket, `${typeof line === "string" ? line : JSON.stringify(line)}\n`);
      expect([line, JSON.parse(text) as unknown]).toEqual([
        line,
        { event: "refused", reason: "malformed", message: expect.any(String) as string },
      ]);
    }
    await stillServes(host);
    expect(host.stderr()).toBe("");
  });

  test("survives requests whose contents are nonsense: the child says so, and no other is touched", async () => {
    await using host = await readyHost(python);
    const nonsense: readonly object[] = [
      { params: { kwargs: { nthreads: "many" }, scheduler: "tcp://127.0.0.1:9" } },
      { params: { worker_class: "no.such.Class", scheduler: "tcp://127.0.0.1:9" } },
      { params: { worker_class: "os.path.join", scheduler: "tcp://127.0.0.1:9" } },
      { params: { scheduler: "no address:at:all" } },
      { params: { scheduler: "tcp://127.0.0.1:9", security: { ca: "/no", cert: "/no", key: "/no" } } },
      { params: { scheduler: "tcp://127.0.0.1:9", security: "tls" } },
      { params: { scheduler: "tcp://127.0.0.1:9", token_file: "/no" } },
      { params: { scheduler: "tcp://127.0.0.1:9", user_kwargs: { no_such_argument: 1 } } },
      { params: { scheduler: "tcp://127.0.0.1:9", preload: [["/no/such/file.py"]] } },
      { more: { cwd: "/no/such/folder" } },
      { more: { cpu_count: "two" } },
    ];
    for (const request of nonsense) {
      const rank = host.ask({
        kind: "worker",
        ...request,
        params: {
          ...("params" in request ? (request.params as object) : { scheduler: "tcp://127.0.0.1:9" }),
          log_level: "critical",
        },
      });
      const { event } = await rank.next("failed", 5000).catch(() => ({ event: "none" }));
      if (event === "none") rank.say({ op: "stop", grace: 0 });
      expect(rank.all.map((seen) => seen.event)).toContain("forked");
      await rank.next("exit");
    }
    await stillServes(host);
  });

  test("bounds a line that is too long", async () => {
    await using host = await readyHost(python);
    const before = memory(host);
    for (let round = 0; round < 5; round += 1) {
      const { text } = await answerTo(host.socket, Buffer.alloc(6 * 2 ** 20, "x"));
      expect(text === "" || (JSON.parse(text) as { reason: string }).reason === "malformed").toBe(true);
    }
    expect(memory(host) - before).toBeLessThan(GROWTH);
    await stillServes(host);
  });

  test("drops what is slow or half open after its deadline, and tells why", async () => {
    await using host = await readyHost(python, { config: { request_seconds: 0.5 } });
    const before = descriptors(host);
    const started = Date.now();
    const answers = await Promise.all([
      answerTo(host.socket),
      answerTo(host.socket, '{"op":'),
      answerTo(host.socket, `${JSON.stringify({ op: "stdio", id: "lonely" })}\n`),
      answerTo(host.socket, `${JSON.stringify(FORK)}\n`),
    ]);
    // Before the deadline that there is without `request_seconds` (10 s).
    expect(Date.now() - started).toBeLessThan(8000);
    expect(answers.map(({ text }) => (JSON.parse(text) as { reason: string }).reason)).toEqual([
      "late",
      "late",
      "late",
      "late",
    ]);
    await until(() => descriptors(host) <= before, "the descriptors to be given back");
    await stillServes(host);
  });

  test("a few thousand tries cost neither memory nor descriptors", async () => {
    await using host = await readyHost(python);
    await stillServes(host);
    const [memoryBefore, descriptorsBefore] = [memory(host), descriptors(host)];
    for (let round = 0; round < TRIES / AT_ONCE; round += 1) {
      await Promise.all(
        Array.from({ length: AT_ONCE }, async (_, number) =>
          answerTo(host.socket, number % 3 === 0 ? randomBytes(500) : "{}", "\n"),
        ),
      );
      for (const socket of Array.from({ length: AT_ONCE }, () => open(host.socket))) socket.destroy();
    }
    await until(() => descriptors(host) <= descriptorsBefore, "the descriptors to be given back");
    expect(memory(host) - memoryBefore).toBeLessThan(GROWTH);
    await stillServes(host);
  });

  test.runIf(hasDescriptors)(
    "a peer that opens more connections than a host has ranks is held back, others are not",
    async () => {
      await using host = await readyHost(python, {
        prefix: ["prlimit", `--nofile=${DESCRIPTORS}:${DESCRIPTORS}`],
        config: { request_seconds: 20 },
      });
      const code = `
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (${DESCRIPTORS}, ${DESCRIPTORS}))
held = []
for _ in range(3000):
    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); held.append(s)
print("held", flush=True); time.sleep(60)`;
      const flood = spawn(python, ["-c", code, host.socket], { stdio: ["ignore", "pipe", "inherit"] });
      let most = 0;
      try {
        expect(String(await once(flood.stdout, "data"))).toContain("held");
        // The room for one peer: MOST_PENDING_PER_PEER of requests.py.
        await until(() => (most = Math.max(most, descriptors(host))) >= 2048, "the connections to be taken");
        await stillServes(host);
        most = Math.max(most, descriptors(host));
      } finally {
        flood.kill();
        await once(flood, "exit");
      }
      expect(most).toBeLessThan(2200);
    },
  );

  test.runIf(process.getuid?.() === 0)(
    "another user gets nothing, even where the file's mode would let them in",
    async () => {
      await using host = await readyHost(python);
      const code = `import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'{"op":"stdio","id":"x"}\\n'); print(repr(s.recv(100)))`;
      const asNobody = () =>
        spawnSync(
          "setpriv",
          ["--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", code, host.socket],
          { encoding: "utf8", timeout: 10_000 },
        );
      expect(asNobody().stderr).toContain("PermissionError");
      chmodSync(host.folder, 0o755);
      chmodSync(host.socket, 0o666);
      const open = asNobody();
      expect(`${open.stdout}${open.stderr}`).toMatch(/b''|ConnectionResetError|BrokenPipeError/);
      await stillServes(host);
    },
  );

  test("a rank in another cgroup is told to start its child itself", async () => {
    const source = `
from tsdask_mpi.cgroup_check import difference
same = {"": "/slurm/step_0/user/task_0"}
for ours, theirs, env in [
    (same, same, {}), (same, {}, {}), (same, {"": "/slurm/step_0/user/task_7"}, {}), (same, {"": "/slurm/step_0/user/task_7"}, {"CUDA_VISIBLE_DEVICES": "1"}),
    (same, {"": "/slurm/step_1/user/task_0"}, {}), ({"memory": "/a", "name=systemd": "/x"}, {"memory": "/a", "name=systemd": "/y"}, {}),
    ({"cpuset": "/s/task_0"}, {"cpuset": "/s/task_1"}, {}), ({"memory": "/s/task_0"}, {"memory": "/s/task_1"}, {})]:
    print("yes" if difference(ours, theirs, env) else "no")`;
    const said = execFileSync(python, ["-c", source], {
      encoding: "utf8",
      env: { ...process.env, PYTHONPATH: "python" },
    });
    expect(said.trim().split("\n")).toEqual(["no", "no", "no", "yes", "yes", "no", "yes", "no"]);
  });

  test("nobody stays when all is over", async () => {
    const host = await readyHost(python);
    const pid = host.process.pid ?? 0;
    for (let number = 0; number < 20; number += 1) open(host.socket).write("{");
    await host[Symbol.asyncDispose]();
    expect(alive(pid)).toBe(false);
  });
});
