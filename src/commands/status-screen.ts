import { hostname } from "node:os";
import type { Listed } from "../registry/find.ts";
import type { Snapshot } from "../registry/snapshot.ts";
import {
  extremes,
  hostsOf,
  tasksOf,
  waitsFor,
  workersOf,
  type JobStatus,
  type TaskStatus,
  type WorkerStatus,
} from "../registry/status.ts";
import { bytesText, durationText } from "../ui/format.ts";
import { count, firstOf } from "../ui/ranges.ts";
import { tableText } from "../ui/table.ts";

/** All that one screen of `status` shows. */
export interface StatusView {
  readonly listed: Listed | undefined;
  readonly title: string;
  readonly snapshot: Snapshot;
  /** An earlier one, for rates. */
  readonly before: Snapshot | undefined;
  readonly jobs: readonly JobStatus[];
}

/** A worker whose event loop is this late (s) is slow: it answers nobody meanwhile. */
const slowAfter = 0.2;

/** The screen, line by line. Pure, but for this host's name. */
export function statusLines(view: StatusView): readonly string[] {
  const workers = workersOf(view.snapshot);
  const tasks = tasksOf(view.snapshot, view.before);
  return [
    ...headLines(view),
    "",
    `tasks      ${tasksText(tasks, workers)}`,
    ...said("waits for", waitsFor(tasks, workers)),
    ...hostLines(workers),
    ...workerLines(workers),
    ...silentLines(view.snapshot),
    ...jobLines(view.jobs),
    ...idleLines(view.snapshot, workers),
  ];
}

function headLines({ listed, title, snapshot }: StatusView): readonly string[] {
  const { identity, at } = snapshot;
  const started = listed?.entry.started ?? identity.started;
  const times = [
    started === undefined ? undefined : `up ${durationText(at - started)}`,
    listed?.ends === undefined ? undefined : `${durationText(listed.ends - at)} left`,
  ].filter((part) => part !== undefined);
  const where =
    listed === undefined ? "" : ` on ${listed.entry.host}${listed.entry.host === hostname() ? " (here)" : ""}`;
  return [
    [title, listed?.entry.script, ...times].filter((part) => part !== undefined).join(", "),
    `scheduler  ${identity.address}${where}`,
  ];
}

function tasksText(
  { waiting, queued, unrunnable, processing, inMemory, erred, finished, rate }: TaskStatus,
  workers: readonly WorkerStatus[],
): string {
  // The scheduler sends a worker a few tasks ahead. Heartbeats are a little late: there are never more running than
  // were sent.
  const running = Math.min(
    processing,
    workers.reduce((sum, worker) => sum + worker.running, 0),
  );
  return [
    `${waiting + queued + unrunnable + processing - running} waiting`,
    `${running} running`,
    finished === undefined ? `${inMemory} in memory` : `${finished} done, ${inMemory} held in memory`,
    `${erred} erred`,
    ...(rate === undefined ? [] : [`${rate < 10 ? rate.toFixed(1) : Math.round(rate)} done per second`]),
  ].join(", ");
}

function hostLines(workers: readonly WorkerStatus[]): readonly string[] {
  if (workers.length === 0) return [];
  const rows = hostsOf(workers).map((one) => [
    one.host,
    String(one.workers),
    `${one.running} of ${one.threads}`,
    `${Math.round(one.cpu)} %`,
    one.limit === 0 ? bytesText(one.memory) : `${bytesText(one.memory)} of ${bytesText(one.limit)}`,
    bytesText(one.spilled),
    String(one.paused),
  ]);
  const table = tableText(["HOST", "WORKERS", "THREADS BUSY", "CPU", "MEMORY", "SPILLED", "PAUSED"], rows);
  return ["", ...table.trimEnd().split("\n"), ""];
}

function workerLines(workers: readonly WorkerStatus[]): readonly string[] {
  const { fullest, slowest } = extremes(workers);
  const share = (worker: WorkerStatus): string =>
    worker.limit === 0 ? "" : `, ${Math.round((100 * worker.memory) / worker.limit)} % of its limit`;
  return [
    ...said("fullest", fullest && `${fullest.name} on ${fullest.host}: ${bytesText(fullest.memory)}${share(fullest)}`),
    ...(slowest === undefined || slowest.lag < slowAfter
      ? []
      : said(
          "slowest",
          `${slowest.name} on ${slowest.host}: it answers ${durationText(slowest.lag)} late (a task holds Python's lock, or its host is overloaded)`,
        )),
  ];
}

