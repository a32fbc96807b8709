import { Command, CommanderError, Option } from "commander";
import { Failure } from "../errors/failure.ts";
import { nearest } from "../config/suggest.ts";
import { show } from "../config/values.ts";

/** An option of a small command: `--json`, or `--shell <name>` with the values it takes. */
export interface SmallOption {
  readonly flags: string;
  readonly help: string;
  readonly choices?: readonly string[];
}

export interface SmallCommand {
  /** `tsdask-mpi connect` */
  readonly name: string;
  readonly usage: string;
  readonly about: string;
  readonly options: readonly SmallOption[];
}

export interface SmallLine {
  /** The help text, when it was asked for. */
  readonly help: string | undefined;
  readonly words: readonly string[];
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
}

/** Reads the words of a command with few options and at most one operand. Throws TSD-006 and TSD-008. */
export function readSmallCommand({ name, usage, about, options }: SmallCommand, argv: readonly string[]): SmallLine {
  const command = new Command(name).usage(usage).description(about).argument("[file]");
  command.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
  for (const { flags, help, choices } of options) {
    const option = new Option(flags, help);
    command.addOption(choices === undefined ? option : option.choices([...choices]));
  }
  command.helpOption("-h, --help", "this text").configureHelp({ visibleArguments: () => [], helpWidth: 100 });
  const text = command.helpInformation();
  try {
    command.parse([...argv], { from: "user" });
    return { help: undefined, words: command.args, options: command.opts() };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === "commander.helpDisplayed") return { help: text, words: [], options: {} };
    throw failureOf(error, { name, options });
  }
}

function failureOf(error: CommanderError, { name, options }: Pick<SmallCommand, "name" | "options">): Failure {
  const quoted = /'([^']+)'/.exec(error.message)?.[1] ?? "";
  if (error.code === "commander.optionMissingArgument")
    return new Failure("TSD-008", { option: quoted.split(" ")[0] }, { cause: error });
  const flags = options.map(({ flags: both }) => both.split(" ")[0]?.slice(2) ?? "");
  const guess = error.code === "commander.unknownOption" ? nearest(quoted.replace(/^-+/, ""), flags) : undefined;
  const problem = error.message
    .replace(/^error: /, "")
    .replace(/\n.*$/s, "")
    .replace(/\.$/, "");
  return new Failure(
    "TSD-006",
    { program: name, problem: show(problem), suggestion: guess === undefined ? "" : `Did you mean --${guess}? ` },
    { cause: error },
  );
}
