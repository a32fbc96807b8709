/** A text that the user put where the mark goes, with the mark behind it. Pure. */
export const withMark = (text: string | undefined, mark: string): string =>
  text === undefined || text === "" ? mark : `${text} ${mark}`;

/** What a script's directive says: the first group of `pattern` that matches. Pure. */
export function directiveIn(text: string, pattern: RegExp): string | undefined {
  return pattern
    .exec(text)
    ?.slice(1)
    .find((found) => found !== undefined);
}

/** A script; empty when it cannot be read: the submit command says why. */
export async function scriptText(path: string): Promise<string> {
  const { readFile } = await import("node:fs/promises");
  return readFile(path, "utf8").catch(() => "");
}

/** What stands in a script before its first command: Slurm and PBS read no directive behind it. Pure. */
export function head(text: string): string {
  return /^(?:[ \t]*(?:#[^\n]*)?\n)*/.exec(`${text}\n`)?.[0] ?? "";
}

const word = String.raw`((?:"[^"\n]*"|'[^'\n]*'|\\.|[^\s"'\\])+)`;

/**
 * The word of an option that a script's directives give last, without its quotes, as a submit command reads it: of the
 * lines before the first command alone. `option` is the source of a pattern with all that stands before the word. Pure.
 */
export function optionIn(text: string, prefix: "#SBATCH" | "#PBS", option: string): string | undefined {
  const lines = head(text).matchAll(new RegExp(`^${prefix}\\s(?:[^#\\n]*\\s)?${option}${word}`, "gm"));
  return [...lines].at(-1)?.[1]?.replace(/"([^"]*)"|'([^']*)'|\\(.)/g, "$1$2$3");
}