/** Workers that are shown by name; of more, the number. */
const silentShown = 3;

function silentLines({ silent = [], hosts }: Snapshot): readonly string[] {
  if (silent.length === 0) return [];
  const names = silent.map(
    ({ name, host, seconds }) => `${name} on ${hosts?.get(host) ?? host} for ${durationText(seconds)}`,
  );
  return said(
    "silent",
    `${firstOf(names, silentShown)} (stopped, its host hangs, or a task holds Python's lock: TSD-193)`,
  );
}

/** A line for each job, or for all that are in the same state for the same reason where those are many. */
function jobLines(jobs: readonly JobStatus[]): readonly string[] {
  const alike = [...Map.groupBy(jobs, ({ system, state, reason = "" }) => `${system} ${state} ${reason}`).values()];
  return alike.flatMap((own) => {
    if (own.length <= mostJobLines) return own.map((job) => jobLine(job, job.id));
    const workers = own.reduce((sum, { expected }) => sum + expected, 0);
    const ids = own.slice(0, 3).map(({ id }) => id);
    const [first] = own;
    return first === undefined
      ? []
      : [jobLine({ ...first, expected: workers }, `${ids.join(", ")} and ${own.length - ids.length} more`)];
  });
}

const mostJobLines = 4;

function jobLine({ system, state, expected, reason }: JobStatus, ids: string): string {
  return `job        ${system} ${ids}, ${count(expected, "worker")}: ${state}${reason === undefined ? "" : ` (${reason})`}`;
}

function idleLines(
  { at, idleSince, idleThreadSeconds }: Snapshot,
  workers: readonly WorkerStatus[],
): readonly string[] {
  if (idleThreadSeconds === undefined) return [];
  const threads = workers.reduce((sum, worker) => sum + worker.threads, 0);
  const busy = workers.reduce((sum, worker) => sum + Math.min(worker.running, worker.threads), 0);
  const since = idleSince === null || idleSince === undefined ? "" : ` for ${durationText(at - idleSince)}`;
  return [
    `idle       ${threads - busy} of ${count(threads, "thread")}${since}; ${hoursText(idleThreadSeconds)} of threads spent idle so far`,
  ];
}

/** Thread-seconds as core-hours: `0.02 core-hours`. */
function hoursText(seconds: number): string {
  const hours = seconds / 3600;
  return `${hours < 10 ? hours.toFixed(2) : Math.round(hours)} core-hours`;
}

const said = (name: string, text: string | undefined): readonly string[] =>
  text === undefined ? [] : [`${name.padEnd(10)} ${text}`];

/** The same for programs; seconds since 1970, bytes, null for what is not known. */
export function statusJson(view: StatusView): Readonly<Record<string, unknown>> {
  const { listed, snapshot, jobs } = view;
  const workers = workersOf(snapshot);
  const { inMemory, ...tasks } = tasksOf(snapshot, view.before);
  const { fullest, slowest } = extremes(workers);
  return {
    name: listed?.entry.name ?? null,
    launch: listed?.entry.launch ?? null,
    script: listed?.entry.script ?? null,
    started: listed?.entry.started ?? snapshot.identity.started ?? null,
    ends: listed?.ends ?? null,
    at: snapshot.at,
    scheduler: { address: snapshot.identity.address, id: snapshot.identity.id, host: listed?.entry.host ?? null },
    tasks: { ...tasks, in_memory: inMemory, finished: tasks.finished ?? null, rate: tasks.rate ?? null },
    waits_for: waitsFor({ ...tasks, inMemory }, workers) ?? null,
    hosts: hostsOf(workers),
    workers,
    fullest: fullest?.name ?? null,
    slowest: slowest?.name ?? null,
    jobs,
    silent: snapshot.silent ?? [],
    idle_since: snapshot.idleSince ?? null,
    idle_thread_seconds: snapshot.idleThreadSeconds ?? null,
  };
}
