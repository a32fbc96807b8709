import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { client, pythons, readyHost, until, type Host, type Rank } from "./host.ts";

/**
 * An end takes less than this (ms), also on a busy machine: less than the 10 s for which a worker waits for its tasks
 * (CLOSE_SECONDS).
 */
const QUICKLY = 8000;

/** Code for a client that leaves a task of ten minutes behind, once it has begun. */
const begunTask = (host: Host): string => `
import distributed, os, time
begun = "${join(host.folder, "begun")}"
def long():
    open(begun, "w").close()
    time.sleep(600)
distributed.fire_and_forget(client.submit(long))
until = time.monotonic() + 30
while not os.path.exists(begun):
    assert time.monotonic() < until
    time.sleep(0.01)`;

async function cluster(
  host: Host,
  workers: number,
  {
    scheduler: kwargs = {},
    worker = {},
    params = {},
  }: { readonly scheduler?: object; readonly worker?: object; readonly params?: object } = {},
) {
  const scheduler = await host.scheduler({ kwargs, params });
  const ranks = Array.from({ length: workers }, (_, name) =>
    host.worker(scheduler.address, { kwargs: { name: `w${name}`, ...worker } }),
  );
  await Promise.all(ranks.map(async (rank) => rank.next("ready")));
  return { scheduler, ranks };
}

/** A cluster that is to close by itself, but not before its workers are in, however slow the machine is. */
async function shortLived(start: (time: string) => ReturnType<typeof cluster>): ReturnType<typeof cluster> {
  for (const time of ["1 s", "5 s"]) {
    const started = await start(time).catch(() => undefined);
    if (started !== undefined) return started;
  }
  return start("25 s");
}

async function reason(rank: Rank): Promise<unknown> {
  const closing = await rank.next("closing");
  expect(await rank.next("exit")).toMatchObject({ event: "exit", code: 0, signal: null });
  return closing["reason"];
}

