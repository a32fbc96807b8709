import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { client, PROGRAMS, pythons, readyHost, scratch, startHost, until } from "./host.ts";

function modules(files: Readonly<Record<string, string>>): ReturnType<typeof scratch> {
  const folder = scratch("tsdask-modules-");
  const { path } = folder;
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(path, name, ".."), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return folder;
}

function hasOpenBlas(python: string): boolean {
  return spawnSync(python, ["-c", "import numpy; assert 'openblas' in open('/proc/self/maps').read()"]).status === 0;
}

function hasOpenMP(python: string): boolean {
  return spawnSync(python, ["-c", "import ctypes; ctypes.CDLL('libgomp.so.1')"]).status === 0;
}

/** The sockets and pipes that a process has open. */
function sockets(pid: number): ReadonlySet<string> {
  const { stdout } = spawnSync("sh", ["-c", `readlink /proc/${pid}/fd/*`], { encoding: "utf8" });
  return new Set(stdout.split("\n").filter((link) => /^(socket|pipe):/.test(link)));
}

const THREADED = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n";

describe.each(pythons())("what the fork server imports, with %s", (python) => {
  test("keeps the user's modules warm, and names those that cannot be", async () => {
    using folder = modules({
      "warm_one.py": "COUNT = []\nCOUNT.append(1)\n",
      "broken_one.py": "raise RuntimeError('no licence')\n",
    });
    await using host = await readyHost(python, {
      config: { warm: ["warm_one", "broken_one", "missing_one"] },
      env: { PYTHONPATH: folder.path },
    });
    const failed = host.all
      .filter(({ event }) => event === "failed")
      .map(({ reason, module, message }) => [reason, module, message]);
    expect(failed).toEqual([
      ["warm", "broken_one", "cannot import broken_one: RuntimeError: no licence"],
      ["warm", "missing_one", "cannot import missing_one: ModuleNotFoundError: No module named 'missing_one'"],
    ]);
    const scheduler = await host.scheduler();
    await host.worker(scheduler.address).next("ready");
    expect(
      await client(
        python,
        scheduler.address,
        `print(*client.run(lambda: "warm_one" in __import__("sys").modules).values())`,
      ),
    ).toBe("True");
  });

  test("a module that prints as it is imported is not heard among the messages, and no child has their descriptor", async () => {
    using folder = modules({
      "noisy_one.py":
        "import sys\nprint('a banner', flush=True)\nprint('a word')\nprint('an error', file=sys.stderr)\n",
      "threaded_one.py": THREADED,
    });
    for (const warm of [["noisy_one"], ["noisy_one", "threaded_one"]]) {
      await using host = await readyHost(python, { config: { warm }, env: { PYTHONPATH: folder.path } });
      expect(host.all.map(({ event }) => event)).toEqual(["listening", ...warm.slice(1).map(() => "failed"), "ready"]);
      for (const words of ["a banner", "a word", "an error"]) expect(host.stderr()).toContain(words);
      const scheduler = await host.scheduler();
      const worker = host.worker(scheduler.address);
      await worker.next("ready");
      const [ofServer, inherited] = [host.process.pid ?? 0, process.pid].map(sockets);
      // The server tells on the worker's control connection how it ended.
      expect([...sockets(await worker.pid())].filter((one) => ofServer?.has(one) && !inherited?.has(one)).length).toBe(
        1,
      );
      expect(worker.output()).toBe("");
    }
  });

  test("a module that starts threads is named and left cold, and the server goes on without them", async () => {
    using folder = modules({ "threaded_one.py": THREADED, "warm_one.py": "" });
    await using host = await readyHost(python, {
      config: { warm: ["threaded_one", "warm_one"] },
      env: { PYTHONPATH: folder.path },
    });
    expect(host.all.map(({ event, reason, module }) => [event, reason, module])).toEqual([
      ["listening", undefined, undefined],
      ["failed", "threads", "threaded_one"],
      ["ready", undefined, undefined],
    ]);
    expect((await host.next("ready"))["threads"]).toBe(1);
    const scheduler = await host.scheduler();
    await host.worker(scheduler.address).next("ready");
    const seen = await client(
      python,
      scheduler.address,
      `print(*client.run(lambda: [name in __import__("sys").modules for name in ("warm_one", "threaded_one")]).values())`,
    );
    expect(seen).toBe("[True, False]");
    await host[Symbol.asyncDispose]();
    expect(host.process.exitCode).toBe(0);
  });

  test.runIf(hasOpenBlas(python))(
    "numpy is warm without threads, and a worker has as many as its environment says",
    async () => {
      await using host = await readyHost(python, {
        config: { warm: ["numpy", "numpy.random"] },
        env: { OPENBLAS_NUM_THREADS: "2", OMP_NUM_THREADS: "2" },
      });
      expect(host.all.map(({ event }) => event)).toEqual(["listening", "ready"]);
      const scheduler = await host.scheduler();
      const workers = ["1", "2"].map((threads) =>
        host.worker(scheduler.address, {
          request: { env: { OPENBLAS_NUM_THREADS: threads, OMP_NUM_THREADS: threads } },
          kwargs: { name: threads },
        }),
      );
      await Promise.all(workers.map(async (worker) => worker.next("ready")));
      const code = `
def look(dask_worker):
    import numpy, os
    a = numpy.random.random((700, 700)); a @ a
    return str(dask_worker.name), os.environ["OPENBLAS_NUM_THREADS"], blas_threads()
def blas_threads():
    import ctypes
    path = next(line.split()[-1] for line in open("/proc/self/maps") if "openblas" in line)
    library = ctypes.CDLL(path)
    for name in ("scipy_openblas_get_num_threads64_", "scipy_openblas_get_num_threads", "openblas_get_num_threads64_", "openblas_get_num_threads"):
        if hasattr(library, name): return getattr(library, name)()
print(sorted(client.run(look).values()), len(set(client.run(lambda: __import__("numpy").random.random()).values())))`;
      expect(await client(python, scheduler.address, code)).toBe("[('1', '1', 1), ('2', '2', 2)] 2");
    },
  );

  test.runIf(hasOpenMP(python))("a warm module's OpenMP has as many threads as the environment says", async () => {
    using folder = modules({ "openmp_one.py": 'import ctypes\nLIBRARY = ctypes.CDLL("libgomp.so.1")\n' });
    const env = { PYTHONPATH: folder.path, OMP_NUM_THREADS: "3" };
    await using host = await readyHost(python, { config: { warm: ["openmp_one"] }, env });
    expect((await host.next("ready"))["threads"]).toBe(1);
    const scheduler = await host.scheduler();
    await host.worker(scheduler.address, { request: { env } }).next("ready");
    const code = `
def threads():
    import sys
    return sys.modules["openmp_one"].LIBRARY.omp_get_max_threads()
print(client.submit(threads).result())`;
    expect(await client(python, scheduler.address, code)).toBe("3");
  });

  test("the dashboard's modules are not there before they are asked for", async () => {
    await using host = await readyHost(python);
    const scheduler = await host.scheduler({ params: { dashboard: true } });
    await host.worker(scheduler.address).next("ready");
    const bokeh = `print(client.run_on_scheduler(lambda: [name for name in __import__("sys").modules if name.partition(".")[0] == "bokeh"]) != [])`;
    expect(await client(python, scheduler.address, bokeh)).toBe("False");
    scheduler.say({ op: "dashboard" });
    const { problem } = await scheduler.next("dashboard");
    expect(await client(python, scheduler.address, bokeh)).toBe(problem === null ? "True" : "False");
  });
});

