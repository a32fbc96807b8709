import { join } from "node:path";
import type { SchedulerEndpoint } from "../dask/rpc.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { killTimeout } from "../launcher/known.ts";
import type { PythonReport } from "../protocol/messages.ts";
import type { SilentWorker } from "../registry/snapshot.ts";
import type { RecordEvent } from "../report/lines.ts";
import { howItEnded, type Ending } from "../ui/end.ts";
import { firstOf } from "../ui/ranges.ts";
import type { Usage } from "../ui/usage.ts";
import { keptLogFolder } from "./hub-log.ts";
import { openRecord, recordHead, recordOf, type RecordWriter } from "./launch-record.ts";
import type { LaunchHooks } from "./launch.ts";
import type { Page } from "./report-page.ts";
import type { HostState, LaunchEvent } from "./state.ts";

/** What a launch's report is made of, as it comes. */
export interface LaunchReport {
  readonly heard: (event: LaunchEvent, hosts: readonly HostState[]) => void;
  readonly pythons: (reports: readonly PythonReport[]) => void;
  readonly said: (text: string) => void;
  /** The scheduler answers: its workers are looked at from now on. */
  readonly answers: (scheduler: SchedulerEndpoint) => void;
  /** With `--report`: the script is over, and before anything is ended Dask makes its own report. Never rejects. */
  readonly lastLook: ((event: LaunchEvent) => Promise<void>) | undefined;
  /** Writes the end down, and the page where one was asked for. Throws TSD-182. */
  readonly end: (ending: Ending, code: number, usage: Usage) => Promise<void>;
}

/**
 * The page is written so long (ms) after the scheduler answers, and then each time that the launch has run half as long
 * again: a kill without a warning leaves it.
 */
const firstPage = 5_000;
const pageAgain = 1.5;
const longestPause = 600_000;
/** So many silent workers are named; of more, the number. */
const namesShown = 5;

type Head = Omit<Parameters<typeof recordHead>[0], "started"> & {
  /** When this process began, in ms of `performance.now()`. */
  readonly started: number;
};

/**
 * Keeps the record of a launch in its kept log's folder, whatever happens to the scheduler, and with `--report` a page
 * made of it. Throws TSD-181 when the page cannot be written where it was asked for.
 */
export async function openLaunchReport(
  head: Head & { readonly folder: string; readonly warn: (failure: Failure) => void },
): Promise<LaunchReport> {
  const { env, launch, options, world } = head;
  const folder = (): string => keptLogFolder({ env, launch, otherwise: join(head.folder, "log") });
  const writer = openRecord(folder);
  const keep = (event: RecordEvent | undefined): void => {
    if (event !== undefined) writer.add(event);
  };
  keep({ k: "launch", ...recordHead({ ...head, started: Date.now() - (performance.now() - head.started) }) });
  const page =
    options.report === undefined
      ? undefined
      : await (await import("./report-page.ts")).openPage({ ...head, where: options.report, folder });
  const pythons = new Set<string>();
  const hostOfWorker = new Map<string, string>();
  let signalled = false;
  let looked = false;
  let over = false;
  const regularly = writeRegularly(writer, page);
  let samples: { readonly stop: () => void; readonly daskPage: () => Promise<void> } | undefined;

  return {
    heard: (event, hosts) => {
      // It was heard before the last look already.
      const line = recordOf(event, hosts);
      if (!looked || !isScriptOver(event)) keep(line);
      if (line?.k === "worker") hostOfWorker.set(line.name, line.host);
      if (signalled || !(isSignal(event) || event.e === "leave")) return;
      signalled = isSignal(event);
      // Whatever comes next may be a kill.
      void writer
        .flush()
        .then(() => page?.write())
        .catch(ignored);
    },
    pythons: (reports) => {
      for (const { host, python, dask } of reports) {
        if (!pythons.has(host)) keep({ k: "python", host, python, dask });
        pythons.add(host);
      }
    },
    said: (text) => keep({ k: "message", text }),
    answers: (scheduler) => {
      void import("./launch-samples.ts").then(({ takeSamples }) => {
        const silent = silenceTold(head.warn, hostOfWorker);
        const daskPage = page === undefined ? {} : { daskPage: page.dask };
        if (!over) samples = takeSamples({ scheduler, keep, silent, ...daskPage });
      });
      if (page !== undefined) regularly.start();
    },
    lastLook:
      page === undefined
        ? undefined
        : async (event) => {
            keep(recordOf(event, []));
            looked = true;
            // Some launchers kill a second after their SIGTERM: what there is has to do.
            if (signalled && killTimeout(world.launcher, env) !== undefined) return;
            await samples?.daskPage();
          },
    end: async (ending, code, usage) => {
      over = true;
      regularly.stop();
      samples?.stop();
      keep({ k: "end", ending: ending.kind, why: howItEnded(ending), code, usage });
      // What ended well in a moment needs no record, as it needs no log.
      await writer.close({ keep: page !== undefined || code !== 0 });
      try {
        // A job that is told to end has no time for questions.
        if (!signalled) await page?.account(deadlines.lastAccounting);
        await page?.write();
      } catch (error) {
        const problem = error instanceof Failure ? String(error.facts["problem"]) : String(error);
        throw new Failure("TSD-182", { path: page?.path, problem }, { cause: error });
      }
    },
  };
}

