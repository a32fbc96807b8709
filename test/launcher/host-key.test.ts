import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, it } from "vitest";

import { hostLaunchKey, startsParts } from "../../src/launcher/host-key.ts";

const world = { launcher: "hydra", rank: 0, size: 2 } as const;
let proc: string;

beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), "tsdask-proc-"));
});
afterEach(() => {
  rmSync(proc, { recursive: true });
});

function process(pid: number, command: string, parent: number, start: number, words: readonly string[] = []): void {
  mkdirSync(join(proc, String(pid)));
  const rest = Array.from({ length: 17 }, () => 0).join(" ");
  writeFileSync(join(proc, String(pid), "stat"), `${pid} (${command}) S ${parent} ${rest} ${start} 0 0\n`);
  writeFileSync(join(proc, String(pid), "cmdline"), words.map((word) => `${word}\0`).join(""));
}

it("is the launch id where the launcher gives one", () => {
  expect(hostLaunchKey({ ...world, launchId: "a-1" }, { parent: 10, proc })).toBe("hydra:a-1");
});

it("is the same behind different wrapper scripts of one launch", () => {
  process(50, "hydra_pmi_proxy", 1, 777);
  process(60, "sh", 50, 780);
  process(70, "my (odd) name", 50, 781);
  const keys = [50, 60, 70].map((parent) => hostLaunchKey(world, { parent, proc }));
  expect(keys).toEqual(["hydra:50.777", "hydra:50.777", "hydra:50.777"]);
});

it("falls back on the parent when nothing above is known", () => {
  process(60, "sh", 1, 780);
  expect(hostLaunchKey(world, { parent: 60, proc })).toBe("hydra:60");
  expect(hostLaunchKey(world, { parent: 99, proc })).toBe("hydra:99");
});

it("tells whether a launcher above was given several parts", () => {
  process(40, "mpiexec.hydra", 1, 770, ["mpiexec.hydra", "-n", "4", "a", ":", "-n", "8", "a"]);
  process(50, "hydra_pmi_proxy", 40, 777, ["hydra_pmi_proxy", "--x", "a:b"]);
  process(60, "mpirun", 1, 780, ["mpirun", "-np", "4", "a", "::"]);
  process(70, "sh", 60, 781);
  expect([40, 50, 60, 70, 99].map((parent) => startsParts(parent, proc))).toEqual([true, true, false, false, false]);
});
