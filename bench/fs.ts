// How many file operations each rank asks of its host: what a shared file system feels when thousands of ranks start at
// once.
// Usage: node bench/fs.ts [--ranks 8] [--peers ours,ours-exec,dask-mpi,dask-mpi-worker] [--python <program>] [--list
// <rank>] [--name fs]
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { needs } from "../test/integration/bed/command.ts";
import { environmentOf, listeners, tree } from "../test/integration/bed/processes.ts";
import { start } from "../test/integration/bed/run.ts";
import { identity } from "../src/dask/rpc.ts";
import { machine } from "./lib/machine.ts";
import { readNumber, readOptions, refuse } from "./lib/options.ts";
import { peersNamed, prepared, type Peer } from "./lib/peers.ts";
import { benchPython } from "./lib/python.ts";
import { printTable, progress, writeResult } from "./lib/report.ts";
import { median } from "./lib/statistics.ts";
import { readTrace, traced, type FileOperation } from "./lib/strace.ts";
import { shutDown, watchWorkers } from "./lib/watch.ts";

const { values } = readOptions(import.meta.filename, {
  options: {
    ranks: { type: "string", default: "8" },
    peers: { type: "string", default: "dask-mpi,dask-mpi-worker,ours-exec,ours" },
    python: { type: "string" },
    list: { type: "string" },
    name: { type: "string", default: "fs" },
  },
});
/**
 * Seconds of idle life after the last worker, to tell what a rank asks all the time from what its start and end cost.
 */
const idle = 4;
const deadline = 300;

/** What one rank asked for: its own process, its Dask worker, and whatever else it started. */
interface RankCount {
  readonly rank: number;
  readonly start: number;
  readonly own: number;
  readonly worker: number;
  /** Of `start`: on files that may be shared (not /proc, /sys, /dev, nor the temporary folder). */
  readonly files: number;
  readonly end: number;
  readonly perSecond: number;
}

const ranks = readNumber("ranks", values.ranks);
const listed = values.list === undefined ? undefined : readNumber("list", values.list, 0);
const begun = machine();
const python = await benchPython(values.python);
const strace = needs(["strace"], "strace");
if (strace !== true) refuse(`This benchmark counts with a program that is missing: ${strace.missing}.`);
const results = [];
for (const peer of await prepared(peersNamed(values.peers))) {
  // A first time that does not count: Python writes its bytecode.
  await count(peer, 4);
  const counts = await count(peer, ranks);
  results.push({ peer: peer.name, title: peer.title, ranks, counts });
  progress(`${peer.name}: ${counts.map(({ rank, start }) => `rank ${rank}: ${start}`).join(", ")}`);
}
const path = writeResult(values.name, begun, { python: python.versions, results });
printTable(
  `File operations of a rank until all ${ranks - 1} workers are in (strace's class %file; one host)`,
  [
    "",
    "first rank",
    "further rank: median",
    "largest",
    "its own",
    "its worker",
    "on files",
    "its end",
    "idle, per second",
  ],
  results.map(({ title, counts }) => {
    const further = counts.filter(({ rank }) => rank !== 0);
    const of = (pick: (one: RankCount) => number): string => median(further.map(pick)).toFixed(0);
    const first = counts.find(({ rank }) => rank === 0)?.start ?? 0;
    const largest = Math.max(...further.map((one) => one.start));
    return [
      title,
      String(first),
      of((one) => one.start),
      String(largest),
      of((one) => one.own),
      of((one) => one.worker),
      of((one) => one.files),
      of((one) => one.end),
      of((one) => one.perSecond),
    ];
  }),
);
progress(`figures: ${path}`);

