import type { OptionKey, Options } from "./options.ts";
import { kebab } from "./option-names.ts";
import type { OptionSpec } from "./table.ts";
import type { Raw } from "./values.ts";

export type Specs = { readonly [K in OptionKey]?: OptionSpec<unknown> };

/**
 * What a command line may consist of; `interspersed`: options may follow the first word (dask-mpi), else it ends them.
 */
export interface Grammar {
  readonly program: Options["program"];
  readonly specs: Specs;
  readonly interspersed: boolean;
  /** Whether there is a `--version`. */
  readonly version: boolean;
}

/** A value of the command line, and the flag that gave it. */
export interface Said {
  readonly raw: Raw;
  readonly option: string;
}

/** A command line, taken apart. */
export interface Line {
  readonly said: ReadonlyMap<OptionKey, Said>;
  /** All words from the first that is not an option; those after `--` when `separated`. */
  readonly words: readonly string[];
  readonly separated: boolean;
  readonly asks: "help" | "version" | undefined;
}

/** One flag of the command line: `--scheduler` or `--no-scheduler`. */
export interface Flag {
  readonly key: OptionKey;
  readonly flag: `--${string}`;
  readonly spec: OptionSpec<unknown>;
  readonly negative: boolean;
}

/** All flags of a grammar, in its order. */
export function flagsOf({ specs }: Grammar): readonly Flag[] {
  return (Object.keys(specs) as OptionKey[]).flatMap((key) => {
    const spec = specs[key];
    if (spec === undefined) return [];
    const plain: Flag = { key, flag: `--${kebab(key)}`, spec, negative: false };
    return spec.negative === undefined ? [plain] : [plain, { key, flag: `--${spec.negative}`, spec, negative: true }];
  });
}

/** Notes that a flag was said: the last one counts, or all of them for options that may be repeated. */
export function take(said: Map<OptionKey, Said>, { key, flag, spec, negative }: Flag, value: string | undefined): void {
  const raw: Raw = value ?? !negative;
  const before = spec.repeat ? said.get(key)?.raw : undefined;
  said.set(key, {
    raw: spec.repeat ? [...(Array.isArray(before) ? (before as readonly Raw[]) : []), raw] : raw,
    option: flag,
  });
}
