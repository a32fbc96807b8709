import { kebab } from "./option-names.ts";
import type { GroupOptions, Options, WorkerGroup } from "./options.ts";
import { edits } from "./suggest.ts";
import { BadValue, show, type Raw, type ReadContext, type Reader } from "./values.ts";

/** How a command line says each option that a group may have. */
const written: { readonly [K in keyof GroupOptions]: (value: NonNullable<GroupOptions[K]>) => string } = {
  resources: (amounts) =>
    Object.entries(amounts)
      .map(([name, amount]) => `${name}=${amount}`)
      .join(" "),
  nthreads: String,
  memoryLimit: memoryWords,
  localDirectory: String,
  workerClass: String,
  lifetime: (seconds) => `${seconds}s`,
};

export const groupKeys = Object.keys(written) as readonly (keyof GroupOptions)[];

/** A group's name. */
export const groupName = /^[A-Za-z][\w-]{0,63}$/;

/** How a group's options are written, by their words: `memory-limit`. */
export type GroupReaders = Readonly<
  Record<string, { readonly key: keyof GroupOptions; readonly read: Reader<unknown> }>
>;

const most = 1_000_000;
const hint =
  "Write --group gpu:ranks=4-11,resources=GPU=1,nthreads=1; without ranks= it is one that `scale` and `adapt` fill.";
const fail = (problem: string): never => {
  throw new BadValue(problem, hint);
};

/**
 * Reads `<name>:ranks=4-11,resources=GPU=1,…`; without ranks it is one whose workers come later. Several are said one
 * by one, or with a semicolon between. `readers` is asked when one is read.
 */
export function groups(readers: () => GroupReaders): Reader<readonly WorkerGroup[]> {
  return (raw, context) => {
    const texts = (Array.isArray(raw) ? (raw as readonly Raw[]) : [raw]).flatMap((part) =>
      typeof part === "string" ? groupTexts(part) : fail("is no text"),
    );
    const read = texts.map((text) => group(text.trim(), readers(), context));
    const owners = new Map<number, string>();
    for (const { name, ranks } of read) {
      if (read.filter((one) => one.name === name).length > 1) fail(`names the group ${name} twice`);
      for (const rank of ranks) {
        const other = owners.get(rank);
        if (other !== undefined) fail(`has rank ${rank} in two groups, ${other} and ${name}`);
        owners.set(rank, name);
      }
    }
    return read;
  };
}

function groupTexts(part: string): readonly string[] {
  const texts = part.split(";").filter((text) => text.trim() !== "");
  return texts.length > 0 ? texts : fail("names no group");
}

/** The options of a rank: its group's over those of all, with the Nanny that they ask for. */
export function optionsOf(options: Options, rank: number): Options {
  const own = options.group.find(({ ranks }) => ranks.includes(rank));
  return withNanny(own === undefined ? options : { ...options, ...own.options });
}

/** A Nanny is a class of its own in Dask, which takes the worker's class as an argument; a few classes bring theirs. */
function withNanny(options: Options): Options {
  const { nanny, workerClass, workerOptions } = options;
  if (!nanny || /(Nanny|(^|\.)CUDAWorker)$/.test(workerClass)) return options;
  const inner = workerClass === "distributed.Worker" ? {} : { worker_class: workerClass };
  return { ...options, workerClass: "distributed.Nanny", workerOptions: { ...inner, ...workerOptions } };
}

/** What is wrong with a group in a launch of these workers; undefined: nothing. */
export function groupTrouble(
  { group: all }: Pick<Options, "group">,
  { size, workerRanks }: { readonly size: number; readonly workerRanks: readonly number[] },
): { readonly group: string; readonly problem: string } | undefined {
  const workers = new Set(workerRanks);
  for (const { name, ranks } of all) {
    const wrong = ranks.find((rank) => !workers.has(rank));
    if (wrong === undefined) continue;
    const problem =
      wrong >= size
        ? `the launch has ${size} ranks, 0 to ${size - 1}, and no rank ${wrong}`
        : `rank ${wrong} has no worker: it runs the scheduler or the script`;
    return { group: name, problem };
  }
  return undefined;
}

function group(text: string, readers: GroupReaders, context: ReadContext): WorkerGroup {
  const [, name = "", rest = ""] =
    /^([^:]*):(.+)$/s.exec(text) ?? fail(`has no name and a colon in front: ${show(text)}`);
  if (!groupName.test(name)) fail(`has no name and a colon in front: ${show(text)}`);
  let ranks: readonly number[] = [];
  const options: Record<string, unknown> = {};
  for (const [word, value] of settings(rest, ["ranks", ...Object.keys(readers)])) {
    if (word === "ranks") ranks = rankList(value);
    else {
      const { key, read } = readers[word] as GroupReaders[string];
      try {
        options[key] = read(value, context);
      } catch (error) {
        if (!(error instanceof BadValue)) throw error;
        throw new BadValue(`gives ${name} ${show(`${word}=${value}`)}, which ${error.message}`, error.hint);
      }
    }
  }
  return { name, ranks, options };
}

/** The options of a group as the words of a command line, without dashes: `resources` → `GPU=1 MEM=2`. */
export function groupWords(options: Partial<GroupOptions>): Readonly<Record<string, string>> {
  const word = <K extends keyof GroupOptions>(key: K): readonly [string, string][] => {
    const value = options[key];
    return value === undefined || value === null ? [] : [[kebab(key), written[key](value)]];
  };
  return Object.fromEntries(groupKeys.flatMap(word));
}

function memoryWords(limit: GroupOptions["memoryLimit"]): string {
  switch (limit.kind) {
    case "auto":
      return "auto";
    case "none":
      return "0";
    case "fraction":
      return String(limit.fraction);
    case "bytes":
      return String(limit.bytes);
  }
}

/**
 * `resources=GPU=1,MEM=2,nthreads=1` → `resources` with `GPU=1,MEM=2`, and `nthreads`: what begins with no known word
 * belongs to what is before it.
 */
function settings(text: string, words: readonly string[]): readonly (readonly [string, string])[] {
  const found: [string, string][] = [];
  for (const part of text.split(",")) {
    const [, word = "", value = ""] = /^\s*([^=\s]+)=(.*)$/s.exec(part) ?? [];
    const last = found.at(-1);
    if (words.includes(word)) {
      if (found.some(([before]) => before === word)) fail(`says ${word} twice`);
      found.push([word, value]);
    } else if (last?.[0] === "resources" && word !== "" && !mistyped(word, words)) last[1] += `,${part}`;
    else if (last?.[0] === "ranks" && word === "") last[1] += `,${part}`;
    else fail(`has ${show(part)}, which is none of ${words.join("=, ")}=`);
  }
  return found;
}

/** Whether a word is one of these but for a letter or two, and so no resource's name. */
const mistyped = (word: string, words: readonly string[]): boolean =>
  word.length > 3 && words.some((known) => edits(word, known) <= 2);

function rankList(text: string): readonly number[] {
  if (text.trim() === "") fail("has ranks= without a rank");
  const ranks = text.split(",").flatMap((part) => {
    const [, first = "", last = first] =
      /^\s*(\d{1,7})(?:-(\d{1,7}))?\s*$/.exec(part) ?? fail(`has ranks like ${show(part)}`);
    const length = Number(last) - Number(first) + 1;
    if (length < 1 || length > most) fail(`has ranks like ${show(part)}`);
    return Array.from({ length }, (_, index) => Number(first) + index);
  });
  return [...new Set(ranks)].sort((a, b) => a - b);
}
