import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Failure } from "../errors/failure.ts";
import { visibleLine } from "../errors/visible.ts";
import type { CommandContext } from "./context.ts";
import { readSmallCommand, type SmallCommand } from "./small-command.ts";

export const COMMAND: SmallCommand = {
  name: "tsdask-mpi explain",
  usage: "[TSD-053]",
  about: `Prints the runbook's entry about a message: symptom, cause, what to check, what our commands show, cure. Without a code: all codes.`,
  options: [],
};

/** One entry of the runbook. */
export interface RunbookEntry {
  readonly code: string;
  readonly title: string;
  readonly text: string;
}

/**
 * `tsdask-mpi explain`: an entry of the runbook, as text; resolves to the exit code, 0. Throws TSD-006 (wrong words),
 * TSD-151 (there is no such entry).
 */
export async function explainCommand(argv: readonly string[], { stdout }: CommandContext): Promise<number> {
  const { help, words } = readSmallCommand(COMMAND, argv);
  if (help !== undefined) {
    stdout.write(help);
    return 0;
  }
  const [word] = words;
  const entries = entriesOf(runbook(word ?? "A list"));
  if (word === undefined) {
    stdout.write(entries.map(({ code, title }) => `${code}  ${title}\n`).join(""));
    return 0;
  }
  const code = /^(?:TSD-?)?(\d{1,3})$/i.exec(word)?.[1]?.padStart(3, "0");
  const entry = entries.find((one) => one.code === `TSD-${code}`);
  if (entry === undefined) throw new Failure("TSD-151", { word: visibleLine(word), problem: "no entry has that code" });
  stdout.write(`${entry.code} ${entry.title}\n\n${plainText(entry.text)}\n`);
  return 0;
}

/** The entries of the runbook, by their codes. Pure. */
export function entriesOf(text: string): readonly RunbookEntry[] {
  return text
    .split(/^### /m)
    .slice(1)
    .flatMap((section) => {
      const [heading = "", ...lines] = section.split(/\n(?=## )/)[0]?.split("\n") ?? [];
      const [, code, title] = /^(TSD-\d{3}) (.+)$/.exec(heading) ?? [];
      return code === undefined || title === undefined ? [] : [{ code, title, text: lines.join("\n").trim() }];
    })
    .toSorted((a, b) => a.code.localeCompare(b.code));
}

/** Markdown as it reads in a terminal: no signs for bold, links as their text. Pure. */
export function plainText(markdown: string): string {
  return markdown.replaceAll("**", "").replaceAll(/\[([^\]]+)\]\([^)]*\)/g, "$1");
}

/** `docs/runbook.md` of the installation that this file belongs to, bundled or not. Throws TSD-151. */
function runbook(word: string): string {
  const above = (folder: string): string | undefined => {
    const file = join(folder, "docs", "runbook.md");
    if (existsSync(file)) return file;
    return dirname(folder) === folder ? undefined : above(dirname(folder));
  };
  const file = above(dirname(fileURLToPath(import.meta.url)));
  if (file === undefined)
    throw new Failure("TSD-151", {
      word: visibleLine(word),
      problem: "docs/runbook.md is not part of this installation",
    });
  return readFileSync(file, "utf8");
}
