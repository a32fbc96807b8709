import { homedir } from "node:os";
import { Failure } from "../failure.ts";
import { configPlaces, readConfigFiles, type ConfigFile } from "./config-files.ts";
import type { Command, OptionKey, Options, Source, Sources } from "./options.ts";
import { parseLine, type Grammar, type Line } from "./parse.ts";
import { subcommandOf } from "./quick.ts";
import { settle, type Positional } from "./settle.ts";
import { edits } from "./suggest.ts";
import { kebab, optionKeys, table, variable, type Values } from "./table.ts";
import { BadValue, daskAddress, show, type Raw, type ReadContext, type Reader } from "./values.ts";

/** What a process reads its options from. `userFile` and `siteFile`, when given, must exist. */
export interface ReadInput {
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly home?: string;
  readonly siteFile?: string;
  readonly userFile?: string;
}

export interface ReadResult {
  readonly options: Options;
  readonly sources: Sources;
  readonly command: Command;
  /** Sentences about what was said but has no effect; for stderr. */
  readonly warnings: readonly string[];
}

export const GRAMMAR: Grammar = { program: "tsdask-mpi", specs: table, interspersed: false, version: true };

/**
 * The options of `tsdask-mpi`: command line over TSDASK_ variables over the user's file over the site's file over defaults.
 * A subcommand's own words are left to it; its options are then those of the environment and the files.
 * Throws Failure TSD-003 and TSD-006 to TSD-010 for what cannot be understood or does not fit together.
 */
export async function readOptions(input: ReadInput): Promise<ReadResult> {
  const subcommand = subcommandOf(input.argv);
  const line = subcommand === undefined ? parseTsdask(input.argv) : { said: new Map(), address: undefined, words: [], separated: false, asks: undefined };
  if (line.asks !== undefined) return { ...resolve(line, [], { ...input, env: {} }), command: { kind: line.asks } };
  const files = await readConfigFiles({ ...input, home: homeOf(input) });
  const result = resolve(line, files, input);
  return { ...result, command: subcommand ?? { kind: "launch" } };
}

/** The user's and the site's `section:` mappings, for the subcommand of that name, and the files they stand in; the user's wins. */
export async function readSection(section: "script", input: Omit<ReadInput, "argv">): Promise<Readonly<Record<string, { readonly value: unknown; readonly file: string }>>> {
  const files = await readConfigFiles({ ...input, home: homeOf(input) });
  const entries = files
    .toReversed()
    .flatMap(({ file, sections }) => Object.entries(sections.get(section) ?? {}).map(([key, value]) => [key, { value, file }] as const));
  return Object.fromEntries(entries);
}

/** Where `readOptions` looks for files, whether they exist or not. */
export const placesOf = (input: ReadInput): ReturnType<typeof configPlaces> => configPlaces({ ...input, home: homeOf(input) });

const homeOf = ({ home, env }: Pick<ReadInput, "home" | "env">): string => home ?? (env["HOME"] || homedir());

/** A command line whose scheduler address, if it has one, is taken out of its words. */
export interface Addressed extends Line {
  readonly address: string | undefined;
}

