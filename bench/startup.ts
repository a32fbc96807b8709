// How long a cluster takes to start and to end, and what it weighs: ours, its peers, and the floor, side by side.
// Usage: node bench/startup.ts [--ranks 4,8,16,32] [--runs 5] [--peers ours,floor,…] [--python <program>]
// [--no-scripts] [--name startup] [--before <another checkout of tsdask-mpi, built>: one peer more]
import { resolve } from "node:path";
import { clusterRun, scriptRun, type ClusterRun, type ScriptRun } from "./lib/measure.ts";
import { machine, machineLine } from "./lib/machine.ts";
import { readNumber, readNumbers, readOptions } from "./lib/options.ts";
import { oursOf, peersNamed, prepared, type Peer } from "./lib/peers.ts";
import { benchPython } from "./lib/python.ts";
import { figure, printTable, progress, writeResult } from "./lib/report.ts";
import { spread, turned } from "./lib/statistics.ts";
import { drawStartup } from "./startup-chart.ts";

const usual = ["dask-mpi", "dask-mpi-worker", "by-hand", "slurm-runner", "ours-exec", "ours", "floor"];
const { values } = readOptions(import.meta.filename, {
  options: {
    ranks: { type: "string", default: "4,8,16,32" },
    runs: { type: "string", default: "5" },
    peers: { type: "string", default: usual.join(",") },
    python: { type: "string" },
    before: { type: "string" },
    scripts: { type: "boolean", default: true },
    name: { type: "string", default: "startup" },
    chart: { type: "boolean", default: true },
  },
  allowNegative: true,
});

interface Cell {
  readonly peer: string;
  readonly ranks: number;
  readonly clusters: ClusterRun[];
  readonly scripts: ScriptRun[];
}

const sizes = readNumbers("ranks", values.ranks);
const runs = readNumber("runs", values.runs);
const chosen = peersNamed(values.peers);
if (values.before !== undefined) chosen.push(oursOf(resolve(values.before)));
const begun = machine();
const python = await benchPython(values.python);
progress(machineLine(begun));
progress(
  Object.entries(python.versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(", "),
);

const cells = new Map<string, Cell>();
const cellOf = (peer: Peer, ranks: number): Cell => {
  const key = `${peer.name} ${ranks}`;
  const cell = cells.get(key) ?? { peer: peer.name, ranks, clusters: [], scripts: [] };
  cells.set(key, cell);
  return cell;
};

try {
  const ready = await prepared(chosen);
  // One start of each that does not count: it fills the page cache and writes Python's bytecode.
  for (const peer of ready) await one(peer, sizes[0] ?? 4, false);
  for (let round = 0; round < runs; round += 1) {
    for (const ranks of sizes) for (const peer of turned(ready, round)) await one(peer, ranks, true);
  }
} finally {
  for (const peer of chosen) await peer.release?.();
}

async function one(peer: Peer, ranks: number, counts: boolean): Promise<void> {
  const cluster = await attempt(() => clusterRun(peer, ranks, python));
  const { script: makeCommand } = peer;
  const script =
    !values.scripts || makeCommand === undefined
      ? undefined
      : await attempt(() => scriptRun(peer, makeCommand, ranks, python));
  if (!counts) return;
  if (cluster !== undefined) cellOf(peer, ranks).clusters.push(cluster);
  if (script !== undefined) cellOf(peer, ranks).scripts.push(script);
  progress(
    `${String(ranks).padStart(3)} ${peer.name.padEnd(16)} workers ${figure(cluster?.workers)} s, ${figure((cluster?.pss ?? NaN) / 1e6, 0)} MB, end ${figure(cluster?.teardown)} s; script connected ${figure(script?.connected)} s, exit ${figure(script?.exit)} s`,
  );
}

/** A start that fails is told and left out; one failure of a peer must not cost an hour's figures. */
async function attempt<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    progress(`failed: ${String(error)}`);
    return undefined;
  }
}

const results = [...cells.values()].map(({ peer, ranks, clusters, scripts }) => ({
  peer,
  title: chosen.find(({ name }) => name === peer)?.title ?? peer,
  ranks,
  scheduler: spread(clusters.map((run) => run.scheduler)),
  workers: spread(clusters.map((run) => run.workers)),
  teardown: spread(clusters.map((run) => run.teardown)),
  pss: spread(clusters.map((run) => run.pss)),
  cpu: spread(clusters.map((run) => run.cpu)),
  processes: spread(clusters.map((run) => run.processes)),
  tracebacks: spread(clusters.map((run) => run.tracebacks)),
  connected: spread(scripts.map((run) => run.connected)),
  scriptWorkers: spread(scripts.map((run) => run.workers)),
  exit: spread(scripts.map((run) => run.exit)),
  clusters,
  scripts,
}));
const path = writeResult(values.name, begun, { python: python.versions, runs, results });

for (const ranks of sizes) {
  const rows = chosen.flatMap((peer) =>
    results.filter((result) => result.peer === peer.name && result.ranks === ranks),
  );
  printTable(
    `${ranks} ranks on one host: median of ${runs} (seconds, MB)`,
    [
      "",
      "all workers",
      "min–max",
      "script connected",
      "Client.shutdown()",
      "script's end",
      "PSS",
      "processes",
      "CPU",
      "tracebacks",
    ],
    rows.map((row) => [
      row.title,
      figure(row.workers?.median),
      `${figure(row.workers?.min)}–${figure(row.workers?.max)}`,
      figure(row.connected?.median),
      figure(row.teardown?.median),
      figure(row.exit?.median),
      figure((row.pss?.median ?? NaN) / 1e6, 0),
      figure(row.processes?.median, 0),
      figure(row.cpu?.median),
      figure(row.tracebacks?.median, 0),
    ]),
  );
}
if (values.chart) progress(`chart: ${drawStartup(path, path.replace(/\.json$/, ".svg"))}`);
progress(`figures: ${path}`);
