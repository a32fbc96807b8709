// Thousands of real workers of Dask, many in a process, at our scheduler and at plain Dask's, with TLS, on several
// hosts (network namespaces).
// Usage: node bench/crowd.ts [--workers 500,1360,3000] [--minutes 1,2,5] [--peers plain,ours] [--each 250] [--name
// crowd]
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { projectRoot, tsdaskMpi, type Command } from "../test/integration/bed/command.ts";
import { hostsAvailable, startHosts, type Hosts } from "../test/integration/bed/hosts.ts";
import { start, type Running } from "../test/integration/bed/run.ts";
import { clusterFiles } from "../src/security/cluster-folder.ts";
import { createAuthority } from "../src/security/certificates.ts";
import { readSchedulerFile } from "../src/dask/read-scheduler-file.ts";
import { settingValues } from "../src/dask/settings.ts";
import { machine, machineLine } from "./lib/machine.ts";
import { readNumber, readNumbers, readOptions } from "./lib/options.ts";
import { benchPython } from "./lib/python.ts";
import { figure, printTable, progress, writeResult } from "./lib/report.ts";
import { clusterCredentials } from "./scale/messages.ts";

const { values } = readOptions(import.meta.filename, {
  options: {
    workers: { type: "string", default: "500,1360,3000" },
    minutes: { type: "string", default: "1,2,5" },
    peers: { type: "string", default: "plain,ours" },
    each: { type: "string", default: "250" },
    python: { type: "string" },
    name: { type: "string", default: "crowd" },
  },
});
const minutes = readNumbers("minutes", values.minutes);
const crowds = readNumbers("workers", values.workers);
const each = readNumber("each", values.each);
/** The first host has the scheduler and the client; the workers are on the others. */
const names = ["h1", "h2", "h3", "h4", "h5"];
/** Seconds that workers may take to come, and between two rounds of work. */
const patience = 900;
const pause = 20;

/** What bench/crowd/client.py prints; seconds, bytes. */
interface Seen {
  /** From the workers' start until the scheduler has them all; null when it never had. */
  readonly registered: number | null;
  readonly there: number;
  readonly added: number;
  readonly removed: number;
  /** `client.run` on all, and how many answered. */
  readonly run: number;
  readonly ran: number;
  /** As many tasks as workers, once every twenty seconds. */
  readonly rounds: readonly number[];
  /** Processor time of the scheduler until all were registered, and until the end. */
  readonly cpu_registering: number;
  readonly cpu: number;
  readonly pss: number;
}

type Peer = "plain" | "ours";
/** Paths of PEM files. */
interface Tls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

let endAll = (): void => undefined;
let interrupted = false;
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => {
    interrupted = true;
    endAll();
  });
if (hostsAvailable() !== true) throw new Error("network namespaces cannot be made here: it takes root");
const begun = machine();
progress(machineLine(begun));
const python = await benchPython(values.python);
const results: { workers: number; peer: Peer; seen: Seen }[] = [];
for (const [at, workers] of crowds.entries()) {
  for (const peer of values.peers.split(",") as Peer[]) {
    const seen = await crowdAt(peer, workers, minutes[at] ?? minutes.at(-1) ?? 1);
    results.push({ workers, peer, seen });
    progress(
      `${workers} workers, ${peer}: ${JSON.stringify({ ...seen, rounds: seen.rounds.map((one) => figure(one)) })}`,
    );
  }
}
const path = writeResult(values.name, begun, {
  versions: python.versions,
  minutes,
  each,
  results,
});
printTable(
  "Real workers, many in a process, with TLS (seconds, MB)",
  [
    "workers",
    "scheduler",
    "all registered",
    "removed",
    "client.run on all",
    "a task each",
    "CPU coming",
    "CPU in all",
    "PSS",
  ],
  results.map(({ workers, peer, seen }) => [
    String(workers),
    peer,
    seen.registered === null ? `${seen.there} came` : figure(seen.registered, 1),
    String(seen.removed),
    `${figure(seen.run, 1)} (${seen.ran})`,
    figure(Math.max(...seen.rounds), 1),
    figure(seen.cpu_registering, 1),
    figure(seen.cpu, 1),
    figure(seen.pss / 1e6, 0),
  ]),
);
progress(`figures: ${path}`);

