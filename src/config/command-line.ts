import { Failure } from "../errors/failure.ts";
import { nearest } from "./suggest.ts";

import { BadValue, show, type Raw, type ReadContext, type Reader } from "./values.ts";

/** One option of a command such as `script` or `adapt`; its name is its key in kebab case. */
export interface CommandOption<T> {
  /** What stands for its value in the help; absent: a yes/no option. */
  readonly value?: string;
  readonly short?: string;
  /** May be given several times; its reader gets a list. */
  readonly repeat?: true;
  readonly read: Reader<T>;
  readonly help: string;
}

export type CommandOptions = Readonly<Record<string, CommandOption<unknown>>>;

/** What was said, by key; absent: not said. */
export type Said<O extends CommandOptions> = {
  readonly [K in keyof O]?: O[K] extends CommandOption<infer T> ? T : never;
};

export interface CommandLine<O extends CommandOptions> {
  readonly said: Said<O>;
  /** Words that are no options, those after `--` included. */
  readonly words: readonly string[];
  readonly help: boolean;
}

/** Defaults from a configuration file: its section's values, and the file's name for messages. */
export interface Defaults {
  readonly values: Readonly<Record<string, unknown>>;
  readonly source: string;
}

/**
 * Reads a command's words: options, with the values of configuration files behind them, the first first. With
 * `passThrough` n, options end at the (n+1)th word that is none. Throws Failure TSD-003 (a value), TSD-006 (an unknown
 * option), TSD-008 (no value).
 */
export function readCommandLine<const O extends CommandOptions>(
  argv: readonly string[],
  {
    program,
    options,
    defaults = [],
    context,
    passThrough = Number.POSITIVE_INFINITY,
  }: {
    readonly program: string;
    readonly options: O;
    readonly defaults?: readonly Defaults[];
    readonly context: ReadContext;
    readonly passThrough?: number;
  },
): CommandLine<O> {
  const raws = new Map<string, { raw: Raw; option: string; source: string }>();
  const words: string[] = [];
  let help = false;
  for (let i = 0; i < argv.length; i += 1) {
    const word = argv[i] ?? "";
    if (word === "--") {
      words.push(...argv.slice(i + 1));
      break;
    }
    if (!/^-./.test(word)) {
      words.push(word);
      if (words.length <= passThrough) continue;
      words.push(...argv.slice(i + 1));
      break;
    }
    if (word === "-h" || word === "--help") {
      help = true;
      continue;
    }
    const [flag = "", ...rest] = word.startsWith("--") ? word.split("=") : [word];
    const key = Object.keys(options).find(
      (name) => flag === `--${flagName(name)}` || flag === `-${options[name]?.short ?? "-"}`,
    );
    const option = key === undefined ? undefined : options[key];
    if (key === undefined || option === undefined) throw unknown(program, flag, Object.keys(options));
    let raw: Raw = true;
    if (option.value !== undefined) {
      const value = rest.length > 0 ? rest.join("=") : argv[(i += 1)];
      if (value === undefined || (rest.length === 0 && value.startsWith("--")))
        throw new Failure("TSD-008", { option: flag });
      raw = value;
    } else if (rest.length > 0) raw = rest.join("=");
    const before = raws.get(key)?.raw;
    raws.set(key, {
      raw: option.repeat ? [...(Array.isArray(before) ? (before as readonly Raw[]) : []), raw] : raw,
      option: flag,
      source: "the command line",
    });
  }
  for (const { values, source } of defaults) {
    for (const [name, value] of Object.entries(values)) {
      const key = Object.keys(options).find((known) => flagName(known) === name.replaceAll("_", "-"));
      if (key === undefined) throw unknown(program, name, Object.keys(options), source);
      if (!raws.has(key) && value !== null && value !== undefined)
        raws.set(key, { raw: value as Raw, option: name, source });
    }
  }
  const said = Object.fromEntries(
    [...raws].map(([key, { raw, option, source }]) => [key, checked(options[key], raw, option, source, context)]),
  );
  return { said: said as Said<O>, words, help };
}

/** The options as lines of help text. */
export function optionLines(options: CommandOptions): readonly string[] {
  const flags = Object.entries(options).map(
    ([key, { short, value }]) =>
      `${short === undefined ? "    " : `-${short}, `}--${flagName(key)}${value === undefined ? "" : ` ${value}`}`,
  );
  const width = Math.max(...flags.map((flag) => flag.length)) + 2;
  return [
    ...Object.values(options).map(({ help }, i) => `  ${(flags[i] ?? "").padEnd(width)}${help}`),
    `  ${"-h, --help".padEnd(width)}this text`,
  ];
}

/** `ranksPerNode` → `ranks-per-node`. */
export function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function checked(
  option: CommandOption<unknown> | undefined,
  raw: Raw,
  name: string,
  source: string,
  context: ReadContext,
): unknown {
  try {
    return option?.read(raw, context);
  } catch (error) {
    if (!(error instanceof BadValue)) throw error;
    throw new Failure(
      "TSD-003",
      { option: name, problem: error.message, value: show(raw), source, hint: error.hint },
      { cause: error },
    );
  }
}

function unknown(program: string, flag: string, keys: readonly string[], source?: string): Failure {
  const guess = nearest(flag.replace(/^-+/, ""), keys.map(flagName));
  const suggestion =
    guess === undefined ? "" : source === undefined ? `Did you mean --${guess}? ` : `Did you mean \`${guess}\`? `;
  return new Failure("TSD-006", {
    program,
    problem: `${show(flag)} is not an option${source === undefined ? "" : ` (from ${source})`}`,
    suggestion,
  });
}
