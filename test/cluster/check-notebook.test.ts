import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { checkNotebook } from "../../src/cluster/check-notebook.ts";
import { readNotebook } from "../../src/config/notebook-options.ts";

const folder = mkdtempSync(join(tmpdir(), "tsdask-check-notebook-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Looks at a notebook with this text, or with these fields in place of an empty one's. */
function check(content: string | object, ...words: readonly string[]): void {
  const fields = { nbformat: 4, nbformat_minor: 5, metadata: {}, cells: [] };
  writeFileSync(
    join(folder, "n.ipynb"),
    typeof content === "string" ? content : JSON.stringify({ ...fields, ...content }),
  );
  checkNotebook(readNotebook(["n.ipynb", ...words], folder));
}

describe("a notebook's language", () => {
  const spec = (language: string): object => ({ kernelspec: { name: "ir", display_name: "R", language } });

  it("is Python, or its kernel is named", () => {
    for (const metadata of [spec("R"), { language_info: { name: "R" } }]) {
      expect(() => check({ metadata })).toThrow(/TSD-109 .*: it is written in R: name its kernel with --kernel\./);
      expect(() => check({ metadata }, "--kernel", "ir")).not.toThrow();
    }
  });

  it("may be missing, and is the kernel's where the last run was another one's", () => {
    for (const metadata of [{}, spec("python"), spec(""), { ...spec("Python"), language_info: { name: "R" } }])
      expect(() => check({ metadata })).not.toThrow();
  });
});

describe("a notebook's file", () => {
  const cell = { cell_type: "code", metadata: {}, source: "1" };
  const { source: _source, ...silent } = cell;
  const { cell_type: _type, ...untyped } = cell;

  it.each<readonly [object, string]>([
    [{ metadata: undefined }, "it has no metadata"],
    [{ cells: {} }, "it has no list of cells"],
    [{ cells: [cell, silent] }, "cell 2 of 2 has no source"],
    [{ cells: [untyped] }, "cell 1 of 1 has no type (cell_type)"],
    [{ cells: [7] }, "cell 1 of 1 has no type (cell_type)"],
    [{ cells: [{ ...cell, metadata: null }] }, "cell 1 of 1 has no metadata"],
    [{ cells: [{ ...cell, source: ["1", "'\ud83d'"] }] }, "cell 1 of 1 has half a character in it"],
  ])("that lacks what executing it takes is refused: %j", (fields, problem) => {
    expect(() => check(fields)).toThrow(problem);
  });

  it("may begin with a mark of its encoding, and lack what is only shown", () => {
    const cells = [
      { ...cell, source: ["1\n", "'😀'"] },
      { ...silent, cell_type: "markdown" },
    ];
    expect(() => check(`\uFEFF${JSON.stringify({ nbformat: 4, metadata: {}, cells })}`)).not.toThrow();
  });
});
