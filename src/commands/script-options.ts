import type { JobSpec } from "../batch/script/job-spec.ts";
import type { CommandOption, Said } from "../config/command-line.ts";
import { duration, flag, integer, parseBytes, path, text, BadValue, type Raw, type Reader } from "../config/values.ts";

const word = text("a word without blanks or quotes", /^[^\s"'`$\\\p{Cc}]+$/u);
const line = text("one line of text");

const lines: Reader<readonly string[]> = (raw, context) =>
  (Array.isArray(raw) ? (raw as readonly Raw[]) : [raw]).map((entry) => line(entry, context));

const words: Reader<readonly string[]> = (raw, context) =>
  (Array.isArray(raw) ? (raw as readonly Raw[]) : [raw])
    .flatMap((entry) => line(entry, context).split(/[\s,]+/))
    .filter((entry) => entry !== "");

const size: Reader<number> = (raw, context) => parseBytes(line(raw, context));

/** `NAME=value`, given several times, or a YAML mapping. */
const variables: Reader<Readonly<Record<string, string>>> = (raw) => {
  const pairs =
    typeof raw === "object" && !Array.isArray(raw)
      ? Object.entries(raw).map(([name, value]) => [name, String(value)] as const)
      : (Array.isArray(raw) ? (raw as readonly Raw[]) : [raw]).map((entry) => {
          const [name = "", ...rest] = String(entry).split("=");
          return [name, rest.length === 0 ? undefined : rest.join("=")] as const;
        });
  return Object.fromEntries(
    pairs.map(([name, value]) => {
      if (!/^[A-Za-z_]\w*$/.test(name) || value === undefined || /\p{Cc}/u.test(value))
        throw new BadValue("is not NAME=value", "Write --env NAME=value.");
      return [name, value];
    }),
  );
};

const volume: Reader<{ readonly claim: string; readonly path: string }> = (raw) => {
  const [, claim = "", folder = ""] = /^([a-z0-9][a-z0-9.-]*):(\/\S+)$/.exec(String(raw)) ?? [];
  if (claim === "")
    throw new BadValue(
      "is not CLAIM:/path",
      "Name a persistent volume claim and where to mount it: --volume data:/data.",
    );
  return { claim, path: folder };
};

const option = <T>(spec: CommandOption<T>): CommandOption<T> => spec;

/**
 * The options that shape a job, shared by `script`, `scale` and `adapt`; each may stand in the `script:` section of the
 * site's and user's file.
 */
export const jobOptions = {
  name: option({
    value: "<name>",
    read: text("a job name: letters, digits, dots, dashes and underscores", /^[A-Za-z][\w.-]{0,62}$/),
    help: "the job's name [dask]",
  }),
  nodes: option({ value: "<n>", read: integer(1, 100_000), help: "nodes [1]" }),
  ranksPerNode: option({ value: "<n>", read: integer(1, 10_000), help: "ranks on each node [4]" }),
  threads: option({ value: "<n>", read: integer(1, 10_000), help: "cores (and threads) of each rank [1]" }),
  memory: option({ value: "<size>", read: size, help: "memory of each node: 64GiB" }),
  gpus: option({ value: "<n>", read: integer(1, 1000), help: "GPUs of each node" }),
  time: option({ value: "<time>", read: duration("positive"), help: "walltime: 2h, 30m, 01:30:00" }),
  queue: option({ value: "<name>", read: word, help: "partition, queue or (Kubernetes) namespace" }),
  account: option({ value: "<name>", read: word, help: "account, project or bank" }),
  modules: option({ value: "<names>", repeat: true, read: words, help: "environment modules to load" }),
  environment: option({
    value: "<name>",
    read: word,
    help: "virtual environment (a path) or conda environment (a name) to activate",
  }),
  env: option({ value: "<NAME=value>", repeat: true, read: variables, help: "a variable to export" }),
  setup: option({ value: "<line>", repeat: true, read: lines, help: "a shell line to run before the ranks start" }),
  launcher: option({
    value: "<command>",
    read: line,
    help: "what starts the ranks: srun, mpirun, mpiexec, jsrun, or (Kubernetes) openmpi, mpich, intel",
  }),
  output: option({ value: "<file>", read: word, help: "the job's output, in the batch system's notation" }),
  directive: option({
    value: "<text>",
    repeat: true,
    read: lines,
    help: "a further directive, as the batch system writes it: --exclusive",
  }),
  pe: option({ value: "<name>", read: word, help: "Grid Engine: the parallel environment [mpi]" }),
  image: option({ value: "<image>", read: word, help: "Kubernetes: the container image" }),
  volume: option({
    value: "<claim:/path>",
    read: volume,
    help: "Kubernetes: a persistent volume claim to mount, and where",
  }),
};

/** The further options of `tsdask-mpi script`. */
export const scriptOptions = {
  ...jobOptions,
  array: option({ value: "<n>", read: integer(1, 100_000), help: "a job array of so many jobs" }),
  join: option({ value: "<scheduler.json>", read: path, help: "a job of workers that join this cluster" }),
  out: option({ value: "<file>", short: "o", read: path, help: "write to this file instead of standard output" }),
  force: option({ read: flag, help: "write over that file" }),
  submit: option({ read: flag, help: "submit it, and print the job's id" }),
  wait: option({
    value: "<time>",
    read: duration("positive"),
    help: "with --submit, wait until it runs, at most so long; say why it does not",
  }),
};

/** A spec from what was said; `words` are tsdask-mpi's options and the job itself. */
export function specOf(
  said: Said<typeof jobOptions>,
  {
    command,
    words,
    join,
    array,
  }: {
    readonly command: string;
    readonly words: readonly string[];
    readonly join?: { readonly schedulerFile: string };
    readonly array?: number | undefined;
  },
): JobSpec {
  const { name, nodes, ranksPerNode, threads, modules, env, setup, directive, ...optional } = said;
  return {
    ...optional,
    name: name ?? (join === undefined ? "dask" : "dask-workers"),
    nodes: nodes ?? 1,
    ranksPerNode: ranksPerNode ?? 4,
    threads: threads ?? 1,
    modules: modules ?? [],
    setup: setup ?? [],
    variables: env ?? {},
    directives: directive ?? [],
    command,
    words,
    ...(join === undefined ? {} : { join }),
    ...(array === undefined ? {} : { array }),
  };
}
