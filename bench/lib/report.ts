import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Table from "cli-table3";
import { projectRoot } from "../../test/integration/bed/command.ts";
import { machine, type Machine } from "./machine.ts";

/**
 * Writes what a benchmark measured to `bench/results/<name>.json`, with the machine and its load at start and end;
 * returns the path.
 */
export function writeResult(name: string, begun: Machine, content: Readonly<Record<string, unknown>>): string {
  const folder = join(projectRoot, "bench", "results");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}.json`);
  writeFileSync(
    path,
    `${JSON.stringify({ benchmark: name, machine: begun, loadAtEnd: machine().load, ...content }, null, 2)}\n`,
  );
  return path;
}

/** Prints a table to stdout: the first column left, numbers right. */
export function printTable(title: string, head: readonly string[], rows: readonly (readonly string[])[]): void {
  const table = new Table({
    head: [...head],
    colAligns: head.map((_, index) => (index === 0 ? "left" : "right")),
    style: { head: [], border: [], compact: true },
  });
  table.push(...rows.map((row) => [...row]));
  process.stdout.write(`\n${title}\n${table.toString()}\n`);
}

/** One line on stderr, so that a long benchmark shows what it does. */
export function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** `1.23` for a figure, `–` for one that there is not. */
export function figure(value: number | undefined, digits = 2): string {
  return value === undefined || Number.isNaN(value) ? "–" : value.toFixed(digits);
}
