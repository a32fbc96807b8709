import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, watch } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { deadlines } from "../../src/deadlines.ts";
import type { Failure } from "../../src/errors/failure.ts";
import { meetByRecord, publishRecord, ranksThatHeard, recordPath } from "../../src/rendezvous/record.ts";

let place = "";
let folder = "";
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "tsdask-record-"));
  folder = join(place, ".tsdask-0123456789abcdef");
  mkdirSync(folder, { mode: 0o700 });
});
afterEach(() => rmSync(place, { recursive: true }));

const changed: { hubUnreachable: number } = deadlines;
const { hubUnreachable } = deadlines;
afterEach(() => {
  changed.hubUnreachable = hubUnreachable;
});

const meet = (startTimeout = 0.1): ReturnType<typeof meetByRecord> =>
  meetByRecord({ folder, launch: "x", rank: 3, host: "b", localSize: 5, startTimeout });
const publish = (launch: string, port: number): Promise<void> =>
  publishRecord(folder, {
    v: 1,
    launch,
    pid: 1,
    host: "a",
    addresses: [`127.0.0.1:${port}`],
    fingerprint: "0".repeat(64),
    secret: "s",
  });

/** A port at which nothing listens: it was had a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("no record of rank 0 is TSD-021, with the folder that should be shared", async () => {
  await expect(meet()).rejects.toMatchObject({
    code: "TSD-021",
    exitCode: 69,
    facts: { rank: 3, host: "b", folder: place },
  });
});

test("the record of another launch is none", async () => {
  await publish("y", await freePort());
  await expect(meet()).rejects.toMatchObject({ code: "TSD-021" });
});

test("a record of a rank 0 that does not answer is TSD-022, with its addresses", async () => {
  const port = await freePort();
  await publish("x", port);
  const facts = { rank: 3, host: "b", hub: "a", addresses: `127.0.0.1:${port}` };
  await expect(meet()).rejects.toMatchObject({ code: "TSD-022", exitCode: 69, facts });
});

test("a hub that is not reached is given up soon; one whose record is old may be another launch's, and is waited for", async () => {
  changed.hubUnreachable = 0;
  await publish("x", await freePort());
  const after = (startTimeout: number): Promise<unknown> =>
    meet(startTimeout).catch((error: unknown) => {
      expect(error).toMatchObject({ code: "TSD-022" });
      return (error as Failure).facts["seconds"];
    });
  expect(await after(100)).toBeLessThan(50);
  const before = Date.now() / 1000 - 600;
  utimesSync(recordPath(folder), before, before);
  expect(await after(1)).toBeGreaterThanOrEqual(1);
});

test("who finds no record has the file system look again, in the folder where it is to come, too", async () => {
  const names: (string | null)[] = [];
  const watcher = watch(folder, (_, name) => names.push(name));
  await expect(meet(3)).rejects.toMatchObject({ code: "TSD-021" });
  watcher.close();
  expect(names).toContain(`.tsdask-look-${process.pid}-3`);
  expect(readdirSync(folder)).toEqual([]);
});

test("a rank 0 that has failed ends this launch's hosts with its code, and sees how many ranks know", async () => {
  await publishRecord(folder, { v: 1, launch: "x", failed: 64, at: Date.now() });
  const { channel } = await meet();
  expect(await new Promise((resolve) => channel.onMessage(resolve))).toEqual({ t: "end", code: 64, grace: 0 });
  const closed = new Promise((resolve) => channel.onClose(resolve));
  channel.send({ t: "host-done" });
  await closed;
  expect(await ranksThatHeard(folder)).toBe(5);
});

test.each([
  ["another launch", "y", 0],
  ["one that was killed long ago", "x", 120_000],
])("a rank 0 that has failed, of %s, ends nobody", async (_, launch, ago) => {
  await publishRecord(folder, { v: 1, launch, failed: 64, at: Date.now() - ago });
  await expect(meet()).rejects.toMatchObject({ code: "TSD-021" });
  expect(await ranksThatHeard(folder)).toBe(0);
});
