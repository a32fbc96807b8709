import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { differences, readTable, wantedCells, withTable, type Seen } from "./features.ts";

const page = readFileSync(new URL("../../docs/batch/README.md", import.meta.url), "utf8");
const cells = readTable(page);

it("docs/batch/README.md has a table with a cell for every batch system and feature, of words that the page explains", () => {
  expect(cells.size).toBe(70);
  for (const cell of cells.values())
    expect(cell).toMatch(/^(run on \d[\w.]*|recorded|by documentation|cannot: [A-Za-z].*)$/);
  expect(withTable(page, cells)).toBe(page);
});

describe("the table", () => {
  const seen: readonly Seen[] = [
    { system: "slurm", feature: "array" },
    { system: "slurm", feature: "array", version: "99.1" },
    { system: "pbs", feature: "array" },
  ];

  it("says after a run of all tests what they saw and nothing else", () => {
    const wanted = wantedCells(cells, seen, { all: true });
    expect(wanted.get("slurm array")).toBe("run on 99.1");
    expect(wanted.get("pbs array")).toBe("recorded");
    expect(wanted.get("slurm scale")).toBe("by documentation");
    expect(wanted.get("kubernetes drain")).toMatch(/^cannot: /);
  });

  it("keeps after a run of some what these did not look at, and what is known better", () => {
    const run = new Map(cells).set("slurm scale", "run on 1.2").set("slurm join", "run on 1.2");
    const wanted = wantedCells(run, [...seen, { system: "slurm", feature: "join" }], { all: false });
    expect(wanted.get("slurm array")).toBe("run on 99.1");
    expect([wanted.get("slurm scale"), wanted.get("slurm join")]).toEqual(["run on 1.2", "run on 1.2"]);
  });

  it("tells what is wrong in it, cell by cell, and is written anew", () => {
    const before = new Map(cells).set("slurm array", "run on 1.2");
    const wanted = new Map(before).set("slurm array", "recorded");
    expect(differences(before, wanted)).toEqual(['slurm array: the table says "run on 1.2", the tests say "recorded"']);
    expect(differences(before, before)).toEqual([]);
    expect(readTable(withTable(page, wanted))).toEqual(wanted);
  });
});
