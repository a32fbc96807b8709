import { durationText } from "../ui/format.ts";
import { count } from "../ui/ranges.ts";
import type { LaunchHead, RecordLine } from "./lines.ts";

/** When one rank did what, in milliseconds since the launch's first process. */
export interface RankStart {
  readonly rank: number;
  readonly host: string;
  readonly started?: number;
  readonly met?: number;
  readonly told?: number;
  readonly forked?: number;
  readonly registered: number;
}

/** The start of a launch, in milliseconds since its first process. */
export interface StartUp {
  readonly ranks: readonly RankStart[];
  /** When each host's Python had imported Dask. */
  readonly imported: readonly { readonly host: string; readonly at: number }[];
  readonly scheduler?: number;
  readonly script?: number;
  /** Worker ranks that have never registered. */
  readonly missing: readonly number[];
}

/** Puts the start together; a worker that came back counts with its first life. Pure. */
export function startUp(head: LaunchHead, lines: readonly RecordLine[]): StartUp {
  const since = (at: number): number => Math.max(0, at - head.started);
  const ranks = new Map<number, RankStart>();
  for (const line of lines) {
    if (line.k !== "worker" || ranks.has(line.rank)) continue;
    const { rank, host, at, ages = {} } = line;
    const steps = Object.entries(ages).map(([step, age]) => [step, since(at - age)] as const);
    ranks.set(rank, { rank, host, ...Object.fromEntries(steps), registered: since(at) });
  }
  const first = (kind: RecordLine["k"]): number | undefined => {
    const found = lines.find(({ k }) => k === kind);
    return found === undefined ? undefined : since(found.at);
  };
  const [scheduler, script] = [first("scheduler"), first("script")];
  return {
    ranks: [...ranks.values()].toSorted((a, b) => a.rank - b.rank),
    imported: lines.flatMap((line) => (line.k === "python" ? [{ host: line.host, at: since(line.at) }] : [])),
    ...(scheduler === undefined ? {} : { scheduler }),
    ...(script === undefined ? {} : { script }),
    missing: head.workerRanks.filter((rank) => !ranks.has(rank)),
  };
}

/** In a sentence or two, how long the start took and where the time went. Pure. */
export function startText({ ranks, imported, scheduler, script, missing }: StartUp): string {
  const last = ranks.reduce<RankStart | undefined>(
    (most, one) => (most === undefined || one.registered > most.registered ? one : most),
    undefined,
  );
  const time = (ms: number): string => durationText(ms / 1000);
  const began = script === undefined ? [] : [`The script started after ${time(script)}.`];
  if (last === undefined)
    return [
      scheduler === undefined ? "The scheduler never answered." : `The scheduler answered after ${time(scheduler)}.`,
      "No worker ever registered.",
      ...began,
    ].join(" ");
  const importedThere = imported.find(({ host }) => host === last.host)?.at ?? 0;
  const marks: readonly (readonly [string, number])[] = [
    ["the launcher, until the rank's process was there", last.started ?? 0],
    ["Node and the meeting of the ranks", last.met ?? 0],
    ["the options and the other hosts, until the rank was told its part", last.told ?? 0],
    ["Python's import of Dask and the forks before this one", last.forked ?? 0],
    ["the worker's own start and its registration", last.registered],
  ];
  let before = 0;
  const parts = marks.map(([name, at]) => {
    const length = Math.max(0, at - before);
    before = Math.max(before, at);
    return { name, length };
  });
  const most = parts.reduce((a, b) => (b.length > a.length ? b : a));
  const share = last.registered > 0 ? Math.round((100 * most.length) / last.registered) : 0;
  return [
    `The last of ${count(ranks.length, "worker")} (rank ${last.rank} on ${last.host}) was in ${time(last.registered)} after the first process.`,
    `Most of that, ${time(most.length)} (${share} %), went to ${most.name}.`,
    ...(importedThere > 0 ? [`Python had imported Dask there after ${time(importedThere)}.`] : []),
    ...began,
    ...(missing.length === 0 ? [] : [`${missing.length} never came.`]),
  ].join(" ");
}
