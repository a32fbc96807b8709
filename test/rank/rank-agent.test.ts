import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { FromRank, ToRank } from "../../src/protocol/messages.ts";
import { runRankAgent } from "../../src/rank/rank-agent.ts";

/** A rank that is to start a script with rank 0's standard input, on a host whose folder is gone; `last` is what it is told then. */
async function startWithoutFolder(last: readonly ToRank[]): Promise<{ sent: FromRank[]; code: number | undefined }> {
  const folder = mkdtempSync(join(tmpdir(), "rank-agent-"));
  const sent: FromRank[] = [];
  let code: number | undefined;
  let take = (_: ToRank): void => undefined;
  let close = (): void => undefined;
  runRankAgent({
    rank: 1,
    up: {
      send: (message: FromRank) => void sent.push(message),
      onMessage: (reader: typeof take) => {
        take = reader;
      },
      onClose: (reader: typeof close) => {
        close = reader;
      },
      close: () => undefined,
    },
    childEnv: () => ({}),
    cwd: folder,
    out: process.stderr,
    joinPmi: () => undefined,
    idle: () => undefined,
    exit: (given: number) => {
      code = given;
    },
  } as never);
  const guardSocket = join(folder, "gone", "fork.sock");
  take({ t: "assign", roles: ["client"], host: "h", address: "127.0.0.1", guardSocket, pythonRoot: folder } as never);
  take({ t: "client", file: "script.py", python: "/usr/bin/python3", args: [], env: {}, stdin: "relay" } as never);
  for (const message of last) take(message);
  await expect.poll(() => last.length > 0 || sent.some(({ t }) => t === "event"), { timeout: 10_000 }).toBe(true);
  close();
  await expect.poll(() => code, { timeout: 10_000 }).toBeDefined();
  rmSync(folder, { recursive: true });
  return { sent, code };
}

test("a script that cannot be started is a failure that is told", async () => {
  const { sent } = await startWithoutFolder([]);
  expect(sent).toContainEqual(
    expect.objectContaining({ event: expect.objectContaining({ k: "failure", code: "TSD-052" }) as object }),
  );
});

test("a launch that ends while its script is being started ends with its code, and nothing of the script is said", async () => {
  const { sent, code } = await startWithoutFolder([{ t: "end", code: 69, grace: 0 }]);
  expect(code).toBe(69);
  expect(sent.filter(({ t }) => t === "event")).toEqual([]);
});
