import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { leaveWord } from "../../src/host/tell-rank-zero.ts";
import { shortName } from "../../src/launcher/host-paths.ts";
import { meetByRecord } from "../../src/rendezvous/record.ts";

let shared = "";
let folder = "";
beforeEach(() => {
  shared = mkdtempSync(join(tmpdir(), "tsdask-word-"));
  folder = join(shared, `.tsdask-${shortName("key")}`);
});
afterEach(() => rmSync(shared, { recursive: true }));

/** Rank 0 of six, of which two are on its own host, has failed with 64. */
const leave = (): Promise<void> => {
  const place = { key: "key", folder, schedulerFile: join(shared, "scheduler.json"), multiHost: true, usePmi: false };
  return leaveWord({ launcher: "slurm", rank: 0, size: 6 }, place, { exitCode: 64, here: () => 2 });
};

const codeAt = async (rank: number, localSize: number): Promise<unknown> => {
  const launch = shortName("key");
  const { channel } = await meetByRecord({ folder, launch, rank, host: `h${rank}`, localSize, startTimeout: 10 });
  return new Promise((resolve) => channel.onMessage(resolve));
};

test("rank 0 that has failed leaves as soon as all other hosts know, and nothing stays", async () => {
  let left = false;
  const leaving = leave().then(() => {
    left = true;
  });
  expect(await codeAt(2, 3)).toMatchObject({ t: "end", code: 64 });
  expect(left).toBe(false);
  expect(await codeAt(5, 1)).toMatchObject({ t: "end", code: 64 });
  await leaving;
  expect(readdirSync(shared)).toEqual([]);
});

test("the folder of another launch that has the same key stays as it is", async () => {
  mkdirSync(folder, { mode: 0o700 });
  writeFileSync(join(folder, "hub"), "{}");
  await leave();
  expect(readdirSync(folder)).toEqual(["hub"]);
});
