import { readdirSync, readFileSync } from "node:fs";

/** The names of all recorded environments. */
export const environments: readonly string[] = readdirSync(new URL("environments/", import.meta.url))
  .map((file) => file.replace(/\.env$/, ""))
  .sort();

/**
 * A launcher's variables as one rank saw them, from `environments/<name>.env` (`NAME=value` lines, `#` for remarks).
 */
export function environment(name: string): Record<string, string> {
  const text = readFileSync(new URL(`environments/${name}.env`, import.meta.url), "utf8");
  const pairs = text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]);
  return Object.fromEntries(pairs) as Record<string, string>;
}
