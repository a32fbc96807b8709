import { Failure } from "../errors/failure.ts";
import type { ConfigFile } from "./config-file.ts";
import type { Line } from "./grammar.ts";
import type { OptionKey, Source, Sources } from "./options.ts";
import { kebab, variable } from "./option-names.ts";
import { optionKeys, type Table, type Values } from "./table.ts";
import { BadValue, show, type Raw, type ReadContext, type Reader } from "./values.ts";

export interface Places {
  readonly specs: Table;
  readonly line: Line;
  /** The files in order of precedence. */
  readonly files: readonly ConfigFile[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly home: string;
  /** The options that TSDASK_ variables may set; all of them when absent. */
  readonly fromEnvironment?: readonly OptionKey[];
  /** Whether a path may name a variable that is not set, which then stays in it. */
  readonly mayBeUnset?: boolean | undefined;
}

/** The variables that are not set here, by the option whose path names them. */
export type Unset = Readonly<Partial<Record<OptionKey, string>>>;

/**
 * Every option's value and where it was said: command line over environment over files over default. Throws Failure
 * TSD-003.
 */
export function resolveValues({ specs, line, files, env, cwd, home, fromEnvironment = optionKeys, ...may }: Places): {
  readonly values: Values;
  readonly sources: Sources;
  readonly unset: Unset;
} {
  const values: Partial<Record<OptionKey, unknown>> = {};
  const sources: Partial<Record<OptionKey, Source>> = {};
  const unset: Partial<Record<OptionKey, string>> = {};
  for (const key of optionKeys) {
    const { raw, source } = find(key, line, files, fromEnvironment.includes(key) ? env : {});
    const variables = source.kind === "user" || source.kind === "site";
    const context = { cwd, home, env, variables };
    const noted = { ...context, unset: (name: string): void => void (unset[key] ??= name) };
    sources[key] = source;
    values[key] =
      raw === undefined
        ? specs[key].initial
        : readValue<unknown>(key, specs[key].read, raw, source, may.mayBeUnset === true ? noted : context);
  }
  return { values: values as Values, sources: sources as Sources, unset };
}

const find = (
  key: OptionKey,
  line: Line,
  files: readonly ConfigFile[],
  env: NodeJS.ProcessEnv,
): { raw: Raw | undefined; source: Source } => {
  const said = line.said.get(key);
  if (said !== undefined) return { raw: said.raw, source: { kind: "command-line", option: said.option } };
  const exported = env[variable(key)];
  if (exported !== undefined && exported.trim() !== "")
    return { raw: exported, source: { kind: "environment", variable: variable(key) } };
  for (const { kind, file, values } of files) {
    const value = values.get(key);
    if (value !== undefined) return { raw: value.raw ?? undefined, source: { kind, file, line: value.line } };
  }
  return { raw: undefined, source: { kind: "default" } };
};

const readValue = <T>(key: OptionKey, read: Reader<T>, raw: Raw, source: Source, context: ReadContext): T => {
  try {
    return read(raw, context);
  } catch (error) {
    if (!(error instanceof BadValue)) throw error;
    const option = source.kind === "command-line" ? source.option : `--${kebab(key)}`;
    throw new Failure(
      "TSD-003",
      { option, problem: error.message, value: `"${show(raw)}"`, source: sourceName(source), hint: error.hint },
      { cause: error },
    );
  }
};

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
