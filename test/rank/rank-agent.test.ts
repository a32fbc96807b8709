import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import type { FromRank, RankEvent, ToRank } from "../../src/protocol/messages.ts";
import { runRankAgent } from "../../src/rank/rank-agent.ts";

/** A rank of which `told` is all that it hears, and what it says, writes, starts (how often) and leaves with. */
function startRank(told: readonly ToRank[], cwd: string) {
  const sent: RankEvent[] = [];
  const codes: number[] = [];
  let written = "";
  let started = 0;
  let take = (_: ToRank): void => undefined;
  let close = (): void => undefined;
  runRankAgent({
    rank: 2,
    up: {
      send: (message: FromRank) => void (message.t === "event" && sent.push(message.event)),
      onMessage: (reader: typeof take) => {
        take = reader;
      },
      onClose: (reader: typeof close) => {
        close = reader;
      },
      close: () => undefined,
    },
    childEnv: () => {
      started += 1;
      return {};
    },
    cwd,
    out: { write: (text: string) => void (written += text), hold: () => undefined, release: () => undefined },
    joinPmi: () => undefined,
    idle: () => undefined,
    exit: (code: number) => void codes.push(code),
  } as never);
  for (const message of told) take(message);
  return { sent, codes, written: () => written, started: () => started, take, close };
}

/**
 * A rank that is to start a script with rank 0's standard input, on a host whose folder is gone; `last` is what it is
 * told then.
 */
async function startWithoutFolder(
  last: readonly ToRank[],
  order: "assign first" | "client first" = "assign first",
): Promise<{ sent: RankEvent[]; code: number | undefined }> {
  const folder = mkdtempSync(join(tmpdir(), "rank-agent-"));
  const watchdogSocket = join(folder, "gone", "fork.sock");
  const told = [
    { t: "assign", roles: ["client"], host: "h", address: "127.0.0.1", watchdogSocket, pythonRoot: folder },
    { t: "client", file: "script.py", python: "/usr/bin/python3", args: [], env: {}, stdin: "relay" },
  ] as never[];
  const { sent, codes, close } = startRank([...(order === "assign first" ? told : told.reverse()), ...last], folder);
  await expect.poll(() => last.length > 0 || sent.length > 0, { timeout: 10_000 }).toBe(true);
  close();
  await expect.poll(() => codes, { timeout: 10_000 }).toHaveLength(1);
  rmSync(folder, { recursive: true });
  return { sent, code: codes[0] };
}

test("a script that cannot be started is a failure that is told", async () => {
  const { sent } = await startWithoutFolder([]);
  expect(sent).toContainEqual(expect.objectContaining({ k: "failure", code: "TSD-052" }));
});

test("what a rank is told before it knows what it is to do is done as soon as it does", async () => {
  const { sent } = await startWithoutFolder([], "client first");
  expect(sent).toContainEqual(
    expect.objectContaining({
      k: "failure",
      code: "TSD-052",
      facts: expect.objectContaining({ problem: expect.not.stringContaining("undefined") as string }) as object,
    }),
  );
});

test("a launch that ends while its script is being started ends with its code, and nothing of the script is said", async () => {
  const { sent, code } = await startWithoutFolder([{ t: "end", code: 69, grace: 0 }]);
  expect(code).toBe(69);
  expect(sent).toEqual([]);
});

test.each([
  [true, "TSD-036 Rank 0 is gone: rank 2 on h"],
  [false, ""],
])(
  "a rank whose agent is gone without a word leaves with 72, and says so where it is the one that does: %j",
  async (says, text) => {
    const rank = startRank([{ t: "assign", roles: [], host: "h", reportsRankZeroLoss: says } as never], tmpdir());
    rank.close();
    await expect.poll(() => rank.codes).toEqual([72]);
    expect(
      rank
        .written()
        .slice(0, text === "" ? undefined : rank.written().indexOf("lost"))
        .trim(),
    ).toContain(text);
    expect(rank.written() === "").toBe(!says);
  },
);

test("a rank whose agent is gone leaves though what it would say cannot be loaded", async () => {
  vi.doMock("../../src/ui/failure-text.ts", () => {
    throw new Error("EMFILE");
  });
  try {
    const rank = startRank([{ t: "assign", roles: [], host: "h", reportsRankZeroLoss: true } as never], tmpdir());
    rank.close();
    await expect.poll(() => rank.codes).toEqual([72]);
    expect(rank.written()).toBe("tsdask-mpi: TSD-036 Rank 0 is gone, says rank 2.\n");
  } finally {
    vi.doUnmock("../../src/ui/failure-text.ts");
  }
});

/** A rank that is told to start a worker, once its fork server has refused to; disposing ends it. */
async function refusedRank(reason: string, message: string): Promise<ReturnType<typeof startRank> & AsyncDisposable> {
  const folder = mkdtempSync(join(tmpdir(), "rank-agent-"));
  const forkSocket = join(folder, "fork.sock");
  const refused = Promise.withResolvers<void>();
  const server = createServer((connection) => {
    connection.once("data", (data) => {
      if (data.includes('"fork"')) connection.write(`${JSON.stringify({ event: "refused", reason, message })}\n`);
    });
    // The rank hangs up when it has heard that.
    connection.once("close", refused.resolve);
  });
  await new Promise<void>((resolve) => server.listen(forkSocket, resolve));
  const worker = { kind: "worker", cpu_count: 1, memory_limit: null, sys_path: [], params: {} };
  const assign = {
    t: "assign",
    roles: ["worker"],
    host: "h",
    forkSocket,
    python: join(folder, "no-python"),
    pythonRoot: folder,
    worker,
  };
  const rank = startRank(
    [{ ...assign, restarts: 0, logLevel: "error", schedulerReturns: false, terminateAt: 0 } as never],
    folder,
  );
  await refused.promise;
  return {
    ...rank,
    async [Symbol.asyncDispose]() {
      rank.take({ t: "end", code: 0, grace: 0 });
      await expect.poll(() => rank.codes).toEqual([0]);
      server.close();
      rmSync(folder, { recursive: true });
    },
  };
}

test("a fork server that refuses to fork is TSD-058, and the worker's own Python is started in its place", async () => {
  await using rank = await refusedRank("cgroup", "another cgroup");
  const own = { k: "warning", code: "TSD-058", facts: { host: "h", problem: "another cgroup" } };
  await expect
    .poll(() => rank.sent.find(({ k }) => k === "worker-lost"))
    .toMatchObject({ why: expect.stringContaining("no-python") as string });
  expect(rank.sent[0]).toEqual(own);
});

test("a fork server that refuses because it ends, as its launch does, is not told, and nothing is started", async () => {
  await using rank = await refusedRank("ending", "about to end");
  expect(rank.sent).toEqual([]);
});

test.each([
  ["before the launch has ended is begun", 1],
  ["afterwards is not", 0],
])("what a rank is told to do %s", async (_, times) => {
  const worker = { kind: "worker", cpu_count: 1, memory_limit: null, sys_path: [], params: {} };
  const assign = { t: "assign", roles: ["worker"], host: "h", python: "/nowhere/python", worker, restarts: 0 } as never;
  const end = { t: "end", code: 0, grace: 0 } as const;
  const rank = startRank(times === 1 ? [assign, end] : [end, assign], tmpdir());
  await expect.poll(() => rank.codes).toEqual([0]);
  expect(rank.started()).toBe(times);
});