/** Writes the record and the page again and again, with ever longer pauses, from `start` to `stop`. */
function writeRegularly(
  writer: Pick<RecordWriter, "flush">,
  page: Pick<Page, "account" | "write"> | undefined,
): { readonly start: () => void; readonly stop: () => void } {
  let over = false;
  let timer: NodeJS.Timeout | undefined;
  const write = async (wait: number): Promise<void> => {
    await writer.flush();
    await page?.account(deadlines.accounting);
    if (over) return;
    await page?.write();
    if (!over) writeAfter(Math.min(wait * pageAgain, longestPause));
  };
  const writeAfter = (wait: number): void => {
    timer = setTimeout(() => void write(wait).catch(ignored), wait).unref();
  };
  return {
    start: () => writeAfter(firstPage),
    stop: () => {
      over = true;
      clearTimeout(timer);
    },
  };
}

/** Tells of workers that are silent, of each once: TSD-193. */
function silenceTold(
  warn: (failure: Failure) => void,
  hosts: ReadonlyMap<string, string>,
): (workers: readonly SilentWorker[]) => void {
  const told = new Set<string>();
  return (workers) => {
    const fresh = workers.filter(({ name }) => !told.has(name));
    if (fresh.length === 0) return;
    for (const { name } of fresh) told.add(name);
    const names = fresh.map(({ name, host }) => `${name} on ${hosts.get(name) ?? host}`);
    const seconds = Math.min(...fresh.map((one) => one.seconds));
    warn(new Failure("TSD-193", { workers: firstOf(names, namesShown), seconds }));
  };
}

/** What is heard of everything that happens, and looked at once more when the script is over. */
export function reportHooks({
  report,
  session,
}: {
  readonly report: LaunchReport | undefined;
  readonly session: { scriptOver?: number };
}): Pick<LaunchHooks, "onEvent" | "lastLook"> {
  if (report === undefined) return {};
  const { heard, lastLook } = report;
  if (lastLook === undefined) return { onEvent: heard };
  return {
    onEvent: heard,
    lastLook: (event) => {
      session.scriptOver = performance.now();
      return lastLook(event);
    },
  };
}

const isScriptOver = (event: LaunchEvent): boolean => event.e === "rank-event" && event.event.k === "client-exit";

const isSignal = (event: LaunchEvent): boolean =>
  event.e === "signal" || (event.e === "rank-event" && event.event.k === "signal");

/** A page that cannot be written now is tried again at the end, which says so. */
function ignored(): void {}
