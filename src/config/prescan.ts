/**
 * The cheapest questions about a command line, for the moments before anything is loaded; imports nothing at run time.
 */
import type { Command, Options, Subcommand } from "./options.ts";

const COMMANDS: readonly string[] = [
  "config",
  "connect",
  "env",
  "open",
  "script",
  "scale",
  "adapt",
  "proxy-map",
  "install-drop-in",
  "list",
  "status",
  "logs",
  "explain",
  "doctor",
  "report",
  "stop",
  "completion",
] satisfies readonly Subcommand[];

/** The options that take no value; a test compares them with the table. */
export const FLAGS: readonly string[] = [
  "--scheduler",
  "--no-scheduler",
  "--exclusive-workers",
  "--inclusive-workers",
  "--nanny",
  "--no-nanny",
  "--lifetime-restart",
  "--no-lifetime-restart",
  "--dashboard",
  "--no-dashboard",
  "--quiet",
  "--no-quiet",
  "--trust-shared-folder",
  "--no-trust-shared-folder",
];

/**
 * Whether this is no launch: the first word is one of our own commands (`config`, `connect`, …), or help or the version
 * is asked for.
 */
export function isSubcommand(argv: readonly string[], program?: Options["program"]): boolean {
  return subcommandOf(argv, program) !== undefined;
}

/**
 * The command that the first word names, with the words after it, or the help or version that an option asks for;
 * `undefined`: a launch.
 */
export function subcommandOf(
  argv: readonly string[],
  program: Options["program"] = "tsdask-mpi",
): Exclude<Command, { kind: "launch" }> | undefined {
  const ours = program === "tsdask-mpi";
  const [first = "", ...rest] = argv;
  if (ours && COMMANDS.includes(first)) return { kind: first as Subcommand, argv: rest };
  if (ours && ["help", "--help", "-h"].includes(first)) return helpOn(rest[0]);
  if (ours && first === "version") return { kind: first };
  for (const { word, kind } of walk(argv)) {
    if (kind === "word" && ours) break;
    if (word === "--help" || word === "-h") return { kind: "help" };
    if (ours && (word === "--version" || word === "-V")) return { kind: "version" };
  }
  return undefined;
}

const helpOn = (topic: string | undefined): { kind: "help"; topic?: string } =>
  topic === undefined ? { kind: "help" } : { kind: "help", topic };

/**
 * What --python or TSDASK_PYTHON says, when that is an absolute path or a bare name; `undefined` when it says nothing,
 * or when the full reading is needed to tell. A valid command line is read exactly as `readOptions` reads it.
 */
export function prescanPython(argv: readonly string[], env: NodeJS.ProcessEnv): string | undefined {
  let python = env["TSDASK_PYTHON"]?.trim() || undefined;
  for (const { word, kind, value } of walk(argv)) {
    if (kind === "word") break;
    if (word === "--python") python = value?.trim();
  }
  const plain = python !== undefined && python !== "" && !python.startsWith("~") && !python.startsWith("-");
  return plain && (python?.startsWith("/") || !python?.includes("/")) ? python : undefined;
}

interface Step {
  readonly kind: "option" | "word";
  readonly word: string;
  readonly value: string | undefined;
}

/** The options of a command line with their values, and its words, up to `--`; a scheduler's address is passed over. */
function* walk(argv: readonly string[]): Generator<Step> {
  for (let i = 0; i < argv.length; i += 1) {
    const word = argv[i] ?? "";
    if (word === "--") return;
    const equals = word.indexOf("=");
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(word)) continue;
    if (!word.startsWith("-") || word === "-") yield { kind: "word", word, value: undefined };
    else if (equals !== -1) yield { kind: "option", word: word.slice(0, equals), value: word.slice(equals + 1) };
    else if (!word.startsWith("--") || FLAGS.includes(word) || word === "--help" || word === "--version")
      yield { kind: "option", word, value: undefined };
    else yield { kind: "option", word, value: argv[(i += 1)] };
  }
}
