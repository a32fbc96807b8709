import { Failure } from "../errors/failure.ts";
import { homeFolder } from "../security/user.ts";
import { lacksScheme, looksLikeAddress, readAddress } from "./address.ts";
import type { ConfigFile, Section } from "./config-file.ts";
import { configPlaces, readConfigFiles, type ConfigPlace } from "./config-files.ts";
import type { Grammar, Line } from "./grammar.ts";
import type { Command, Options, Sources } from "./options.ts";
import { subcommandOf } from "./prescan.ts";
import { resolveValues, type Unset } from "./resolve.ts";
import { readLine } from "./scan.ts";
import { reconcile } from "./reconcile.ts";
import { edits } from "./suggest.ts";
import { variable } from "./option-names.ts";
import { optionKeys, table } from "./table.ts";
import { show, type Raw } from "./values.ts";

/**
 * What a process reads its options from. `userFile` and `siteFile`, when given, must exist. `mayBeUnset`: for one that
 * launches nothing here: a file's paths may then name variables that only a job has.
 */
export interface ReadInput {
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly home?: string;
  readonly siteFile?: string;
  readonly userFile?: string;
  readonly mayBeUnset?: boolean;
}

export interface ReadResult {
  readonly options: Options;
  readonly sources: Sources;
  readonly command: Command;
  /** Sentences about what was said but has no effect; for stderr. */
  readonly warnings: readonly string[];
  /** With `mayBeUnset`: the options whose paths are not to be used here, since a variable is missing. */
  readonly unset: Unset;
}

export const GRAMMAR: Grammar = { program: "tsdask-mpi", specs: table, interspersed: false, version: true };

/**
 * The options of `tsdask-mpi`: command line over TSDASK_ variables over the user's file over the site's file over
 * defaults. A subcommand's own words are left to it; its options are then those of the environment and the files.
 * Throws Failure TSD-003 and TSD-006 to TSD-010 for what cannot be understood or does not fit together.
 */
export async function readOptions(input: ReadInput): Promise<ReadResult> {
  const subcommand = subcommandOf(input.argv);
  const line = subcommand === undefined ? await parseTsdask(input.argv) : NOTHING_SAID;
  const asks =
    line.asks ?? (subcommand?.kind === "help" || subcommand?.kind === "version" ? subcommand.kind : undefined);
  if (asks !== undefined) return { ...finish(NOTHING_SAID, [], { ...input, env: {} }), command: { kind: asks } };
  const files = await readConfigFiles({ ...input, home: homeOf(input) });
  return { ...finish(line, files, input), command: subcommand ?? { kind: "launch" } };
}

/** One value of a section of the configuration files, and the file it stands in. */
export interface SectionValue {
  readonly value: unknown;
  readonly file: string;
}

/**
 * What the files say under `section:` for the subcommand of that name, the user's file over the site's; throws as
 * `readOptions` does for files.
 */
export async function readSection(
  section: Section,
  input: Omit<ReadInput, "argv">,
): Promise<ReadonlyMap<string, SectionValue>> {
  const files = await readConfigFiles({ ...input, home: homeOf(input) });
  return new Map(
    files
      .toReversed()
      .flatMap(({ file, sections }) =>
        Object.entries(sections.get(section) ?? {}).map(([key, value]) => [key, { value, file }] as const),
      ),
  );
}

/** Where `readOptions` looks for files, whether they exist or not, in order of precedence. */
export function placesOf(input: Omit<ReadInput, "argv">): readonly ConfigPlace[] {
  return configPlaces({ ...input, home: homeOf(input) });
}

/** The user's home folder: HOME, else what the system's user table says. */
export function homeOf({ home, env }: Pick<ReadInput, "home" | "env">): string {
  return home ?? homeFolder(env);
}

/** A command line whose scheduler address, if it has one, is taken out of its words. */
interface Addressed extends Line {
  readonly address: string | undefined;
}

const NOTHING_SAID: Addressed = { said: new Map(), address: undefined, words: [], separated: false, asks: undefined };

/** Options may stand before and after the address; the first other word begins the script. */
const parseTsdask = async (argv: readonly string[]): Promise<Addressed> => {
  const line = await readLine(argv, GRAMMAR);
  const [word = "", ...others] = line.words;
  if (line.asks !== undefined || line.separated || !(looksLikeAddress(word) || lacksScheme(word)))
    return { ...line, address: undefined };
  const address = readAddress(word);
  const rest = await parseTsdask(others);
  if (rest.address !== undefined) {
    const options = `${show(address)} and ${show(rest.address)}`;
    throw new Failure("TSD-007", {
      options,
      problem: "One launch joins one cluster.",
      hint: "Leave out one of the addresses.",
    });
  }
  return { ...rest, address, said: mergeSaid(line.said, rest.said) };
};

const mergeSaid = (before: Line["said"], after: Line["said"]): Line["said"] => {
  const merged = new Map(before);
  for (const [key, said] of after) {
    const earlier = merged.get(key);
    const both = table[key].repeat && Array.isArray(earlier?.raw) && Array.isArray(said.raw);
    merged.set(key, both ? { ...said, raw: [...((earlier?.raw ?? []) as Raw[]), ...(said.raw as Raw[])] } : said);
  }
  return merged;
};

const finish = (line: Addressed, files: readonly ConfigFile[], input: ReadInput): Omit<ReadResult, "command"> => {
  const { env, cwd, mayBeUnset } = input;
  const places = { specs: table, line, files, env, cwd, home: homeOf(input), mayBeUnset };
  const { values, sources, unset } = resolveValues(places);
  const { address, words, separated } = line;
  const reconciled = reconcile(values, sources, { program: "tsdask-mpi", address, words, separated, cwd });
  return { ...reconciled, unset, warnings: [...reconciled.warnings, ...nearMisses(env)] };
};

/** Variables that are one slip away from one of ours: almost surely meant, and otherwise silently without effect. */
const nearMisses = (env: NodeJS.ProcessEnv): readonly string[] => {
  const known = optionKeys.map(variable);
  return Object.keys(env)
    .filter((name) => name.startsWith("TSDASK_") && name.length > "TSDASK_NODE".length && !known.includes(name))
    .flatMap((name) => {
      const meant = known.find(
        (candidate) => Math.abs(candidate.length - name.length) < 2 && edits(candidate, name) === 1,
      );
      return meant === undefined ? [] : [`${show(name)} is set, but has no effect: did you mean ${meant}?`];
    });
};
