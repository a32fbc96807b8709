import { Command, CommanderError, Option } from "commander";
import { Failure } from "../errors/failure.ts";
import { flagsOf, take, type Grammar, type Line, type Said } from "./grammar.ts";
import { isNotebookOption } from "./notebook-options.ts";
import type { OptionKey } from "./options.ts";
import { nearest } from "./suggest.ts";
import { kebab } from "./option-names.ts";
import { show } from "./values.ts";

/** Reads the words of a command line, without looking at what the values mean; throws Failure TSD-006 and TSD-008. */
export function parseLine(argv: readonly string[], grammar: Grammar): Line {
  const said = new Map<OptionKey, Said>();
  let asks: Line["asks"];
  const command = buildCommand(grammar);
  command.on("option:help", () => (asks ??= "help"));
  command.on("option:version", () => (asks ??= "version"));
  for (const flag of flagsOf(grammar)) {
    command.on(`option:${flag.flag.slice(2)}`, (value?: string) => {
      if (value?.startsWith("--")) throw missingValue(flag.flag);
      take(said, flag, value);
    });
  }
  const { operands, unknown } = run(command, argv);
  const wrong = unknown[0];
  if (wrong !== undefined && asks === undefined) throw unknownOption(wrong, grammar);
  const separated = !grammar.interspersed && argv[argv.length - operands.length - 1] === "--";
  return { said, words: operands, separated, asks };
}

/**
 * A commander command with the options of `grammar`, which prints nothing and never exits: for parsing and for help.
 */
export function buildCommand({ program, specs, interspersed, version }: Grammar): Command {
  const command = new Command(program).helpOption(false).helpCommand(false).allowExcessArguments();
  command.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
  command.passThroughOptions(!interspersed);
  for (const key of Object.keys(specs) as OptionKey[]) {
    const spec = specs[key];
    if (spec === undefined) continue;
    const option = new Option(`--${kebab(key)}${spec.value === undefined ? "" : ` ${spec.value}`}`, spec.help);
    command.addOption(option.helpGroup(`${spec.group}:`));
    if (spec.negative !== undefined) command.addOption(new Option(`--${spec.negative}`).hideHelp());
  }
  const moreGroup = version ? "More" : "Options";
  command.addOption(new Option("-h, --help", "this text").helpGroup(`${moreGroup}:`));
  if (version) command.addOption(new Option("-V, --version", "the version").helpGroup(`${moreGroup}:`));
  return command;
}

const run = (command: Command, argv: readonly string[]): { operands: string[]; unknown: string[] } => {
  try {
    return command.parseOptions([...argv]);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const flag = /'(?:-\w, )?(--?[\w-]+)/.exec(error.message)?.[1];
    throw error.code === "commander.optionMissingArgument" && flag !== undefined
      ? missingValue(flag)
      : new Failure(
          "TSD-006",
          { program: command.name(), problem: show(error.message), suggestion: "" },
          { cause: error },
        );
  }
};

const missingValue = (flag: string): Failure => new Failure("TSD-008", { option: flag });

const unknownOption = (word: string, grammar: Grammar): Failure => {
  const name = word.split("=")[0] ?? word;
  const flags = flagsOf(grammar).map(({ flag }) => flag);
  if (grammar.program === "tsdask-mpi" && isNotebookOption(name)) {
    return new Failure("TSD-006", {
      program: grammar.program,
      problem: `${show(name)} belongs to a notebook`,
      suggestion: `Write it after the notebook's name: \`tsdask-mpi notebook.ipynb ${name} …\`. `,
    });
  }
  const isFlag = flags.find((flag) => flag === name);
  const guess = nearest(name.replace(/^-+/, ""), [
    ...flags.map((flag) => flag.slice(2)),
    "help",
    ...(grammar.version ? ["version"] : []),
  ]);
  return new Failure("TSD-006", {
    program: grammar.program,
    problem: isFlag === undefined ? `${show(name)} is not one of its options` : `${isFlag} takes no value`,
    suggestion:
      isFlag === undefined ? (guess === undefined ? "" : `Did you mean --${guess}? `) : `Write ${isFlag} alone. `,
  });
};
