import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { createAuthority } from "../../src/security/certificates.ts";
import { alive, client, pythons, readyHost, until, type Host, type Rank } from "./host.ts";

const MINE = `
from distributed import Worker
class Mine(Worker):
    def __init__(self, *args, colour="none", **kwargs):
        super().__init__(*args, **kwargs)
        self.colour = colour
class Picky(Worker):
    def __init__(self, scheduler, *, name=None, nthreads=None, security=None):
        super().__init__(scheduler, name=name, nthreads=nthreads, security=security, host="127.0.0.1", dashboard_address=":0")
`;

function folder(host: Host, files: Readonly<Record<string, string>>): string {
  const path = join(host.folder, "mine");
  mkdirSync(path);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

describe.each(pythons())("workers of other classes, with %s", (python) => {
  test("a class of the user's own, from the folder of the script, with the user's own arguments", async () => {
    await using host = await readyHost(python);
    const path = folder(host, { "mine.py": MINE });
    const scheduler = await host.scheduler();
    const request = { more: { sys_path: [path] } };
    const own = host.worker(scheduler.address, {
      kwargs: { name: "own" },
      params: { worker_class: "mine.Mine", user_kwargs: { colour: "red" } },
      request,
    });
    const picky = host.worker(scheduler.address, {
      kwargs: { name: "picky" },
      params: { worker_class: "mine.Picky" },
      request,
    });
    const events = [await own.next("ready"), await picky.next("ready")];
    expect(events.map(({ name, terminate }) => [name, terminate])).toEqual([
      ["own", 0.95],
      ["picky", 0.95],
    ]);
    const seen = await client(
      python,
      scheduler.address,
      `print(sorted(str(v) for v in client.run(lambda dask_worker: (type(dask_worker).__name__, getattr(dask_worker, "colour", None))).values()))`,
      { PYTHONPATH: path },
    );
    expect(seen).toBe(`["('Mine', 'red')", "('Picky', None)"]`);
    const wrong = host.worker(scheduler.address, { params: { user_kwargs: { colour: "red" } } });
    expect(await wrong.next("failed")).toMatchObject({
      code: "arguments",
      message: expect.stringContaining("colour") as string,
    });
    const missing = host.worker(scheduler.address, { params: { worker_class: "mine.Missing" }, request });
    expect(await missing.next("failed")).toMatchObject({ code: "import", message: "module mine has no class Missing" });
  });

  test("Dask's Nanny: it starts and restarts its worker itself, and ends with it", async () => {
    await using host = await readyHost(python);
    const scheduler = await host.scheduler();
    const nanny = host.worker(scheduler.address, {
      kwargs: { name: "n", death_timeout: 50 },
      params: { worker_class: "distributed.Nanny" },
    });
    // It ends its worker for its memory itself: its rank is not to.
    expect(await nanny.next("ready")).toMatchObject({ name: "n", nthreads: 1, terminate: false });
    const pid = Number(await client(python, scheduler.address, `print(*client.run(__import__("os").getpid).values())`));
    expect(pid).not.toBe(await nanny.pid());
    expect(
      await client(
        python,
        scheduler.address,
        `client.restart(timeout=50); print(len(client.scheduler_info()["workers"]))`,
      ),
    ).toBe("1");
    expect(nanny.all.map(({ event }) => event)).toEqual(["forked", "ready"]);
    const second = Number(
      await client(python, scheduler.address, `print(*client.run(__import__("os").getpid).values())`),
    );
    expect([pid, second].map(alive)).toEqual([false, true]);
    nanny.say({ op: "stop", grace: 3 });
    expect(await nanny.next("exit")).toMatchObject({ code: 0 });
    await until(() => !alive(second), "the worker to go");
  });

  test("Dask's Nanny runs a worker of the user's own class, with the user's own arguments", async () => {
    await using host = await readyHost(python);
    const path = folder(host, { "mine.py": MINE });
    const scheduler = await host.scheduler();
    const under = (inner: string): Rank =>
      host.worker(scheduler.address, {
        params: { worker_class: "distributed.Nanny", user_kwargs: { worker_class: inner, colour: "red" } },
        request: { more: { sys_path: [path] } },
      });
    await under("mine.Mine").next("ready");
    const seen = await client(
      python,
      scheduler.address,
      `print(*client.run(lambda dask_worker: (type(dask_worker).__name__, dask_worker.colour, bool(dask_worker.nanny))).values())`,
      { PYTHONPATH: path },
    );
    expect(seen).toBe("('Mine', 'red', True)");
    const wrong = { code: "import", message: "module mine has no class Missing" };
    expect(await under("mine.Missing").next("failed")).toMatchObject(wrong);
  });

  test("Dask's Nanny loads what it is to load itself, beside its worker's preloads", async () => {
    await using host = await readyHost(python);
    const scheduler = await host.scheduler();
    const [own, workers] = ["own", "workers"].map((name) => join(host.folder, `${name}.py`)) as [string, string];
    for (const path of [own, workers])
      writeFileSync(
        path,
        `def dask_setup(server):\n    print(type(server).__name__, "loads", ${JSON.stringify(basename(path))}, flush=True)\n`,
      );
    const params = { worker_class: "distributed.Nanny", preload: [[workers]], preload_nanny: [[own]] };
    const nanny = host.worker(scheduler.address, { kwargs: { name: "n" }, params });
    await nanny.next("ready");
    await until(
      () => ["Nanny loads own.py", "Worker loads workers.py"].every((line) => nanny.output().includes(line)),
      "what the preloads print",
    );
    expect(nanny.output()).not.toContain("Worker loads own.py");
  });

  test("Dask's Nanny whose worker is retired stays away", async () => {
    await using host = await readyHost(python);
    const scheduler = await host.scheduler();
    const nanny = host.worker(scheduler.address, {
      kwargs: { name: "n" },
      params: { worker_class: "distributed.Nanny" },
    });
    await nanny.next("ready");
    await client(python, scheduler.address, `client.retire_workers(names=["n"], close_workers=True)`);
    expect((await nanny.next("closing"))["reason"]).toBe("retired");
    expect(await nanny.next("exit")).toMatchObject({ code: 0 });
  });

  test("multiprocessing's spawn in a task does not run the fork server again", async () => {
    await using host = await readyHost(python);
    const path = folder(host, { "squares.py": "def square(x):\n    return x * x\n" });
    const scheduler = await host.scheduler();
    await host.worker(scheduler.address, { request: { more: { sys_path: [path] } } }).next("ready");
    const code = `
def task():
    import multiprocessing, squares
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map(squares.square, [1, 2, 3])
print(list(client.run(task).values())[0])`;
    expect(await client(python, scheduler.address, code, { PYTHONPATH: path })).toBe("[1, 4, 9]");
  });

  test("multiprocessing's fork in a task ends its processes as elsewhere, and interrupts no worker", async () => {
    await using host = await readyHost(python);
    const path = folder(host, { "squares.py": "def square(x):\n    return x * x\n" });
    const scheduler = await host.scheduler();
    const worker = host.worker(scheduler.address, { request: { more: { sys_path: [path] } } });
    await worker.next("ready");
    const code = `
def task():
    import multiprocessing, os, signal, squares, time
    fork = multiprocessing.get_context("fork")
    def sleep(begun):
        begun.set()
        for _ in range(600):
            # A signal just before a sleep is seen after it.
            time.sleep(0.1)
    with fork.Pool(2) as pool:
        found = pool.map(squares.square, [1, 2, 3])
    ended = []
    for number in (signal.SIGTERM, signal.SIGINT):
        begun = fork.Event()
        process = fork.Process(target=sleep, args=(begun,))
        process.start()
        begun.wait(20)
        os.kill(process.pid, number)
        process.join(20)
        ended.append(process.exitcode)
    return found, ended
print(client.submit(task).result(timeout=50), client.submit(abs, -1).result(timeout=30))`;
    expect(await client(python, scheduler.address, code, { PYTHONPATH: path })).toBe("([1, 4, 9], [-15, 1]) 1");
    expect(worker.all.map(({ event }) => event)).toEqual(["forked", "ready"]);
  });

  test("preloads run in the scheduler and in the workers, with their arguments", async () => {
    await using host = await readyHost(python);
    const path = folder(host, {
      "early.py": `import click\n@click.command()\n@click.argument("word")\ndef dask_setup(server, word):\n    server.word = word\n`,
    });
    const preload = [[join(path, "early.py"), "hello"]];
    const scheduler = await host.scheduler({ params: { preload } });
    await host.worker(scheduler.address, { params: { preload } }).next("ready");
    const seen = await client(
      python,
      scheduler.address,
      `print(client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.word), *client.run(lambda dask_worker: dask_worker.word).values())`,
    );
    expect(seen).toBe("hello hello");
  });

  test("with certificates, everything is TLS, and the Nanny's worker too", async () => {
    await using host = await readyHost(python);
    const authority = await createAuthority({ launch: "python tests" });
    const { cert, key } = await authority.issue({
      name: "dask",
      dnsNames: ["localhost"],
      addresses: ["127.0.0.1"],
      server: true,
      client: true,
    });
    const path = folder(host, { "ca.pem": authority.certificate, "cert.pem": cert, "key.pem": key });
    const [ca, certFile, keyFile] = ["ca.pem", "cert.pem", "key.pem"].map((name) => join(path, name)) as [
      string,
      string,
      string,
    ];
    const params = { security: { ca, cert: certFile, key: keyFile } };
    const kwargs = { protocol: "tls" };
    const scheduler = await host.scheduler({ kwargs, params });
    const workers = ["distributed.Worker", "distributed.Worker", "distributed.Nanny"].map((name, index) =>
      host.worker(scheduler.address, { kwargs: { ...kwargs, name: index }, params: { ...params, worker_class: name } }),
    );
    const ready = await Promise.all(workers.map(async (worker) => worker.next("ready")));
    expect(
      [scheduler.address, ...ready.map(({ address }) => address)].every((address) =>
        String(address).startsWith("tls://127.0.0.1:"),
      ),
    ).toBe(true);
    const env = {
      DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION: "true",
      DASK_DISTRIBUTED__COMM__TLS__CA_FILE: ca,
      DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT: certFile,
      DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY: keyFile,
    };
    expect(
      await client(
        python,
        scheduler.address,
        `client.wait_for_workers(3); print(sum(client.gather(client.map(lambda x: x, range(50)))))`,
        env,
      ),
    ).toBe("1225");
    await expect(client(python, scheduler.address.replace("tls", "tcp"), "print(1)")).rejects.toThrow();
  });
});
