import { VERSION } from "../config/version.ts";

/** `tsdask-mpi-runbook(7)` in man's own notation, from the Markdown of docs/runbook.md. Pure. */
export function runbookPage(markdown: string): string {
  const blocks = markdown
    .replace(/^# .*\n/, "")
    .split(/\n{2,}|\n(?=#{2,3} )/)
    .filter((block) => block.trim() !== "");
  return [
    `.TH TSDASK-MPI-RUNBOOK 7 "" "tsdask-mpi ${VERSION}" "Runbook"`,
    ".SH NAME",
    "tsdask-mpi-runbook \\- every message of tsdask-mpi with symptom, cause, check, what our commands show, and cure",
    ...blocks.flatMap(blockLines),
    ".SH SEE ALSO",
    ".BR tsdask-mpi (1)",
    "",
  ].join("\n");
}

/** A paragraph, or lines that begin with a heading, a list's sign, a table's bar or four blanks. */
function blockLines(block: string): readonly string[] {
  const lines = block.replace(/^\n+/, "").split("\n");
  const [first = "", ...rest] = lines;
  const heading = /^(#{2,3}) (.+)$/.exec(first);
  if (heading !== null) {
    const more = rest.length === 0 ? [] : blockLines(rest.join("\n"));
    return [
      heading[1] === "##" ? `.SH ${text(heading[2] ?? "").toUpperCase()}` : `.SS ${text(heading[2] ?? "")}`,
      ...more,
    ];
  }
  if (first.startsWith("    ")) return [".PP", ".nf", ...lines.map((line) => text(line)), ".fi"];
  if (first.startsWith("|")) return lines.filter((line) => !/^\|[-|]+\|$/.test(line)).flatMap(rowLines);
  if (/^(?:- |\d+\. )/.test(first)) return itemLines(lines);
  return [".PP", ...lines.map((line) => text(line))];
}

/** A table's row: its first cell, and the others under it. */
function rowLines(row: string): readonly string[] {
  const [first = "", ...others] = row.slice(1, -1).split("|");
  return [".TP", text(first.trim()) || "\\&", ...others.map((cell) => text(cell.trim()) || "\\&")];
}

/** A list: lines that begin with no sign go on with the item before. */
function itemLines(lines: readonly string[]): readonly string[] {
  return lines.flatMap((line) => {
    const [, sign, said] = /^(-|\d+\.) (.*)$/.exec(line) ?? [];
    if (sign === undefined) return [text(line.trim())];
    return [`.IP ${sign === "-" ? "\\(bu 2" : `${sign} 4`}`, text(said ?? "")];
  });
}

/** Markdown's words as troff shows them: bold for `**` and code, links as their text, nothing that a C locale lacks. */
function text(line: string): string {
  const escaped = line
    .replaceAll(/\[([^\]]+)\]\([^)]*\)/g, "$1")
    .replaceAll("…", "...")
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replaceAll(
      /\*\*([^*]+)\*\*|`([^`]+)`/g,
      (_, bold: string | undefined, code: string | undefined) => `\\fB${bold ?? code}\\fR`,
    )
    .replaceAll(
      /[^\u0020-\u007e]/g,
      (letter) => `\\[u${(letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`,
    );
  return escaped.startsWith(".") ? `\\&${escaped}` : escaped;
}