const looksLikeAddress = (word: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(word);

/** Options may stand before and after the address; the first other word begins the script. */
const parseTsdask = (argv: readonly string[]): Addressed => {
  const first = parseLine(argv, GRAMMAR);
  const [word = "", ...others] = first.words;
  if (first.separated || first.asks !== undefined) {
    if (first.separated && first.words.length === 0) return { ...first, address: undefined };
    return { ...first, address: undefined };
  }
  if (/^[\w.-]+:\d{1,5}$/.test(word)) throw badAddress(word, "has no scheme", `Write tcp://${word} or tls://${word}; a program of that name goes after \`--\`.`);
  if (!looksLikeAddress(word)) return { ...first, address: undefined };
  const address = readAddress(word);
  const rest = parseTsdask(others);
  if (rest.address !== undefined) throw new Failure("TSD-007", { options: `${show(address)} and ${show(rest.address)}`, problem: "One launch joins one cluster.", hint: "Leave out one of the addresses." });
  return { ...rest, address, said: mergeSaid(first.said, rest.said) };
};

const mergeSaid = (before: Line["said"], after: Line["said"]): Line["said"] => {
  const merged = new Map(before);
  for (const [key, said] of after) {
    const earlier = merged.get(key);
    const both = table[key].repeat && Array.isArray(earlier?.raw) && Array.isArray(said.raw);
    merged.set(key, both ? { ...said, raw: [...(earlier?.raw as Raw[]), ...(said.raw as Raw[])] } : said);
  }
  return merged;
};

const badAddress = (word: string, problem: string, hint: string): Failure =>
  new Failure("TSD-003", { option: "The scheduler's address", problem, value: `"${show(word)}"`, source: "the command line", hint });

/** Checks a scheduler address; throws Failure TSD-003. */
export function readAddress(word: string): string {
  try {
    return daskAddress("required")(word, { cwd: "", home: "", env: {}, variables: false });
  } catch (error) {
    if (error instanceof BadValue) throw badAddress(word, error.message, error.hint);
    throw error;
  }
}

const resolve = (line: Addressed, files: readonly ConfigFile[], input: ReadInput): Omit<ReadResult, "command"> => {
  const values: Partial<Record<OptionKey, unknown>> = {};
  const sources: Partial<Record<OptionKey, Source>> = {};
  for (const key of optionKeys) {
    const found = find(key, line, files, input.env);
    const context: ReadContext = { cwd: input.cwd, home: homeOf(input), env: input.env, variables: found.source.kind === "user" || found.source.kind === "site" };
    sources[key] = found.source;
    values[key] = found.raw === undefined ? table[key].initial : readValue<unknown>(key, table[key].read, found.raw, found.source, context);
  }
  const positional: Positional = { program: "tsdask-mpi", address: line.address, words: line.words, separated: line.separated, cwd: input.cwd };
  const settled = settle(values as Values, sources as Sources, positional);
  return { ...settled, warnings: [...settled.warnings, ...nearMisses(input.env)] };
};

const find = (key: OptionKey, line: Line, files: readonly ConfigFile[], env: NodeJS.ProcessEnv): { raw: Raw | undefined; source: Source } => {
  const said = line.said.get(key);
  if (said !== undefined) return { raw: said.raw, source: { kind: "command-line", option: said.option } };
  const exported = env[variable(key)];
  if (exported !== undefined && exported.trim() !== "") return { raw: exported, source: { kind: "environment", variable: variable(key) } };
  for (const { kind, file, values } of files) {
    const value = values.get(key);
    if (value !== undefined) return { raw: value.raw ?? undefined, source: { kind, file, line: value.line } };
  }
  return { raw: undefined, source: { kind: "default" } };
};

/** Reads one value; throws Failure TSD-003 that names the option, the value and where it stood. */
export function readValue<T>(key: OptionKey, read: Reader<T>, raw: Raw, source: Source, context: ReadContext): T {
  try {
    return read(raw, context);
  } catch (error) {
    if (!(error instanceof BadValue)) throw error;
    const option = source.kind === "command-line" ? source.option : `--${kebab(key)}`;
    throw new Failure("TSD-003", { option, problem: error.message, value: `"${show(raw)}"`, source: sourceName(source), hint: error.hint }, { cause: error });
  }
}

/** A source in words: `the command line`, `TSDASK_NTHREADS`, `/etc/tsdask-mpi.yaml, line 4`. */
export function sourceName(source: Source): string {
  switch (source.kind) {
    case "command-line":
      return "the command line";
    case "environment":
      return source.variable;
    case "user":
    case "site":
      return `${show(source.file)}, line ${source.line}`;
    case "derived":
      return `follows from ${source.from}`;
    case "default":
      return "default";
  }
}

/** Variables that are one slip away from one of ours: almost surely meant, and otherwise silently without effect. */
const nearMisses = (env: NodeJS.ProcessEnv): readonly string[] => {
  const known = optionKeys.map(variable);
  return Object.keys(env)
    .filter((name) => name.startsWith("TSDASK_") && name.length > 12 && !known.includes(name))
    .flatMap((name) => {
      const meant = known.find((candidate) => Math.abs(candidate.length - name.length) < 2 && edits(candidate, name) === 1);
      return meant === undefined ? [] : [`${show(name)} is set, but has no effect: did you mean ${meant}?`];
    });
};