describe.each(pythons())("why a worker closes, with %s", (python) => {
  test("retired by the scheduler: it is to stay away", async () => {
    await using host = await readyHost(python);
    const { scheduler, ranks } = await cluster(host, 2);
    const [first, second] = ranks as [Rank, Rank];
    await client(python, scheduler.address, `client.retire_workers(names=["w0"], close_workers=True)`);
    expect(await reason(first)).toBe("retired");
    await client(python, scheduler.address, `client.retire_workers(names=["w1"])`);
    expect(await reason(second)).toBe("retired");
  });

  test("Client.restart: it is to come back, and Client.restart gets its workers", async () => {
    await using host = await readyHost(python);
    const { scheduler, ranks } = await cluster(host, 2);
    const restarted = client(
      python,
      scheduler.address,
      `client.restart(timeout=20); print(client.submit(lambda: 1).result(), len(client.scheduler_info()["workers"]))`,
    );
    expect(await Promise.all(ranks.map(reason))).toEqual(["restart", "restart"]);
    const back = ranks.map((_, name) => host.worker(scheduler.address, { kwargs: { name: `w${name}` } }));
    await Promise.all(back.map(async (rank) => rank.next("ready")));
    expect(await restarted).toBe("1 2");
  });

  test("Client.restart_workers: those named are to come back, the others stay", async () => {
    await using host = await readyHost(python);
    const { scheduler, ranks } = await cluster(host, 2);
    const [first, second] = ranks as [Rank, Rank];
    const address = String((await first.next("ready"))["address"]);
    const done = client(
      python,
      scheduler.address,
      `client.restart_workers(["${address}"]); client.wait_for_workers(2); print(client.submit(lambda: 1).result())`,
    );
    const came = reason(first).then(async (why) => {
      const back = host.worker(scheduler.address, { kwargs: { name: "w0" } });
      await back.next("ready");
      return why;
    });
    expect(await Promise.all([came, done])).toEqual(["restart", "1"]);
    expect(second.all.map(({ event }) => event)).toEqual(["forked", "ready"]);
  });

  test("a scheduler that is killed: its workers say so and end by themselves, even in the midst of a task, without a word", async () => {
    await using host = await readyHost(python);
    const { scheduler, ranks } = await cluster(host, 2);
    await client(python, scheduler.address, begunTask(host));
    const before = Date.now();
    process.kill(await scheduler.pid(), "SIGKILL");
    expect(await Promise.all(ranks.map(reason))).toEqual(["scheduler-lost", "scheduler-lost"]);
    expect(Date.now() - before).toBeLessThan(QUICKLY);
    expect(await scheduler.next("exit")).toMatchObject({ event: "exit", code: null, signal: 9 });
    expect(ranks.map((rank) => rank.output())).toEqual(["", ""]);
  });

  test("a scheduler that is shut down by its client: all close, and nothing is printed", async () => {
    await using host = await readyHost(python);
    const { scheduler, ranks } = await cluster(host, 2);
    await client(python, scheduler.address, `client.shutdown()`);
    expect(await reason(scheduler)).toBe("terminate");
    expect(await Promise.all(ranks.map(reason))).toEqual(["scheduler-closed", "scheduler-closed"]);
    expect([...ranks, scheduler].map((rank) => rank.output())).toEqual(["", "", ""]);
  });

  test.each([
    ["in whose place another one comes: its workers have lost it", { returns: true }, "scheduler-lost"],
    ["for good: its workers are told to close", {}, "scheduler-closed"],
  ])("a scheduler that SIGINT ends %s", async (_, params, why) => {
    await using host = await readyHost(python);
    const { scheduler, ranks } = await cluster(host, 2, { params });
    process.kill(await scheduler.pid(), "SIGINT");
    expect(await reason(scheduler)).toBe("stop");
    expect(await Promise.all(ranks.map(reason))).toEqual([why, why]);
    expect([...ranks, scheduler].map((rank) => rank.output())).toEqual(["", "", ""]);
  });

  test("a scheduler that is idle for too long says so", async () => {
    await using host = await readyHost(python);
    const { scheduler, ranks } = await shortLived((idle_timeout) => cluster(host, 1, { scheduler: { idle_timeout } }));
    expect(await reason(scheduler)).toBe("idle");
    expect(await Promise.all(ranks.map(reason))).toEqual(["scheduler-closed"]);
  });

  test("a worker whose lifetime has passed says so", async () => {
    await using host = await readyHost(python);
    const { ranks } = await shortLived((lifetime) => cluster(host, 1, { worker: { lifetime } }));
    expect(await Promise.all(ranks.map(reason))).toEqual(["lifetime"]);
  });

  test("a worker whose lifetime has passed, and that is to be followed by another one, is to come back", async () => {
    await using host = await readyHost(python);
    const { ranks } = await shortLived((lifetime) =>
      cluster(host, 1, { worker: { lifetime, lifetime_restart: true } }),
    );
    expect(await Promise.all(ranks.map(reason))).toEqual(["restart"]);
  });

  test("a scheduler that cannot be reached fails the worker after its death timeout", async () => {
    await using host = await readyHost(python);
    const worker = host.worker("tcp://127.0.0.1:9", { kwargs: { death_timeout: 1 } });
    expect(await worker.next("failed")).toMatchObject({ code: "timeout" });
    expect(await worker.next("exit")).toMatchObject({ code: 1 });
    expect(worker.output()).toBe("");
  });

  test("an order to stop ends a worker in its grace, whatever its tasks do", async () => {
    await using host = await readyHost(python);
    const { scheduler, ranks } = await cluster(host, 1);
    await client(python, scheduler.address, begunTask(host));
    const before = Date.now();
    ranks[0]?.say({ op: "stop", grace: 1 });
    expect(await reason(ranks[0] as Rank)).toBe("stop");
    expect(Date.now() - before).toBeLessThan(QUICKLY);
  });

  test("an order to stop ends a worker that waits for an address, and one that cannot reach its scheduler", async () => {
    await using host = await readyHost(python);
    const waiting = host.ask({ kind: "worker", params: {} });
    let tries = 0;
    const deaf = createServer((socket) => {
      tries += 1;
      socket.destroy();
    }).listen(0, "127.0.0.1");
    await once(deaf, "listening");
    const lost = host.worker(`tcp://127.0.0.1:${(deaf.address() as AddressInfo).port}`);
    await until(() => tries > 0, "the worker to try to reach its scheduler");
    const waits = await waiting.pid();
    await until(() => /^State:\s+S/m.test(readFileSync(`/proc/${waits}/status`, "utf8")), "the other one to wait");
    for (const rank of [waiting, lost]) rank.say({ op: "stop", grace: 0.5 });
    expect(await waiting.next("exit", QUICKLY)).toMatchObject({ code: 0 });
    expect(await lost.next("exit", QUICKLY)).toMatchObject({ code: 0 });
    expect([waiting.output(), lost.output()]).toEqual(["", ""]);
    deaf.close();
  });

  test("a name that is taken is refused by the scheduler, and said so", async () => {
    await using host = await readyHost(python);
    const { scheduler } = await cluster(host, 1);
    const second = host.worker(scheduler.address, { kwargs: { name: "w0" } });
    expect(await second.next("failed")).toMatchObject({
      code: "refused",
      message: expect.stringContaining("w0") as string,
    });
  });

  test("a port that is taken, and an address that is not this host's, are said so", async () => {
    await using host = await readyHost(python);
    const { scheduler } = await cluster(host, 0);
    const port = Number(new URL(scheduler.address).port);
    const taken = host.ask({
      kind: "scheduler",
      params: { kwargs: { host: "127.0.0.1", port, dashboard_address: ":0" } },
    });
    expect(await taken.next("failed")).toMatchObject({ code: "port" });
    const elsewhere = host.worker(scheduler.address, { kwargs: { host: "192.0.2.1" } });
    expect(await elsewhere.next("failed")).toMatchObject({ code: "address" });
  });
});
