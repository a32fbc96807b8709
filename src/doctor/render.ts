import { visibleLine } from "../errors/visible.ts";
import { count, hostList } from "../ui/ranges.ts";
import type { MergedRow } from "./merge.ts";
import { groups } from "./row.ts";

const marks = { ok: "ok", warning: "warning", error: "ERROR" } as const;
const tints = { ok: 32, warning: 33, error: 31 } as const;

const titles = {
  installation: "Installation",
  python: "Python",
  launcher: "Launcher",
  hosts: "Hosts",
  files: "Files",
  limits: "Limits",
  batch: "Batch system",
  jupyter: "Jupyter and tunnel",
  security: "Security",
} as const;

/**
 * The report as people read it: a group, a row for each check, and under a finding its cause, its cure and the
 * message's code.
 */
export function reportText(
  rows: readonly MergedRow[],
  { hosts, colour = false }: { readonly hosts: readonly string[]; readonly colour?: boolean },
): string {
  const tint = (state: MergedRow["state"]): string => {
    const mark = marks[state].padEnd(7);
    return colour ? `\u001b[${tints[state]}m${mark}\u001b[0m` : mark;
  };
  const lines: string[] = [];
  for (const group of groups) {
    const here = rows.filter((row) => row.group === group);
    if (here.length === 0) continue;
    lines.push("", titles[group]);
    for (const row of few(here)) {
      const on = row.hosts === undefined ? "" : `[${hostList([...row.hosts])}] `;
      lines.push(`  ${tint(row.state)} ${row.name.padEnd(16)} ${on}${visibleLine(row.text)}`);
      if (row.cause !== undefined) lines.push(`          cause: ${visibleLine(row.cause)}`);
      if (row.cure !== undefined) lines.push(`          cure:  ${visibleLine(row.cure)}`);
      if (row.code !== undefined)
        lines.push(`          code:  ${row.code}, as the launch would say it; \`tsdask-mpi explain ${row.code}\``);
    }
  }
  const where = hosts.length === 1 ? (hosts[0] ?? "") : `${count(hosts.length, "host")} (${hostList([...hosts])})`;
  return `${[`tsdask-mpi doctor, ${where}`, ...lines, "", verdict(rows)].join("\n")}\n`;
}

/**
 * So many different answers to one question are shown where all are well; of more, one and how many others there are.
 */
const mostAnswers = 4;

/** What differs from host to host, and is well everywhere, takes one line: a hundred hosts have a hundred addresses. */
function few(rows: readonly MergedRow[]): readonly MergedRow[] {
  const kin = Map.groupBy(rows, ({ name, state }) => `${state} ${name}`);
  return rows.flatMap((row) => {
    const all = kin.get(`${row.state} ${row.name}`) ?? [];
    if (row.state !== "ok" || all.length <= mostAnswers) return [row];
    if (row !== all[0]) return [];
    const hosts = all.flatMap((one) => one.hosts ?? []);
    return [{ ...row, hosts, text: `${row.text}, and ${all.length - 1} others (--json has all)` }];
  });
}

/** The last line: how much is wrong. */
export function verdict(rows: readonly MergedRow[]): string {
  const errors = rows.filter(({ state }) => state === "error").length;
  const warnings = rows.filter(({ state }) => state === "warning").length;
  if (errors === 0 && warnings === 0) return "All is well.";
  const parts = [errors === 0 ? "" : count(errors, "error"), warnings === 0 ? "" : count(warnings, "warning")];
  return `${parts.filter((part) => part !== "").join(", ")}.`;
}

/** The report for programs. */
export function reportJson(rows: readonly MergedRow[], hosts: readonly string[]): string {
  const state = rows.some((row) => row.state === "error")
    ? "error"
    : rows.some((row) => row.state === "warning")
      ? "warning"
      : "ok";
  return `${JSON.stringify({ state, hosts, rows }, null, 2)}\n`;
}