/** Starts the peer's cluster under strace, lets it live a little, ends it, and counts. */
async function count(peer: Peer, size: number): Promise<RankCount[]> {
  const base = mkdtempSync(join(tmpdir(), "bench-"));
  const folder = join(base, "cwd");
  const tmp = join(base, "tmp");
  for (const one of [folder, tmp]) mkdirSync(one, { mode: 0o700 });
  const log = join(base, "log");
  const schedulerFile = join(folder, "scheduler.json");
  try {
    const [command] = peer.cluster({ ranks: size, python, schedulerFile });
    if (command === undefined) return [];
    await using running = start(traced(command, log), { folder, env: { TMPDIR: tmp }, deadline });
    let alive = true;
    void running.finished.then(() => {
      alive = false;
    });
    const { scheduler } = await watchWorkers({
      schedulerFile,
      workers: size - 1,
      clock: running.seconds,
      alive: () => alive,
      deadline,
    });
    const inAt = Date.now() / 1000;
    const people = whoIsWho(running.pid, Object.entries((await identity(scheduler)).workers));
    await sleep(idle * 1000);
    const endAt = Date.now() / 1000;
    await shutDown(scheduler);
    await running.finished;
    return await countRanks({ log, tmp, people, inAt, endAt });
  } finally {
    rmSync(base, { recursive: true, force: true, maxRetries: 5 });
  }
}

interface People {
  /** The rank of each process that the launcher started. */
  readonly ranks: ReadonlyMap<number, number>;
  /** The rank whose worker a process is, by the worker's name. */
  readonly workers: ReadonlyMap<number, number>;
}

/** Finds the launcher's own children and their ranks, and the processes that listen where workers say they do. */
function whoIsWho(root: number, workers: readonly (readonly [string, { readonly name?: unknown }])[]): People {
  const all = tree(root);
  const pids = new Set(all.map(({ pid }) => pid));
  const ranks = new Map<number, number>();
  for (const { pid, ppid } of all) {
    const rank = environmentOf(pid).get("OMPI_COMM_WORLD_RANK");
    if (rank !== undefined && (!pids.has(ppid) || environmentOf(ppid).get("OMPI_COMM_WORLD_RANK") === undefined))
      ranks.set(pid, Number(rank));
  }
  const byPort = new Map(
    workers.map(([address, { name }]) => [
      Number(/:(\d+)$/.exec(address)?.[1]),
      Number(/(\d+)$/.exec(String(name))?.[1]),
    ]),
  );
  const found = listeners([...pids]).flatMap(({ pid, port }) => {
    const rank = byPort.get(port);
    return rank === undefined ? [] : [[pid, rank] as const];
  });
  return { ranks, workers: new Map(found) };
}

async function countRanks({
  log,
  tmp,
  people,
  inAt,
  endAt,
}: {
  readonly log: string;
  readonly tmp: string;
  readonly people: People;
  readonly inAt: number;
  readonly endAt: number;
}): Promise<RankCount[]> {
  const { operations, parents } = await readTrace(log, tmp);
  const rankOf = (pid: number): { rank: number; worker: boolean } | undefined => {
    for (let at: number | undefined = pid; at !== undefined; at = parents.get(at)) {
      const worker = people.workers.get(at);
      if (worker !== undefined) return { rank: worker, worker: true };
      const rank = people.ranks.get(at);
      if (rank !== undefined) return { rank, worker: false };
    }
    return undefined;
  };
  const kept = operations.flatMap((operation) => {
    const who = rankOf(operation.pid);
    return who === undefined ? [] : [{ ...operation, ...who }];
  });
  if (listed !== undefined) list(kept.filter(({ rank, at }) => rank === listed && at <= inAt));
  return [...new Set(people.ranks.values())]
    .sort((a, b) => a - b)
    .map((rank) => {
      const mine = kept.filter((operation) => operation.rank === rank);
      const early = mine.filter(({ at }) => at <= inAt);
      return {
        rank,
        start: early.length,
        own: early.filter(({ worker }) => !worker).length,
        worker: early.filter(({ worker }) => worker).length,
        files: early.filter(({ kind }) => kind === "files").length,
        end: mine.filter(({ at }) => at > endAt).length,
        perSecond: mine.filter(({ at }) => at > inAt + 1 && at <= endAt).length / (endAt - inAt - 1),
      };
    });
}

function list(operations: readonly (FileOperation & { readonly worker: boolean })[]): void {
  for (const { worker, call, path } of operations)
    process.stdout.write(`${worker ? "worker" : "rank  "} ${call.padEnd(12)} ${path}\n`);
}
