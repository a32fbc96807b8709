import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, it } from "vitest";

import { hostLaunchKey } from "../../src/launcher/host-key.ts";

const world = { launcher: "hydra", rank: 0, size: 2 } as const;
let proc: string;

beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), "tsdask-proc-"));
});
afterEach(() => {
  rmSync(proc, { recursive: true });
});

function process(pid: number, command: string, parent: number, start: number): void {
  mkdirSync(join(proc, String(pid)));
  const rest = Array.from({ length: 17 }, () => 0).join(" ");
  writeFileSync(join(proc, String(pid), "stat"), `${pid} (${command}) S ${parent} ${rest} ${start} 0 0\n`);
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
