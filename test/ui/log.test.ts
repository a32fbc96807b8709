import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { logTo, openLog, silentLog, type LogRecord } from "../../src/ui/log.ts";
import { redact, redactText } from "../../src/ui/redact.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tsdask-log-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const records = (name: string) =>
  readFileSync(join(folder, `${name}.jsonl`), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test("records are JSON lines in a private file, on their way as soon as they are made", async () => {
  const log = await openLog({ folder, name: "rank-0", base: { rank: 0, host: "h1" } });
  log.info("scheduler is up", { address: "tls://10.0.0.1:1", seconds: 0.9 });
  log.debug("not wanted");
  await expect.poll(() => statSync(join(folder, "rank-0.jsonl")).size).toBeGreaterThan(0);
  expect(records("rank-0")).toMatchObject([
    { rank: 0, host: "h1", msg: "scheduler is up", address: "tls://10.0.0.1:1", seconds: 0.9 },
  ]);
  expect(statSync(join(folder, "rank-0.jsonl")).mode & 0o777).toBe(0o600);
  await log.close();
  log.error("after the end");
  expect(records("rank-0")).toHaveLength(1);
});

test("secrets are hidden by their keys and in text, wherever they stand", async () => {
  const log = await openLog({ folder, name: "secrets" });
  const secret = "s3cr3t-value-0123456789";
  log.warn("secrets", {
    token: secret,
    hubSecret: secret,
    nested: { list: [{ password: secret, key: secret, keyPem: secret, TLS_KEY: secret }] },
    link: `http://h1:8787/status?token=${secret}`,
    header: `Authorization: Bearer ${secret}`,
    error: new Error(`refused ?token=${secret}`),
    env: { JUPYTER_TOKEN: secret },
    pem: "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----",
  });
  await log.close();
  expect(readFileSync(join(folder, "secrets.jsonl"), "utf8")).not.toContain(secret);
});

test("what is no secret stays, and what JSON cannot hold becomes something it can", () => {
  const loop: Record<string, unknown> = {
    number: 1,
    big: 10n,
    bytes: Buffer.from("abc"),
    list: [1, "a"],
    file: "/x/token",
  };
  loop["self"] = loop;
  expect(redact(loop)).toEqual({
    number: 1,
    big: "10",
    bytes: "[3 bytes]",
    list: [1, "a"],
    file: "/x/token",
    self: "[deep]",
  });
  expect(redact({ token_file: "/x", monkey: "b", keys: undefined, secure: true })).toMatchObject({
    token_file: "/x",
    monkey: "b",
    secure: true,
  });
  expect(redactText("nothing to hide")).toBe("nothing to hide");
});

test("a follower's records travel to its leader's log as they are", () => {
  const sent: LogRecord[] = [];
  const follower = logTo((record) => sent.push(record), "info");
  follower.info("forked", { pid: 5 });
  follower.debug("too fine");
  const arrived: LogRecord[] = [];
  const leader = logTo((record) => arrived.push(record), "debug");
  for (const record of sent) leader.record(record);
  expect(arrived).toEqual([{ level: "info", event: "forked", data: { pid: 5 } }]);
  silentLog.error("nobody hears this");
});

test("the folder is made if it is not there; one that cannot be had is told with its cause", async () => {
  const log = await openLog({ folder: join(folder, "a", "b"), name: "x", base: { rank: 0 } });
  log.info("of another rank", { rank: 3 });
  await log.close();
  expect(readFileSync(join(folder, "a", "b", "x.jsonl"), "utf8").match(/"rank"/g)).toHaveLength(1);
  await expect(openLog({ folder: join(folder, "a", "b", "x.jsonl"), name: "y" })).rejects.toMatchObject({
    code: "TSD-072",
  });
  await expect(openLog({ folder: "/proc/no-folder-here/log", name: "y" })).rejects.toMatchObject({ code: "TSD-072" });
});
