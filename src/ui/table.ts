import Table from "cli-table3";

/**
 * Rows under a heading, without lines between them, columns as wide as they need to be; one line per row, and no blanks
 * at the ends of lines.
 */
export function tableText(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const nothing = ["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left", "bottom-right"];
  const more = ["left", "left-mid", "mid", "mid-mid", "right", "right-mid"];
  const table = new Table({
    chars: { ...Object.fromEntries([...nothing, ...more].map((name) => [name, ""])), middle: "  " },
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [] },
  });
  table.push([...heading], ...rows.map((row) => [...row]));
  return table
    .toString()
    .split("\n")
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}
