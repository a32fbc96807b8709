import { readFileSync } from "node:fs";
import { parseArgs, type ParseArgsConfig } from "node:util";

/**
 * Reads a benchmark's options, as `parseArgs` does. Asked for `--help`, or given what is no option of it, it prints the
 * comment at the head of `file` (`import.meta.filename`), and ends with 0 or 64.
 */
export function readOptions<const T extends ParseArgsConfig>(file: string, config: T): ReturnType<typeof parseArgs<T>> {
  const usage = readFileSync(file, "utf8")
    .split(/^import /m)[0]
    ?.replace(/^(\/\/ ?| ?\*\/|\/\*\*| \* ?)/gm, "")
    .trim();
  if (process.argv.includes("--help")) {
    console.log(usage);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exit(64);
  }
}

/** Ends with 64 and one line: a benchmark was asked for what it does not know, or what it needs is not here. */
export function refuse(text: string): never {
  console.error(text);
  process.exit(64);
}

/** The whole numbers from 1 on that `--option` lists, with commas between; anything else is refused. */
export function readNumbers(option: string, text: string): number[] {
  return text.split(",").map((part) => readNumber(option, part));
}

/** The whole number from `least` on that `--option` says; anything else is refused. */
export function readNumber(option: string, text: string, least = 1): number {
  const number = /^\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
  return number >= least ? number : refuse(`--${option}: ${JSON.stringify(text)} is no whole number from ${least} on.`);
}
