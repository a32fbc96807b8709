import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { filesIn } from "../integration/bed/left.ts";
import { client, exists, mode, pythons, readyHost, scratch, until } from "./host.ts";

describe.each(pythons())("a cluster forked from %s", (python) => {
  test("starts a scheduler and workers that compute, and stops them quickly and without a word", async () => {
    await using host = await readyHost(python);
    const scheduler = await host.scheduler();
    const workers = ["a", "b", "c"].map((name) => host.worker(scheduler.address, { kwargs: { name } }));
    const ready = await Promise.all(workers.map(async (worker) => worker.next("ready")));
    expect(ready.map(({ name, nthreads, memory_limit }) => ({ name, nthreads, memory_limit }))).toEqual(
      ["a", "b", "c"].map((name) => ({ name, nthreads: 1, memory_limit: 2 ** 28 })),
    );
    expect((await scheduler.next("ready"))["identity"]).toMatchObject({
      type: "Scheduler",
      address: scheduler.address,
      workers: {},
    });
    expect(
      await client(python, scheduler.address, "print(sum(client.gather(client.map(lambda x: x + 1, range(100)))))"),
    ).toBe("5050");

    const before = Date.now();
    for (const rank of [...workers, scheduler]) rank.say({ op: "stop", grace: 50 });
    const exits = await Promise.all([...workers, scheduler].map(async (rank) => rank.next("exit")));
    // None waits until its grace is over.
    expect(Date.now() - before).toBeLessThan(40_000);
    expect(exits).toMatchObject(exits.map(() => ({ event: "exit", code: 0, signal: null })));
    expect(workers.map((worker) => worker.all.map(({ event }) => event))).toEqual(
      workers.map(() => ["forked", "ready", "closing", "exit"]),
    );
    expect([...workers, scheduler].map((rank) => rank.output())).toEqual(["", "", "", ""]);
    expect(host.stderr()).toBe("");
  });

  test("has a private socket, tells what it is, and has one thread", async () => {
    await using host = await readyHost(python);
    expect(mode(host.socket)).toBe(0o600);
    const version = execFileSync(python, ["-c", "import platform; print(platform.python_version())"], {
      encoding: "utf8",
    }).trim();
    expect(await host.next("ready")).toMatchObject({
      python: version,
      executable: python,
      threads: 1,
      packages: { tornado: expect.stringMatching(/^[0-9.]+$/) as string },
    });
  });

  test("leaves nothing in shared memory of a worker that is killed", async () => {
    await using host = await readyHost(python);
    const scheduler = await host.scheduler();
    const worker = host.worker(scheduler.address, {});
    const pid = await worker.pid();
    await worker.next("ready");
    const made = await client(
      python,
      scheduler.address,
      `
def make():
    import builtins
    from multiprocessing import get_context, shared_memory
    builtins.kept = get_context("spawn").Lock(), shared_memory.SharedMemory(create=True, size=1 << 16)
    return "sem." + builtins.kept[0]._semlock.name[1:] + " " + builtins.kept[1].name
print(*client.run(make).values())`,
    );
    const files = made.split(" ").map((name) => `/dev/shm/${name}`);
    expect(files.map(exists)).toEqual([true, true]);
    process.kill(pid, "SIGKILL");
    await worker.next("exit");
    await until(() => !files.some(exists), "what it had in shared memory to go");
  });

  test("gives a worker that is forked early the address later, also when the order follows the request at once", async () => {
    await using host = await readyHost(python);
    const scheduler = await host.scheduler();
    const early = host.ask({ kind: "worker", params: { kwargs: { host: "127.0.0.1", dashboard_address: ":0" } } });
    early.say({ op: "address", scheduler: scheduler.address });
    expect(await early.next("ready")).toMatchObject({ address: expect.stringContaining("tcp://127.0.0.1:") as string });
  });

  test("gives each child its rank's environment, folder, path, configuration, shares and a random state of its own", async () => {
    using folder = scratch("tsdask-cwd-");
    const place = folder.path;
    await using host = await readyHost(python, {
      env: { DASK_FOO__BAR: "the server's", ONLY_THERE: "1", OMP_NUM_THREADS: "" },
    });
    const scheduler = await host.scheduler();
    const request = {
      env: { DASK_FOO__BAR: "the rank's", ONLY_HERE: "2", OMP_NUM_THREADS: "3" },
      more: { cwd: place, sys_path: [place], cpu_count: 7, memory_limit: 2 ** 30 },
    };
    const config = {
      "baz.quux": 5,
      "distributed.nanny.environ": { ONLY_HERE: "the nanny's", AFTER: 1, IN_BOTH: "after" },
      "distributed.nanny.pre-spawn-environ.BEFORE": 1,
      "distributed.nanny.pre-spawn-environ.IN_BOTH": "before",
    };
    const workers = [0, 1].map(() =>
      host.worker(scheduler.address, {
        request,
        params: { config },
        kwargs: { memory_limit: "auto" },
      }),
    );
    for (const worker of workers)
      expect(await worker.next("ready")).toMatchObject({ memory_limit: expect.any(Number) as number });
    const seen = await client(
      python,
      scheduler.address,
      `
def look(dask_worker):
    import dask, dask.system, distributed.system, os, random, sys
    return [os.environ.get(name) for name in ("ONLY_HERE", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BEFORE", "AFTER", "IN_BOTH", "MALLOC_TRIM_THRESHOLD_")] + [
        os.getcwd(), os.getcwd() in sys.path, dask.config.get("foo.bar"), dask.config.get("baz.quux"),
        dask.system.CPU_COUNT, distributed.system.MEMORY_LIMIT, os.getpgrp() == os.getpid(), sys.modules["__main__"].__dict__.get("__file__")], random.random()
import json
answers = list(client.run(look).values())
print(json.dumps([answers[0][0], answers[0][0] == answers[1][0], answers[0][1] != answers[1][1]]))`,
    );
    const [look, same, random] = JSON.parse(seen) as [unknown[], boolean, boolean];
    expect(look.slice(0, 6)).toEqual(["2", "3", "1", "1", "1", "after"]);
    expect(Number(look[6])).toBeGreaterThan(0);
    expect(look.slice(7)).toEqual([place, true, "the rank's", 5, 7, 2 ** 30, true, null]);
    expect([same, random]).toEqual([true, true]);
  });

  test("has its folder and its modules in a locale that lacks the characters of their paths", async () => {
    using folder = scratch("tsdask-ü-");
    writeFileSync(join(folder.path, "beside.py"), "");
    const env = { LC_ALL: "C", PYTHONCOERCECLOCALE: "0", PYTHONUTF8: "0" };
    await using host = await readyHost(python, { env, config: { script_folder: folder.path } });
    const scheduler = await host.scheduler();
    const more = { cwd: folder.path, sys_path: [folder.path] };
    await host.worker(scheduler.address, { request: { more } }).next("ready");
    const code = `
def look():
    import beside, os
    return os.getcwdb().decode()
print(client.submit(look).result().encode())`;
    expect(await client(python, scheduler.address, code)).toContain("-\\xc3\\xbc-");
  });

  test("reads other yaml files when the rank's configuration folder is another one", async () => {
    using folder = scratch("tsdask-dask-config-");
    writeFileSync(join(folder.path, "dask.yaml"), "from-a-file: yes-it-is\n");
    await using host = await readyHost(python);
    const scheduler = await host.scheduler();
    await host.worker(scheduler.address, { request: { env: { DASK_CONFIG: folder.path } } }).next("ready");
    expect(
      await client(
        python,
        scheduler.address,
        `print(list(client.run(lambda: __import__("dask").config.get("from-a-file")).values()))`,
      ),
    ).toBe("['yes-it-is']");
  });

  test("passes on what a task prints, line by line, and Dask's logs at their level", async () => {
    await using host = await readyHost(python);
    const scheduler = await host.scheduler();
    const worker = host.worker(scheduler.address, { params: { log_level: "info" } });
    await worker.next("ready");
    await until(() => worker.output().includes("distributed.worker - INFO"), "its log");
    await client(python, scheduler.address, `client.run(lambda: print("gr\\u00fc\\u00dfe from a task"))`);
    await until(() => worker.output().includes("grüße from a task\n"), "the line");
  });

  test("removes a worker's local directory, however it ends", async () => {
    await using host = await readyHost(python);
    const scheduler = await host.scheduler();
    const workers = [0, 1].map(() => host.worker(scheduler.address));
    await Promise.all(workers.map(async (worker) => worker.next("ready")));
    const scratch = (): string[] => filesIn(join(host.folder, "w")).filter((name) => /(^|\/)worker-/.test(name));
    expect(scratch().length).toBeGreaterThanOrEqual(2);
    workers[0]?.say({ op: "stop", grace: 2 });
    process.kill(Number((await workers[1]?.next("forked"))?.["pid"]), "SIGKILL");
    expect(await workers[1]?.next("exit")).toMatchObject({ event: "exit", code: null, signal: 9 });
    await workers[0]?.next("exit");
    await until(() => scratch().length === 0, `the folders to go: ${scratch().join(" ")}`);
  });

  test("leaves nothing when its leader goes, and removes the host's folder", async () => {
    const host = await readyHost(python);
    const scheduler = await host.scheduler();
    const worker = host.worker(scheduler.address);
    await worker.next("ready");
    await host[Symbol.asyncDispose]();
    expect(host.process.exitCode).toBe(0);
    expect(exists(host.folder)).toBe(false);
    // It was asked to end, in a second (ORPHANS_SECONDS), which may pass on a slow machine before it says so.
    const events = worker.all.map(({ event }) => event).filter((event) => event !== "closing");
    expect(events).toEqual(["forked", "ready", "exit"]);
    expect([worker.output(), scheduler.output(), host.stderr()]).toEqual(["", "", ""]);
  });

  test("workers that take long to start hold up the others for a moment only", async () => {
    await using host = await readyHost(python);
    const slow = join(host.folder, "slow.py");
    const go = join(host.folder, "go");
    writeFileSync(slow, `import os, time\nwhile not os.path.exists(${JSON.stringify(go)}):\n    time.sleep(0.05)\n`);
    const scheduler = await host.scheduler();
    const places = 4 * availableParallelism();
    const held = Array.from({ length: places }, (_, number) =>
      host.worker(scheduler.address, { kwargs: { name: `slow${number}` }, params: { preload: [[slow]] } }),
    );
    await host.worker(scheduler.address, { kwargs: { name: "quick" } }).next("ready", 30_000);
    writeFileSync(go, "");
    for (const rank of held) await rank.next("ready");
  });
});
