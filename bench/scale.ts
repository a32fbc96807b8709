// How the hub bears a large launch: real hub and launch, real TLS connections on loopback, simulated hosts behind them.
// Usage: node bench/scale.ts [--hosts 250,500,1000] [--ranks-per-host 10] [--helpers 4] [--runs 3] [--name scale]
import { fork, type ChildProcess } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { projectRoot } from "../test/integration/bed/command.ts";
import { machine, machineLine } from "./lib/machine.ts";
import { readNumber, readNumbers, readOptions } from "./lib/options.ts";
import { figure, printTable, progress, writeResult } from "./lib/report.ts";
import { spread } from "./lib/statistics.ts";
import type { HostsOrder, HostsReport, Memory, Order, Report } from "./scale/messages.ts";

const { values } = readOptions(import.meta.filename, {
  options: {
    hosts: { type: "string", default: "250,500,1000" },
    "ranks-per-host": { type: "string", default: "10" },
    helpers: { type: "string", default: "4" },
    runs: { type: "string", default: "3" },
    "cpu-prof": { type: "string" },
    name: { type: "string", default: "scale" },
  },
});
const perHost = readNumber("ranks-per-host", values["ranks-per-host"]);
const helpers = readNumber("helpers", values.helpers);
const runsEach = readNumber("runs", values.runs);
const sizes = readNumbers("hosts", values.hosts);
const deadline = 300_000;

/** Times in seconds, memory in bytes. */
interface Run {
  /** From the first connection to the last host that has joined. */
  readonly joining: number;
  /** From the scheduler's address to the last rank that has it. */
  readonly telling: number;
  /** From the first worker's report to the moment at which the hub knows of all. */
  readonly registering: number;
  /** From the end's beginning to the last host's goodbye. */
  readonly ending: number;
  readonly before: Memory;
  readonly joined: Memory;
  readonly full: Memory;
}

const begun = machine();
progress(machineLine(begun));
// Bundled, as what is installed: Node's TypeScript loader alone would add tens of megabytes to the hub.
const folder = join(projectRoot, ".tools", "bench-scale");
await build({
  absWorkingDir: projectRoot,
  entryPoints: ["bench/scale/hub.ts", "bench/scale/hosts.ts"],
  outdir: folder,
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node22.15",
  outExtension: { ".js": ".mjs" },
  define: { "process.env.WS_NO_BUFFER_UTIL": '"1"', "process.env.WS_NO_UTF_8_VALIDATE": '"1"' },
  banner: {
    js: 'import{createRequire as $createRequire}from"node:module";const require=$createRequire(import.meta.url);',
  },
  logLevel: "warning",
});

