import { visible } from "../errors/visible.ts";
import { bytesText } from "./format.ts";
import { count, hostList, numberRanges } from "./ranges.ts";

/** What a launch says of itself at its start; what is not known (yet) is left out of the block. */
export interface BannerFacts {
  readonly version: string;
  /** What commands call the cluster. */
  readonly name?: string;
  /** As people name it: `Open MPI`, `MPICH`, `Slurm srun`, `the built-in launcher`. */
  readonly launcher?: string;
  readonly size?: number;
  readonly hosts?: readonly string[];
  readonly roles?: readonly BannerRole[];
  /** One entry per worker, or one that stands for all. */
  readonly workers?: {
    readonly number: number;
    readonly threads: readonly number[];
    readonly memory: readonly number[];
  };
  readonly python?: string;
  readonly pythonPath?: string;
  readonly dask?: string;
  readonly scheduler?: string;
  readonly dashboard?: string;
  readonly jupyter?: string;
  readonly folder?: string;
  readonly schedulerFile?: string;
  /** Lines that stand below the table as they are: how to reach the dashboard, warnings. */
  readonly notes?: readonly string[];
}

export interface BannerRole {
  readonly role: string;
  readonly ranks: readonly number[];
}

/** The block at the start of a launch, one line per fact, each behind `tsdask-mpi: `. */
export function banner(facts: BannerFacts): string {
  const rows: (readonly [string, string | undefined])[] = [
    ["name", facts.name],
    ["roles", facts.roles?.map(roleText).join(", ")],
    ["workers", facts.workers && workersText(facts.workers)],
    ["python", pythonText(facts)],
    ["scheduler", facts.scheduler],
    ["dashboard", facts.dashboard],
    ["jupyter", facts.jupyter],
    ["folder", facts.folder],
    ["file", facts.schedulerFile],
  ];
  const table = rows.flatMap(([name, value]) =>
    value === undefined || value === "" ? [] : [`  ${name.padEnd(10)} ${value}`],
  );
  return said([headline(facts), ...table, ...(facts.notes ?? []).map((note) => `  ${note}`)]);
}

/** A dashboard's address for the block; `asked` is what the user gave (`:8787`, `host:8787`), `port` what it became. */
export function dashboardText({
  host,
  port,
  asked,
  https = false,
}: {
  readonly host: string;
  readonly port: number;
  readonly asked?: string | undefined;
  readonly https?: boolean;
}): string {
  const wanted = Number(asked?.split(":").at(-1) ?? 0);
  const taken = Number.isInteger(wanted) && wanted !== 0 && wanted !== port;
  return `http${https ? "s" : ""}://${host}:${port}/status${taken ? ` (port ${wanted} was taken)` : ""}`;
}

/** The lines for reaching a running cluster from elsewhere (tunnel, links), under one heading. */
export function tunnelBlock(lines: readonly string[]): string {
  return said(["from your own computer:", ...lines.map((line) => `  ${line}`)]);
}

/**
 * Text as everything of ours looks on stderr: each line behind `tsdask-mpi: `, with a newline at the end, and nothing
 * in it that steers the terminal.
 */
export function said(lines: readonly string[] | string): string {
  const all = typeof lines === "string" ? lines.split("\n") : lines.flatMap((line) => line.split("\n"));
  return all.map((line) => `${`tsdask-mpi: ${visible(line)}`.trimEnd()}\n`).join("");
}

function headline({ version, launcher, size, hosts }: BannerFacts): string {
  const parts = [
    size === undefined ? undefined : count(size, "rank"),
    launcher === undefined ? undefined : `started by ${launcher}`,
    hosts === undefined
      ? undefined
      : hosts.length === 1
        ? `on ${hosts[0]}`
        : `on ${hosts.length} hosts, ${hostList(hosts)}`,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? version : `${version}, ${parts.join(" ")}`;
}

function roleText({ role, ranks }: BannerRole): string {
  return `${ranks.length === 1 ? "rank" : "ranks"} ${numberRanges(ranks)} ${role}`;
}

function workersText({ number, threads, memory }: NonNullable<BannerFacts["workers"]>): string {
  const each = [
    threads.length === 0
      ? undefined
      : spread(
          threads,
          (value) => `${value}`,
          (text) => `${text} ${text === "1" ? "thread" : "threads"}`,
        ),
    memory.length === 0 ? undefined : spread(memory, bytesText, (text) => text),
  ].filter((part) => part !== undefined);
  return each.length === 0 ? `${number}` : `${number}, each with ${each.join(" and ")}`;
}

function spread(values: readonly number[], text: (value: number) => string, named: (text: string) => string): string {
  const least = text(Math.min(...values));
  const most = text(Math.max(...values));
  return named(least === most ? least : `${least} to ${most}`);
}

function pythonText({ python, pythonPath, dask }: BannerFacts): string | undefined {
  const parts = [
    python === undefined ? undefined : pythonPath === undefined ? python : `${python} (${pythonPath})`,
    dask === undefined ? undefined : `Dask ${dask}`,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? undefined : parts.join(", ");
}
