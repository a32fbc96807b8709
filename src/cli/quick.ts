/** The cheapest questions about a command line, for the moments before anything is loaded; imports nothing at run time. */
import type { Command, Subcommand } from "./options.ts";

const COMMANDS: readonly string[] = ["config", "connect", "env", "script", "scale", "adapt"] satisfies readonly Subcommand[];

/** The options that take no value; a test compares them with the table. */
export const FLAGS: readonly string[] = [
  "--scheduler", "--no-scheduler", "--exclusive-workers", "--inclusive-workers", "--nanny", "--no-nanny",
  "--lifetime-restart", "--no-lifetime-restart", "--dashboard", "--no-dashboard", "--quiet", "--no-quiet",
];

/** Whether the first word is one of our own commands (`config`, `connect`, …) or asks for help or the version. */
export function isSubcommand(argv: readonly string[]): boolean {
  return subcommandOf(argv) !== undefined;
}

/** The command that the first word names, with the words after it; `undefined`: a launch. */
export function subcommandOf(argv: readonly string[]): Exclude<Command, { kind: "launch" }> | undefined {
  const [word = "", ...rest] = argv;
  if (COMMANDS.includes(word)) return { kind: word as Subcommand, argv: rest };
  if (word === "help" || word === "--help" || word === "-h") return { kind: "help" };
  return word === "version" || word === "--version" || word === "-V" ? { kind: "version" } : undefined;
}

/**
 * What --python or TSDASK_PYTHON says, when that is an absolute path or a bare name; `undefined` when it says nothing,
 * or when the full reading is needed to tell. A valid command line is read exactly as `readOptions` reads it.
 */
export function quickPython(argv: readonly string[], env: NodeJS.ProcessEnv): string | undefined {
  let python = env["TSDASK_PYTHON"]?.trim() || undefined;
  for (let i = 0; i < argv.length; i += 1) {
    const word = argv[i] ?? "";
    if (word === "--") break;
    if (word.startsWith("--python=")) python = word.slice("--python=".length).trim();
    else if (word === "--python") python = argv[(i += 1)]?.trim();
    else if (/^[a-z][a-z0-9+.-]*:\/\//i.test(word)) continue;
    else if (!word.startsWith("--")) break;
    else if (!word.includes("=") && !FLAGS.includes(word)) i += 1;
  }
  const plain = python !== undefined && python !== "" && !python.startsWith("~") && !python.startsWith("-");
  return plain && (python?.startsWith("/") || !python?.includes("/")) ? python : undefined;
}
