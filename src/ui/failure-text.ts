import { Failure, render, type Facts } from "../errors/failure.ts";
import { messages, type MessageCode } from "../errors/messages.ts";
import { said } from "./banner.ts";
import { hostList, numberRanges } from "./ranges.ts";

/** A failure as it is told: by this rank itself, or by another rank over the hub. */
export interface FailureReport {
  readonly code: MessageCode;
  readonly facts: Facts;
  /** Where it happened, if it happened on ranks. */
  readonly rank?: number;
  readonly host?: string;
}

/** Colour is for a terminal whose user has not asked for none (https://no-color.org). */
export function wantsColour({
  tty,
  noColor,
}: {
  readonly tty: boolean;
  readonly noColor: string | undefined;
}): boolean {
  return tty && (noColor === undefined || noColor === "");
}

/**
 * A failure as it stands on stderr: what, cause, cure (one line each, each behind `tsdask-mpi: `), and the ranks it
 * happened on.
 */
export function failureText(
  report: FailureReport | Failure,
  {
    colour = false,
    sources = [],
    brief = false,
  }: {
    readonly colour?: boolean;
    /** Ranks with the same failure; by default the report's own. */
    readonly sources?: readonly FailureSource[];
    /** Only what failed and where, for a message whose cause and cure stand above already. */
    readonly brief?: boolean;
  } = {},
): string {
  const all = sources.length > 0 || report instanceof Failure ? sources : sourceOf(report);
  // A message that names its rank needs no second line for it.
  const where = all.length === 1 && messages[report.code].what.includes("{rank}") ? "" : sourcesText(all);
  const [what = "", ...rest] = render(report.code, report.facts).split("\n");
  const text = said([what, ...(brief ? [] : rest), ...(where === "" ? [] : [`  where: ${where}`])]);
  const tint = isWarning(report.code) ? "\u001b[1;33m" : "\u001b[1;31m";
  return colour ? text.replace(report.code, `${tint}${report.code}\u001b[0m`) : text;
}

export interface FailureSource {
  readonly rank: number;
  readonly host?: string;
}

/** Whether the launch goes on after it: its exit code is 0. */
function isWarning(code: MessageCode): boolean {
  return messages[code].exit === 0;
}

/** Shows failures once, however many ranks meet the same one. */
export interface FailureCollector {
  /** Takes one report; it is shown when no further one has come for a moment. */
  add(report: FailureReport): void;
  /** Shows what is still held back, at once. */
  flush(): void;
}

const patienceMs = 300;
const longestMs = 2_000;
const warningsShown = 20;

/**
 * Collects failures of many ranks: the same code with the same facts (ranks and hosts aside) is shown once, with the
 * ranks listed. A failure that was shown already is not shown again; a warning is, when it comes again later, in one
 * line and up to 20 times.
 */
export function collectFailures({
  show,
  colour = false,
  now = () => performance.now(),
}: {
  readonly show: (text: string) => void;
  readonly colour?: boolean;
  readonly now?: () => number;
}): FailureCollector {
  const held = new Map<string, { readonly report: FailureReport; readonly sources: FailureSource[] }>();
  const told = new Map<string, number>();
  let since = 0;
  let timer: NodeJS.Timeout | undefined;

  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    for (const [key, { report, sources }] of held) {
      const kind = isWarning(report.code) ? report.code : key;
      const times = (told.get(kind) ?? 0) + 1;
      told.set(kind, times);
      show(failureText(report, { colour, sources, brief: times > 1 }));
      if (isWarning(report.code) && times === warningsShown) show(said(`further ${report.code} are in the log only`));
    }
    held.clear();
  };
  return {
    flush,
    add: (report) => {
      const key = sameness(report);
      const times = told.get(isWarning(report.code) ? report.code : key) ?? 0;
      if (times >= (isWarning(report.code) ? warningsShown : 1)) return;
      if (held.size === 0) since = now();
      const entry = held.get(key) ?? { report, sources: [] };
      entry.sources.push(...sourceOf(report));
      held.set(key, entry);
      clearTimeout(timer);
      timer = setTimeout(flush, Math.max(0, Math.min(patienceMs, since + longestMs - now())));
    },
  };
}

/** What two reports must share to be the same failure. */
function sameness({ code, facts }: FailureReport): string {
  const shared = Object.entries(facts).filter(([name]) => name !== "rank" && name !== "host" && name !== "pid");
  return JSON.stringify([code, shared.sort(([a], [b]) => (a < b ? -1 : 1))]);
}

function sourceOf({ rank, host }: FailureReport): FailureSource[] {
  if (rank === undefined) return [];
  return [host === undefined ? { rank } : { rank, host }];
}

function sourcesText(sources: readonly FailureSource[]): string {
  if (sources.length === 0) return "";
  const hosts = sources.flatMap(({ host }) => (host === undefined ? [] : [host]));
  const ranks = [...new Set(sources.map(({ rank }) => rank))];
  return `${ranks.length === 1 ? "rank" : "ranks"} ${numberRanges(ranks)}${hosts.length === 0 ? "" : ` on ${hostList(hosts)}`}`;
}