const results: { hosts: number; ranks: number; runs: Run[] }[] = [];
try {
  for (const hosts of sizes) {
    const runs: Run[] = [];
    for (let round = 0; round < runsEach; round += 1) runs.push(await launchOf(hosts));
    results.push({ hosts, ranks: hosts * perHost, runs });
    progress(`${hosts} hosts: told in ${runs.map((run) => figure(run.telling)).join(", ")} s`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const of = (runs: readonly Run[], pick: (run: Run) => number): ReturnType<typeof spread> => spread(runs.map(pick));
const path = writeResult(values.name, begun, {
  perHost,
  results: results.map(({ hosts, ranks, runs }) => ({
    hosts,
    ranks,
    joining: of(runs, (run) => run.joining),
    telling: of(runs, (run) => run.telling),
    registering: of(runs, (run) => run.registering),
    ending: of(runs, (run) => run.ending),
    rss: of(runs, (run) => run.full.rss),
    runs,
  })),
});
const megabytes = (bytes: number): string => figure(bytes / 1e6, 1);
printTable(
  `The hub with ${perHost} ranks a host (median of ${runsEach}; seconds, MB)`,
  [
    "hosts",
    "ranks",
    "all joined",
    "address → last rank told",
    "all workers known",
    "end → last host done",
    "RSS before",
    "RSS joined",
    "RSS all in",
    "heap all in",
    "kB a host",
  ],
  results.map(({ hosts, ranks, runs }) => {
    const middle = (pick: (run: Run) => number): number => of(runs, pick)?.median ?? NaN;
    return [
      String(hosts),
      String(ranks),
      figure(middle((run) => run.joining)),
      figure(
        middle((run) => run.telling),
        3,
      ),
      figure(middle((run) => run.registering)),
      figure(
        middle((run) => run.ending),
        3,
      ),
      megabytes(middle((run) => run.before.rss)),
      megabytes(middle((run) => run.joined.rss)),
      megabytes(middle((run) => run.full.rss)),
      megabytes(middle((run) => run.full.heapUsed)),
      figure(
        middle((run) => (run.full.rss - run.before.rss) / hosts / 1000),
        0,
      ),
    ];
  }),
);
progress(`figures: ${path}`);

/** One launch from the hub's opening to its end. */
async function launchOf(hosts: number): Promise<Run> {
  const flags = [
    "--expose-gc",
    ...(values["cpu-prof"] === undefined ? [] : ["--cpu-prof", "--cpu-prof-dir", values["cpu-prof"]]),
  ];
  const hub = startProcess<Order, Report>("hub.mjs", [hosts, perHost], flags);
  const parts = Array.from({ length: helpers }, (_, index) => {
    // Rank 0's own host is in the hub's process.
    const from = 1 + Math.floor(((hosts - 1) * index) / helpers);
    return startProcess<HostsOrder, HostsReport>(
      "hosts.mjs",
      [from, 1 + Math.floor(((hosts - 1) * (index + 1)) / helpers), perHost],
      [],
    );
  });
  try {
    const { port, fingerprint, memory: before } = await hub.says("open");
    const beginning = Number(process.hrtime.bigint()) / 1e6;
    for (const part of parts) part.send({ t: "connect", port, fingerprint });
    const [joined] = await Promise.all([hub.says("all-hosts"), ...parts.map((part) => part.says("connected"))]);
    await new Promise((resolve) => setTimeout(resolve, 300));
    hub.send({ t: "address" });
    const { at: sent } = await hub.says("address-sent");
    const told = await Promise.all(parts.map((part) => part.says("told")));
    const working = Number(process.hrtime.bigint()) / 1e6;
    hub.send({ t: "own-workers" });
    for (const part of parts) part.send({ t: "workers" });
    const full = await hub.says("all-workers");
    hub.send({ t: "end" });
    const { at: ending } = await hub.says("end-sent");
    const finished = await hub.says("finished");
    return {
      joining: (joined.at - beginning) / 1000,
      telling: (Math.max(...told.map(({ at }) => at)) - sent) / 1000,
      registering: (full.at - working) / 1000,
      ending: (finished.at - ending) / 1000,
      before,
      joined: joined.memory,
      full: full.memory,
    };
  } finally {
    for (const { child } of [hub, ...parts]) child.kill(values["cpu-prof"] === undefined ? "SIGKILL" : "SIGTERM");
  }
}

interface BenchProcess<Out, In extends { readonly t: string }> {
  readonly child: ChildProcess;
  readonly send: (message: Out) => void;
  /**
   * The first message of this kind, come already or yet to come; throws when the process ends, fails, or takes too
   * long.
   */
  readonly says: <K extends In["t"]>(kind: K) => Promise<Extract<In, { t: K }>>;
}

function startProcess<Out extends object, In extends { readonly t: string }>(
  file: string,
  args: readonly number[],
  flags: readonly string[],
): BenchProcess<Out, In> {
  const child = fork(join(folder, file), args.map(String), {
    execArgv: [...flags],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const said = new Map<string, In>();
  const waiting = new Map<string, (message: In) => void>();
  let give: ((error: Error) => void) | undefined;
  child.on("message", (message: In) => {
    if (message.t === "failure") give?.(new Error(`${file}: ${JSON.stringify(message)}`));
    said.set(message.t, message);
    waiting.get(message.t)?.(message);
  });
  child.on("exit", (code, signal) => give?.(new Error(`${file} ended (${code ?? signal})`)));
  return {
    child,
    send: (message) => void child.send(message),
    says: async (kind) => {
      const { promise, resolve, reject } = Promise.withResolvers<In>();
      const timer = setTimeout(
        () => reject(new Error(`${file} did not say "${kind}" in ${deadline / 1000} s`)),
        deadline,
      );
      give = reject;
      const there = said.get(kind);
      if (there !== undefined) resolve(there);
      else waiting.set(kind, resolve);
      return (await promise.finally(() => clearTimeout(timer))) as Extract<In, { t: typeof kind }>;
    },
  };
}
