import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { alive, client, PROGRAMS, pythons, scratch, until, type Event } from "./host.ts";

/** Where schedulers and workers make the folders that Dask leaves behind. */
let temporary: ReturnType<typeof scratch>;
beforeEach(() => {
  temporary = scratch("tsdask-exec-");
});
afterEach(() => temporary[Symbol.dispose]());

interface Started {
  readonly child: ChildProcess;
  readonly channel: Duplex;
  readonly events: readonly Event[];
  readonly output: () => string;
  /** Resolves when it has ended, and all that it wrote has been read. */
  readonly gone: Promise<unknown>;
  readonly next: (name: string) => Promise<Event>;
}

function start(
  python: string,
  kind: "scheduler" | "worker",
  params: object,
  more: object = {},
  added: object = {},
): Started {
  const env = { ...process.env, TMPDIR: temporary.path, ...added };
  const child = spawn(python, [join(PROGRAMS, "child.py")], {
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const channel = child.stdio[3] as Duplex;
  const gone = once(child, "close");
  const events: Event[] = [];
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => (output += text));
  channel.on("error", () => channel.destroy());
  createInterface(channel).on("line", (line) => events.push(JSON.parse(line) as Event));
  channel.write(
    `${JSON.stringify({ op: "fork", id: "x", kind, env, cwd: "/", cpu_count: 3, memory_limit: 2 ** 31, sys_path: [], params: { log_level: "warning", ...params }, ...more })}\n`,
  );
  const find = (name: string): Event | undefined => events.find(({ event }) => event === name);
  const next = async (name: string): Promise<Event> => {
    await until(() => find(name) !== undefined, `${name}, so far ${JSON.stringify(events)} ${output}`);
    return find(name) as Event;
  };
  return { child, channel, events, output: () => output, gone, next };
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
    await Promise.all([worker.gone, scheduler.gone]);
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
    await waiting.gone;
    expect(alive(waiting.child.pid ?? 0)).toBe(false);
  });

  test("asks, as a fork server does, whether its Dask has what keeps strangers out and what is convenient: only without the former nothing starts", async () => {
    using folder = scratch("tsdask-exec-");
    // Python imports it at its start, as a release of Dask would be that opens its pages in another way, and a Python
    // that starts its resource tracker in another way.
    writeFileSync(
      join(folder.path, "sitecustomize.py"),
      `import distributed.node, multiprocessing.resource_tracker, os
multiprocessing.resource_tracker.ResourceTracker = object
if "OTHER_PAGES" in os.environ:
    distributed.node.ServerNode.start_http_server = lambda self, *_args, **_kwargs: None
`,
    );
    const env = { PYTHONPATH: folder.path };
    const convenient = start(python, "scheduler", { kwargs: { ...PLACE, port: 0 } }, {}, env);
    await convenient.next("ready");
    expect(convenient.events[0]).toEqual({
      event: "lacking",
      message: expect.stringMatching(/^distributed \S+ has no .*ResourceTracker \(/) as string,
    });
    convenient.channel.destroy();
    await convenient.gone;
    for (const kind of ["scheduler", "worker"] as const) {
      const open = start(python, kind, { kwargs: PLACE }, {}, { ...env, OTHER_PAGES: "1" });
      await open.gone;
      expect([open.child.exitCode, open.events]).toEqual([
        1,
        [
          {
            event: "failed",
            code: "incompatible",
            message: expect.stringContaining("HTTPServer in distributed.node.ServerNode.start_http_server") as string,
          },
        ],
      ]);
    }
  });

  test.each([
    ["another version's", { version: 1 }, /^version 1 of our protocol/],
    ["one of another kind", { kind: "nanny" }, /^kind is neither/],
  ])("refuses a request that is %s", async (_, more, message) => {
    const refused = start(python, "worker", { kwargs: PLACE }, more);
    expect(await refused.next("failed")).toMatchObject({
      code: "malformed",
      message: expect.stringMatching(message) as string,
    });
    await refused.gone;
    expect(refused.child.exitCode).toBe(64);
  });

  test("says what is wrong with a request", async () => {
    const child = spawn(python, [join(PROGRAMS, "child.py")], { stdio: ["ignore", "inherit", "inherit", "pipe"] });
    const channel = child.stdio[3] as Duplex;
    let text = "";
    channel.setEncoding("utf8").on("data", (data: string) => (text += data));
    channel.write("no json\n");
    await once(child, "close");
    expect(JSON.parse(text)).toMatchObject({ event: "failed", code: "malformed" });
    expect(child.exitCode).toBe(64);
  });
});
