/** A setting of Dask's that follows from the size of the launch, and why. */
export interface DerivedSetting {
  readonly value: string | number;
  readonly why: string;
}

export interface LaunchSize {
  /** Workers of the launch on all hosts. */
  readonly workers: number;
  /** Those of them on this host, and the cores that they share. */
  readonly here: number;
  readonly cores: number;
}

/** Workers that a launch is made for: its own, or as many as --expected-workers says are to come. */
export const workersMeant = (own: number, { expectedWorkers }: { readonly expectedWorkers: number }): number =>
  Math.max(own, expectedWorkers);

/**
 * From so many workers on, more than one scheduler's event loop greets within Dask's own 30 s of a handshake on a busy
 * host.
 */
export const manyWorkers = 100;
/** Seconds that each further worker adds: 420 workers took 7 to 8 minutes to come where nothing was done about it. */
const secondsEach = 0.1;
const longest = 600;
/** distributed/worker.py: a worker registers by one connection, which it keeps, and sends its heartbeats by another. */
const connectionsEach = 2;
/**
 * Files that a scheduler has open besides: libraries, listeners, the connections of clients and of the dashboard's
 * readers.
 */
const filesBesides = 256;

/** How many files the scheduler of so many workers has open at once. */
export const schedulerFiles = (workers: number): number => workers * connectionsEach + filesBesides;

/**
 * distributed.yaml: `comm.timeouts.connect` and `.tcp` (seconds), `scheduler.worker-ttl` (seconds),
 * `comm.socket-backlog`.
 */
const dask = { timeout: 30, ttl: 300, backlog: 2048 };
/** distributed.yaml: what each process does again and again, in ms, and how far apart it may be moved. */
const periods = {
  "distributed.worker.profile.interval": [10, 1_000],
  "distributed.worker.profile.cycle": [1_000, 60_000],
  "distributed.admin.tick.interval": [20, 1_000],
  "distributed.admin.system-monitor.interval": [500, 10_000],
} as const;

/**
 * What Dask's configuration is to say for a launch of this size, by the names of distributed.yaml; the user's own
 * configuration counts first. Empty for a launch of ordinary size. Pure.
 */
export function derivedSettings({ workers, here, cores }: LaunchSize): Readonly<Record<string, DerivedSetting>> {
  const settings: Record<string, DerivedSetting> = {};
  const perCore = Math.ceil(here / Math.max(1, cores));
  if (perCore > 1) {
    const why = `${here} workers share ${cores} ${cores === 1 ? "core" : "cores"}: each wakes up ${perCore} times less often`;
    for (const [name, [usual, most]] of Object.entries(periods))
      settings[name] = { value: `${Math.min(usual * perCore, most)}ms`, why };
  }
  const seconds = Math.round(Math.min(longest, dask.timeout + secondsEach * Math.max(workers - manyWorkers, 0)));
  if (seconds > dask.timeout || perCore > manyWorkers / 4) {
    const value = `${Math.max(seconds, Math.min(longest, dask.timeout + perCore))}s`;
    const why = `${workers} workers greet one scheduler`;
    settings["distributed.comm.timeouts.connect"] = { value, why };
    settings["distributed.comm.timeouts.tcp"] = { value, why };
  }
  if (workers > manyWorkers * 10) {
    const why = `${workers} workers send heartbeats to one scheduler`;
    settings["distributed.scheduler.worker-ttl"] = { value: `${Math.round(dask.ttl + workers * secondsEach)}s`, why };
  }
  const connections = workers * connectionsEach;
  if (connections > dask.backlog) {
    const why = `${workers} workers may connect at once`;
    settings["distributed.comm.socket-backlog"] = { value: connections, why };
  }
  return settings;
}

/** The values alone, as a Dask process takes them. */
export function settingValues(size: LaunchSize): Readonly<Record<string, string | number>> {
  return Object.fromEntries(Object.entries(derivedSettings(size)).map(([name, { value }]) => [name, value]));
}
