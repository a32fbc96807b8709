import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { isOrphan } from "../../src/launcher/orphan.ts";

const folder = mkdtempSync(join(tmpdir(), "orphan-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

/** A /proc with process 1 of this name, which holds these files, and ourselves with this stderr. */
function proc(first: string, held: readonly string[] | undefined, stderr = "pipe:[7]"): string {
  const path = join(folder, String((count += 1)));
  mkdirSync(join(path, "1"), { recursive: true });
  mkdirSync(join(path, "self", "fd"), { recursive: true });
  writeFileSync(join(path, "1", "comm"), `${first}\n`);
  symlinkSync(stderr, join(path, "self", "fd", "2"));
  if (held === undefined) return path;
  mkdirSync(join(path, "1", "fd"));
  for (const [fd, target] of held.entries()) symlinkSync(target, join(path, "1", "fd", String(fd)));
  return path;
}

describe("a rank whose launcher had gone before it looked", () => {
  test("has process 1 as its parent, which has nothing to do with its stderr", () => {
    expect(isOrphan(1, proc("systemd", undefined))).toBe(true);
    expect(isOrphan(1, proc("init", undefined, "/dev/null"))).toBe(true);
    expect(isOrphan(1, proc("sleep", ["/dev/null", "pipe:[8]", "pipe:[9]"]))).toBe(true);
    expect(isOrphan(1, proc("bash", []))).toBe(true);
  });

  test("is not one that process 1 started, in a container", () => {
    expect(isOrphan(1, proc("mpirun", ["pipe:[8]"]))).toBe(false);
    expect(isOrphan(1, proc("hydra_pmi_proxy", undefined))).toBe(false);
    expect(isOrphan(1, proc("appinit", ["/dev/null", "pipe:[6]", "pipe:[7]"]))).toBe(false);
  });

  test("is not one of which nothing can be told, nor one with another parent", () => {
    expect(isOrphan(1, join(folder, "none"))).toBe(false);
    expect(isOrphan(1, proc("docker-init", undefined))).toBe(false);
    expect(isOrphan(1, proc("bash", ["/dev/pts/0"], "/dev/pts/0"))).toBe(false);
    expect(isOrphan(17, proc("systemd", undefined))).toBe(false);
  });
});
