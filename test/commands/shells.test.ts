import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { describe, expect, test } from "vitest";
import { exportLine, shellNamed, unsetLine, type Shell } from "../../src/commands/shells.ts";

const programs: readonly (readonly [string, Shell])[] = [
  ["sh", "bash"],
  ["bash", "bash"],
  ["dash", "bash"],
  ["zsh", "bash"],
  ["fish", "fish"],
  ["tcsh", "csh"],
];
const installed = programs.filter(([name]) =>
  (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, name))),
);
const values = ["plain", "/a folder/it's $HOME", 'a"b`c\\d', "!history! $(exit) ;&|<>*?[~#", "back\\slash\\'", "ünï"];

describe.each(installed)("%s", (program, shell) => {
  test.each(values)("takes %o as it is", (value) => {
    const source = `${exportLine(shell, "PROBE_VALUE", value)}\nprintenv PROBE_VALUE`;
    const flags = shell === "csh" ? ["-f"] : [];
    expect(execFileSync(program, [...flags, "-c", source], { encoding: "utf8" })).toBe(`${value}\n`);
  });

  test("forgets a variable again", () => {
    const source = `${exportLine(shell, "PROBE_VALUE", "x")}\n${unsetLine(shell, "PROBE_VALUE")}\nenv`;
    expect(execFileSync(program, ["-c", source], { encoding: "utf8" })).not.toContain("PROBE_VALUE");
  });
});

test.each([
  ["-bash", "bash"],
  ["/usr/bin/fish", "fish"],
  ["tcsh", "csh"],
  ["zsh", "bash"],
  ["python3", undefined],
])("the program %s is the shell %s", (name, shell) => {
  expect(shellNamed(name)).toBe(shell);
});
