import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { alive, client, PROGRAMS, pythons, until, type Event } from "./host.ts";

interface Started {
  readonly child: ChildProcess;
  readonly channel: Duplex;
  readonly events: readonly Event[];
  readonly output: () => string;
  readonly next: (name: string) => Promise<Event>;
}

function start(python: string, kind: "scheduler" | "worker", params: object): Started {
  const child = spawn(python, [join(PROGRAMS, "child.py")], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const channel = child.stdio[3] as Duplex;
  const events: Event[] = [];
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => (output += text));
  channel.on("error", () => channel.destroy());
  createInterface(channel).on("line", (line) => events.push(JSON.parse(line) as Event));
  channel.write(
    `${JSON.stringify({ op: "fork", id: "x", kind, env: process.env, cwd: "/", cpu_count: 3, memory_limit: 2 ** 31, sys_path: [], params: { log_level: "warning", ...params } })}\n`,
  );
  const find = (name: string): Event | undefined => events.find(({ event }) => event === name);
  const next = async (name: string): Promise<Event> => {
    await until(() => find(name) !== undefined, `${name}, so far ${JSON.stringify(events)} ${output}`, 15_000);
    return find(name) as Event;
  };
  return { child, channel, events, output: () => output, next };
}

async function gone(child: ChildProcess): Promise<void> {
  await until(() => child.exitCode !== null || child.signalCode !== null, "the child to end", 5000);
}

const PLACE = { host: "127.0.0.1", dashboard_address: ":0" };

describe.each(pythons())("a child that is a program of its own, on %s", (python) => {
  test("serves one request on descriptor 3, and stops in order", async () => {
    const scheduler = start(python, "scheduler", { kwargs: { ...PLACE, port: 0 } });
    const worker = start(python, "worker", { kwargs: { ...PLACE, nthreads: 1, name: "w", memory_limit: "auto" } });
    const address = String((await scheduler.next("ready"))["address"]);
    worker.channel.write(`${JSON.stringify({ op: "address", scheduler: address })}\n`);
    expect(await worker.next("ready")).toMatchObject({ name: "w", nthreads: 1 });
    expect(
      await client(
        python,
        address,
        `print(*client.run(lambda: (__import__("dask").system.CPU_COUNT, __import__("os").environ["OMP_NUM_THREADS"])).values())`,
      ),
    ).toBe("(3, '1')");
    for (const { channel } of [worker, scheduler]) channel.write('{"op":"stop","grace":2}\n');
    await Promise.all([gone(worker.child), gone(scheduler.child)]);
    expect(
      [worker, scheduler].map(({ child, events, output }) => [
        child.exitCode,
        events.map(({ event }) => event),
        output(),
      ]),
    ).toEqual([
      [0, ["ready", "closing"], ""],
      [0, ["ready", "usage", "closing"], ""],
    ]);
  });

  test("ends when its rank does", async () => {
    const waiting = start(python, "worker", { kwargs: PLACE });
    waiting.channel.destroy();
    await gone(waiting.child);
    expect(alive(waiting.child.pid ?? 0)).toBe(false);
  });

  test("says what is wrong with a request", async () => {
    const child = spawn(python, [join(PROGRAMS, "child.py")], { stdio: ["ignore", "inherit", "inherit", "pipe"] });
    const channel = child.stdio[3] as Duplex;
    let text = "";
    channel.setEncoding("utf8").on("data", (data: string) => (text += data));
    channel.write("no json\n");
    await once(child, "exit");
    expect(JSON.parse(text)).toMatchObject({ event: "failed", code: "malformed" });
    expect(child.exitCode).toBe(64);
  });
});