describe("a Python that will not do", () => {
  const [python = "/usr/bin/python3"] = pythons();

  test("one without Dask is named", async () => {
    using folder = modules({
      "distributed/__init__.py": "raise ModuleNotFoundError(\"No module named 'distributed'\", name='distributed')\n",
    });
    await using host = await startHost(python, { env: { PYTHONPATH: folder.path } });
    expect(await host.next("failed")).toMatchObject({
      reason: "no-dask",
      executable: python,
      message: `${python} has no module distributed`,
    });
    // Its leader may be killed as it fails: what that leaves is removed then.
    expect(host.process.exitCode).toBeNull();
    host.process.stdin?.end();
    await until(() => host.process.exitCode !== null, "the end");
    expect(host.process.exitCode).toBe(1);
    expect(existsSync(host.folder)).toBe(false);
  });

  test("one whose Dask is broken says how", async () => {
    using folder = modules({ "distributed/__init__.py": "import no_such_thing\n" });
    await using host = await startHost(python, { env: { PYTHONPATH: folder.path } });
    expect(await host.next("failed")).toMatchObject({
      reason: "no-dask",
      message: expect.stringContaining("no_such_thing") as string,
    });
  });

  test("a Dask that is too old is named, with its version", async () => {
    const empty = Object.fromEntries(["scheduler", "worker", "nanny"].map((name) => [`distributed/${name}.py`, ""]));
    using folder = modules({ "distributed/__init__.py": "__version__ = '2021.3.1'\n", ...empty });
    await using host = await startHost(python, { env: { PYTHONPATH: folder.path } });
    expect(await host.next("failed")).toMatchObject({
      reason: "old-dask",
      message: expect.stringContaining("2021.3.1") as string,
    });
  });

  test("a Python that is too old says so, in words that an old Python understands", () => {
    const source = `
import sys, runpy, io
sys.version_info = (3, 6, 8)
sys.stdin = io.StringIO("{}\\n")
runpy.run_path(sys.argv[1], run_name="__main__")`;
    const { stdout, status } = spawnSync(python, ["-c", source, join(PROGRAMS, "forkserver.py")], { encoding: "utf8" });
    expect(JSON.parse(stdout)).toMatchObject({ event: "failed", reason: "old-python", python: "3.6.8" });
    expect(status).toBe(1);
    expect(
      execFileSync(
        python,
        [
          "-c",
          "import ast, sys; ast.parse(open(sys.argv[1]).read(), feature_version=(3, 4)); print('ok')",
          join(PROGRAMS, "forkserver.py"),
        ],
        { encoding: "utf8" },
      ),
    ).toBe("ok\n");
  });
});
