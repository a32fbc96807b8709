import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import nodeProcess from "node:process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { livingRanks } from "../../src/launcher/neighbours.ts";
import { procStat, startedWith } from "../../src/launcher/proc-stat.ts";

let proc: string;

beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), "tsdask-proc-"));
});
afterEach(() => {
  rmSync(proc, { recursive: true });
});

interface Told {
  readonly state?: string;
  readonly flags?: number;
  /** `env_end`, 0 where the process has no memory or is in the midst of its execve(2). */
  readonly end?: number;
  readonly environment?: readonly string[];
  readonly children?: readonly number[];
}

/** Writes what proc(5) says of a process; the fields of its stat are counted from the state, the third. */
function process(pid: number, command: string, told: Told = {}): void {
  const fields: (number | string)[] = new Array(50).fill(0);
  fields[0] = told.state ?? "S";
  fields[1] = 1;
  fields[6] = told.flags ?? 0;
  fields[48] = told.end ?? 4096;
  mkdirSync(join(proc, String(pid), "task", String(pid)), { recursive: true });
  const write = (name: string, text: string): void => writeFileSync(join(proc, String(pid), name), text);
  write("stat", `${pid} (${command}) ${fields.join(" ")}\n`);
  write("environ", (told.environment ?? []).map((entry) => `${entry}\0`).join(""));
  write(join("task", String(pid), "children"), (told.children ?? []).map((child) => `${child} `).join(""));
}

const rank = (number: number): readonly string[] => ["PMI_SIZE=3", `PMI_RANK=${number}`, "HYDI_CONTROL_FD=7"];

describe("the ranks that live on this host", () => {
  const ranks = (): ReadonlySet<number> | undefined =>
    livingRanks({ launcher: "hydra", rank: 0, size: 3 }, { parent: 50, proc });

  it("are the launcher's children with a rank's variables", () => {
    process(50, "hydra_pmi_proxy", { children: [60, 61, 62] });
    process(60, "sh", { environment: rank(0) });
    process(61, "node", { environment: rank(1) });
    process(62, "node", { state: "Z", end: 0 });
    expect(ranks()).toEqual(new Set([0, 1]));
  });

  it("cannot be told while one is in the midst of its execve", () => {
    process(50, "hydra_pmi_proxy", { children: [60, 61] });
    process(60, "sh", { environment: rank(0) });
    process(61, "node", { end: 0 });
    expect(ranks()).toBeUndefined();
  });
});

describe("what a process was started with", () => {
  it("is its environment", () => {
    process(60, "sh", { environment: ["A=1", "B=x=y", "odd"] });
    expect(startedWith(60, proc)).toEqual(["A=1", "B=x=y"]);
  });

  it.each<[string, Told, string]>([
    ["is not known yet in the midst of its execve", { state: "R", end: 0 }, "starting"],
    ["is gone with one that has ended", { state: "Z", end: 0 }, "ended"],
    ["is nothing for a thread of the kernel", { flags: 0x0020_8040, end: 0 }, "ended"],
    ["is nothing for one with no variables", {}, "ended"],
  ])("%s", (_, told, expected) => {
    process(60, "sh", told);
    expect(startedWith(60, proc)).toBe(expected);
    expect(startedWith(61, proc)).toBe("ended");
  });

  it("is this process's own", () => {
    expect(startedWith(nodeProcess.pid)).toEqual(expect.arrayContaining([expect.stringMatching(/^PATH=/)]));
    expect(procStat("self")?.starting).toBe(false);
  });
});