/** One scheduler, and so many workers at it. */
async function crowdAt(peer: Peer, workers: number, minutes: number): Promise<Seen> {
  const folder = mkdtempSync(join(tmpdir(), "bench-crowd-"));
  const scratch = join(folder, "scratch");
  const tmp = join(folder, "tmp");
  for (const one of [scratch, tmp]) mkdirSync(one, { mode: 0o700 });
  const env = { TMPDIR: tmp, XDG_STATE_HOME: join(folder, "state") };
  const place = { folder, env, deadline: patience + minutes * 60 + 600 };
  const running: Running[] = [];
  endAll = (): void => {
    for (const one of running.slice(1)) one.signal("SIGKILL");
  };
  await using hosts = await startHosts({ names });
  try {
    const schedulerFile = join(folder, "scheduler.json");
    const scheduler =
      peer === "ours"
        ? ours(hosts, schedulerFile, workers)
        : plain(hosts, schedulerFile, await ownCertificates(folder));
    running.push(start(scheduler, place));
    const { address, tls } = await found(schedulerFile, folder);
    const settings = crowdSettings(peer, workers);
    const common = { tls, settings, go: join(folder, "go"), workers, address, patience, minutes, pause, scratch };
    const order = (name: string, more: object): string => {
      const file = join(folder, name);
      writeFileSync(file, JSON.stringify({ ...common, ...more }), { mode: 0o600 });
      return file;
    };
    for (const [at, part] of parts(workers, each).entries()) {
      const host = names[1 + (at % (names.length - 1))] ?? "h2";
      const file = order(`workers-${part.first}.json`, { ...part, host: hosts.address(host) });
      const crowd = start(
        hosts.on(host, [python.path, join(projectRoot, "bench", "crowd", "workers.py"), file]),
        place,
      );
      running.push(crowd);
      await crowd.says(/ready/, 60);
    }
    const client = start(
      hosts.on("h1", [python.path, join(projectRoot, "bench", "crowd", "client.py"), order("client.json", {})]),
      place,
    );
    running.push(client);
    const { code, stdout } = await client.finished;
    if (code !== 0) throw new Error(interrupted ? "interrupted" : "the client has failed");
    for (const crowd of running.slice(1, -1))
      for (const line of crowd.stdout().split("\n").slice(1)) if (line.startsWith("failed")) progress(line);
    return JSON.parse(stdout) as Seen;
  } catch (error) {
    throw new Error(
      `${peer}, ${workers} workers: ${String(error)}\n${running.map((one) => one.stderr().slice(-1500)).join("\n")}`,
      {
        cause: error,
      },
    );
  } finally {
    for (const crowd of running.slice(1)) await crowd[Symbol.asyncDispose]();
    running[0]?.signal("SIGTERM");
    await Promise.race([running[0]?.finished, sleep(30_000)]);
    await running[0]?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function ours(hosts: Hosts, schedulerFile: string, workers: number): Command {
  return hosts.mpirun("openmpi4", { h1: 2 }, [
    ...[tsdaskMpi, "--python", python.path, "--interface", "eth0", "--no-dashboard", "--scheduler-file", schedulerFile],
    ...["--expected-workers", String(workers)],
  ]);
}

function plain(hosts: Hosts, schedulerFile: string, { ca, cert, key }: Tls): Command {
  return hosts.on("h1", [
    ...[python.path, "-m", "dask", "scheduler", "--host", hosts.address("h1"), "--port", "0", "--no-dashboard"],
    ...["--scheduler-file", schedulerFile, "--protocol", "tls"],
    ...["--tls-ca-file", ca, "--tls-cert", cert, "--tls-key", key],
  ]);
}

/** Credentials like those that a launch of ours makes, as files of the folder. */
async function ownCertificates(folder: string): Promise<Tls> {
  const credentials = await clusterCredentials(await createAuthority({ launch: "crowd" }));
  const files = clusterFiles(folder);
  for (const name of ["ca", "cert", "key"] as const) writeFileSync(files[name], credentials[name], { mode: 0o600 });
  return files;
}

/** The scheduler, once its file is there. */
async function found(schedulerFile: string, folder: string): Promise<{ readonly address: string; readonly tls: Tls }> {
  const until = performance.now() + 60_000;
  for (;;) {
    try {
      const { address, tsdask } = await readSchedulerFile(schedulerFile);
      return { address, tls: clusterFiles(tsdask?.folder ?? folder) };
    } catch (error) {
      if (performance.now() > until) throw error;
      await sleep(200);
    }
  }
}

/**
 * Dask's settings in the workers and the client: at both schedulers, what each does again and again is as far apart as
 * in so many workers on these cores, and nothing is profiled; the time-outs are Dask's own at plain Dask's, at ours
 * those that follow from the size.
 */
function crowdSettings(peer: Peer, workers: number): Readonly<Record<string, unknown>> {
  const all = Object.entries(settingValues({ workers, here: workers, cores: availableParallelism() }));
  const kept = all.filter(([name]) => peer === "ours" || !name.includes(".comm."));
  return { ...Object.fromEntries(kept), "distributed.worker.profile.enabled": false };
}

/** The workers of each process. */
function parts(workers: number, each: number): { readonly first: number; readonly each: number }[] {
  return Array.from({ length: Math.ceil(workers / each) }, (_, at) => ({
    first: at * each,
    each: Math.min(each, workers - at * each),
  }));
}
