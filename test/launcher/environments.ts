import { readFileSync } from "node:fs";

/** A launcher's variables as one rank saw them, from `environments/<name>.env` (`NAME=value` lines, `#` for remarks). */
export function environment(name: string): Record<string, string> {
  const text = readFileSync(new URL(`environments/${name}.env`, import.meta.url), "utf8");
  const pairs = text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]);
  return Object.fromEntries(pairs) as Record<string, string>;
}
