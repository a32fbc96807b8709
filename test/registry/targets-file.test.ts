import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { targetGroups } from "../../src/cluster/prometheus-targets.ts";
import { removeTargetsFile, targetsFile } from "../../src/registry/targets-file.ts";

const cluster = { name: "nightly", launch: "abc.1" };
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "targets-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("what a killed launch left for Prometheus is removed, and nothing that is not its own", async () => {
  const path = targetsFile(folder, cluster);
  const put = (text: string): void => writeFileSync(path, text, { mode: 0o600 });
  const groups = (launch: string): string =>
    JSON.stringify(targetGroups({ ...cluster, launch, pages: "h:1", https: false, token: "secret" }, []));
  for (const other of [groups("another.1"), "[]", "{", '{"labels": 1}', "null"]) {
    put(other);
    expect(await removeTargetsFile(folder, cluster), other).toBe(false);
    expect(existsSync(path)).toBe(true);
  }
  put(groups(cluster.launch));
  chmodSync(path, 0o666);
  expect(await removeTargetsFile(folder, cluster)).toBe(false);
  chmodSync(path, 0o600);
  expect(await removeTargetsFile(folder, cluster)).toBe(true);
  expect(existsSync(path)).toBe(false);
  expect(await removeTargetsFile(folder, cluster)).toBe(false);
});
