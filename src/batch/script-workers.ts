import { wholeNumber } from "./describe.ts";
import { head } from "./directives.ts";
import type { BatchName } from "./system.ts";
import { rangeNumbers } from "./task-ranges.ts";

/** What a script's directives say; undefined what they do not say, or leave open. */
interface Asked {
  /** Ranks of a job. */
  readonly ranks: number | undefined;
  /** Jobs that run at once when the script is submitted: an array's tasks. */
  readonly jobs: number | undefined;
}

/**
 * The number of workers that a worker script brings when it is submitted to this batch system: all its ranks are
 * workers. The `-np` of the line that starts them counts more than the directives, which may count cores; undefined
 * where neither says a number. Pure.
 */
export function workersOfScript(system: BatchName, text: string): number | undefined {
  const { ranks, jobs } = asked[system](text);
  const [launched, ...more] = launchedRanks(text);
  const workers = more.length > 0 ? undefined : product(launched ?? ranks, jobs);
  return workers === 0 ? undefined : workers;
}

/** The numbers behind `-np` or `--np`, of each launch of workers. */
function launchedRanks(text: string): readonly number[] {
  const lines = text
    .replaceAll("\\\n", " ")
    .replace(/(^|\s)#.*$/gm, "")
    .split("\n");
  const launches = lines.filter((line) => /dask-mpi|--no-scheduler/.test(line));
  return launches.flatMap((line) => [...line.matchAll(/\s--?np[= ]\s*(\d+)\b/g)].map(([, ranks]) => Number(ranks)));
}

const asked: Readonly<Record<BatchName, (text: string) => Asked>> = {
  slurm: (text) => {
    const words = directiveWords(head(text), /^#SBATCH\s/);
    return { ranks: slurmRanks(words), jobs: tasksAtOnce(said(words, "-a", "--array")) };
  },
  // TORQUE's arrays are those of -t.
  pbs: (text) => {
    const words = directiveWords(head(text), /^#PBS\s/);
    return { ranks: pbsRanks(words), jobs: tasksAtOnce(said(words, "-J", "-t")) };
  },
  sge: (text) => {
    const words = directiveWords(text, /^#\$/);
    return { ranks: sgeRanks(words, text), jobs: tasksAtOnce(said(words, "-t"), said(words, "-tc")) };
  },
  lsf: (text) => {
    const words = directiveWords(text, /^#BSUB\s/);
    const [, tasks, most] = /\[(.*)\](?:%(\d+))?$/.exec(said(words, "-J") ?? "") ?? [];
    return { ranks: wholeNumber(said(words, "-n")), jobs: tasksAtOnce(tasks, most) };
  },
  flux: (text) => {
    const words = directiveWords(text, /^#\s*flux:/i);
    return { ranks: wholeNumber(said(words, "-n", "--nslots")), jobs: 1 };
  },
  htcondor: (text) => {
    const queued = [...text.matchAll(/^[ \t]*queue\b(.*)$/gim)].map(([, many = ""]) => many.trim());
    const jobs = queued.map((many) => (many === "" ? 1 : wholeNumber(many)));
    return { ranks: undefined, jobs: sum(jobs) };
  },
  kubernetes: () => ({ ranks: undefined, jobs: 1 }),
  local: () => ({ ranks: undefined, jobs: 1 }),
};

/** The words of all directives, up to a comment of their line, without quotes. */
function directiveWords(text: string, prefix: RegExp): readonly string[] {
  return text.split("\n").flatMap((line) => {
    if (!prefix.test(line)) return [];
    const words = line.replace(prefix, "").match(/(?:"[^"]*"|'[^']*'|\S)+/g) ?? [];
    const comment = words.findIndex((word) => word.startsWith("#"));
    return words.slice(0, comment < 0 ? undefined : comment).map((word) => word.replace(/["']/g, ""));
  });
}

/** The value of an option that has these names, where it was said last: `-n 8`, `-n8`, `--ntasks 8`, `--ntasks=8`. */
function said(words: readonly string[], ...names: readonly string[]): string | undefined {
  const values = words.flatMap((word, at) => {
    if (names.includes(word)) return [words[at + 1] ?? ""];
    const [, name = "", value = ""] = /^(--[^=]+)=(.*)$/.exec(word) ?? /^(-[A-Za-z])(\d.*)$/.exec(word) ?? [];
    return names.includes(name) ? [value] : [];
  });
  return values.at(-1);
}

/** Nodes alone leave it to the launcher how many ranks each has; of a heterogeneous job it starts one part. */
function slurmRanks(words: readonly string[]): number | undefined {
  if (words.some((word) => /^(?:het|pack)job$/.test(word))) return undefined;
  const tasks = said(words, "-n", "--ntasks");
  if (tasks !== undefined) return wholeNumber(tasks);
  const perNode = said(words, "--ntasks-per-node", "--tasks-per-node");
  return product(wholeNumber(perNode), wholeNumber(said(words, "-N", "--nodes") ?? "1"));
}

/** Chunks, `2:ncpus=8:mpiprocs=4+1:mpiprocs=8`; a TORQUE's or an older PBS's nodes, `2:ppn=8+host7:ppn=4`. */
function pbsRanks(words: readonly string[]): number | undefined {
  const resources = words.flatMap((word) => word.replace(/^-l/, "").split(","));
  const text = resources.findLast((one) => /^(?:select|nodes)=/.test(one))?.replace(/^\w+=/, "");
  if (text === undefined) return undefined;
  const chunks = text.split("+").map((chunk) => {
    const many = /^(\d+)(?::|$)/.exec(chunk)?.[1] ?? "1";
    return product(wholeNumber(many), wholeNumber(/:(?:mpiprocs|ppn)=([^:]*)/.exec(chunk)?.[1] ?? "1"));
  });
  return sum(chunks);
}

/** `-pe mpi 8`: slots, of which a script that is written here gives several to a rank with several threads. */
function sgeRanks(words: readonly string[], text: string): number | undefined {
  const at = words.lastIndexOf("-pe");
  const slots = at < 0 ? undefined : wholeNumber(words[at + 2]);
  const perRank = Number(/\bint\(\$2 \/ ([1-9]\d*)\)/.exec(text)?.[1] ?? "1");
  return slots === undefined ? undefined : Math.floor(slots / perRank);
}

/** How many tasks of an array run at once: `1-10:2`, `1,3,5-7%2`; one where there is none. */
function tasksAtOnce(array: string | undefined, most?: string): number | undefined {
  if (array === undefined) return 1;
  const [ranges = "", limit = most] = array.split("%");
  const tasks = rangeNumbers(ranges).length;
  const bound = limit === undefined ? tasks : wholeNumber(limit);
  return bound === undefined ? undefined : Math.min(tasks, bound);
}

function product(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a * b;
}

function sum(numbers: readonly (number | undefined)[]): number | undefined {
  const known = numbers.filter((number) => number !== undefined);
  return known.length < numbers.length ? undefined : known.reduce((all, number) => all + number, 0);
}
