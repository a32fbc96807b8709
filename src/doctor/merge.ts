import { Failure } from "../errors/failure.ts";
import { hostList } from "../ui/ranges.ts";
import { foretold, groups, type Group, type HostReport, type Row } from "./row.ts";

/** A row of the report for all hosts: `hosts` are those that it is about, where not all have the same. */
export interface MergedRow extends Row {
  readonly hosts?: readonly string[];
}

/** One report of those of all hosts: what all have stands once, and whoever differs is named; pure. */
export function mergeReports(reports: readonly HostReport[]): readonly MergedRow[] {
  const rows = groups.flatMap((group) => mergeGroup(group, reports));
  return rows;
}

function mergeGroup(group: Group, reports: readonly HostReport[]): MergedRow[] {
  const names = [
    ...new Set(reports.flatMap(({ rows }) => rows.filter((row) => row.group === group).map(({ name }) => name))),
  ];
  return names.flatMap((name) => mergeRow(group, name, reports));
}

function mergeRow(group: Group, name: string, reports: readonly HostReport[]): MergedRow[] {
  const variants = new Map<string, { readonly row: Row; readonly hosts: string[] }>();
  for (const { host, rows } of reports)
    for (const row of rows.filter((one) => one.group === group && one.name === name)) {
      const key = `${row.state} ${row.code ?? ""} ${row.state === "ok" ? row.text : row.text.replaceAll(host, "*")}`;
      const variant = variants.get(key) ?? { row, hosts: [] };
      variant.hosts.push(host);
      variants.set(key, variant);
    }
  const all = [...variants.values()].toSorted((a, b) => b.hosts.length - a.hosts.length);
  const everywhere = all.length === 1 && all[0]?.hosts.length === reports.length;
  const merged = all.map(({ row, hosts }) => (everywhere ? row : { ...row, hosts }));
  const fineOnes = all.filter(({ row }) => row.state === "ok");
  if (new Set(fineOnes.map(({ row }) => row.same)).size < 2) return merged;
  return [...merged, oddRow(group, name, fineOnes)];
}

/** Where hosts must have the same and do not: the odd ones out. */
function oddRow(
  group: Group,
  name: string,
  variants: readonly { readonly row: Row; readonly hosts: readonly string[] }[],
): MergedRow {
  const [most, ...odd] = variants;
  const problem = variants.map(({ row, hosts }) => `${row.text} on ${hostList([...hosts])}`).join("; ");
  const hosts = odd.flatMap((one) => one.hosts);
  if (group === "python") {
    const facts = { problem, first: most?.hosts.join(", "), other: hosts.join(", ") };
    return { ...foretold(group, `${name} differs`, new Failure("TSD-044", facts)), hosts };
  }
  return {
    group,
    name: `${name} differs`,
    state: "warning",
    text: `not the same on all hosts: ${problem}`,
    cause: "The hosts found different installations or environments: a profile that differs, or a local disk.",
    cure: "Have one on a file system that all hosts see, and set PATH in the job's script, before the launcher.",
    hosts,
  };
}
