/**
 * What goes through a cluster of ours against a plain Dask one with the same options, in clear text and with TLS: tasks
 * per second, and bytes per second between two workers. The same client script on the same Python, in alternating
 * rounds.
 * Usage: node bench/throughput.ts [--runs 5] [--python PATH]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { clientEnvironment } from "../src/dask/configuration.ts";
import { createAuthority } from "../src/security/certificates.ts";
import { writeClusterCredentials } from "../src/security/cluster-folder.ts";
import { command, projectRoot, tsdaskMpi, type Command } from "../test/integration/bed/command.ts";
import { output, start } from "../test/integration/bed/run.ts";
import { machine, machineLine } from "./lib/machine.ts";
import { readNumber, readOptions } from "./lib/options.ts";
import { benchPython } from "./lib/python.ts";
import { figure, printTable, progress, writeResult } from "./lib/report.ts";
import { median, spread, turned, type Spread } from "./lib/statistics.ts";

interface Throughput {
  readonly tasks: number;
  readonly bytes: number;
}

interface Setup {
  readonly name: string;
  readonly title: string;
  readonly run: (folder: string) => Promise<Throughput>;
}

const { values } = readOptions(import.meta.filename, {
  options: { runs: { type: "string", default: "5" }, python: { type: "string" } },
});
const runs = readNumber("runs", values.runs);
const python = await benchPython(values.python);
const script = join(projectRoot, "bench", "throughput.py");
const workers = 2;
const memory = "2GiB";
/**
 * What Dask's Nanny would set before it starts a worker, and we do too: plain workers without a Nanny get it by hand.
 */
const preSpawn = {
  MALLOC_TRIM_THRESHOLD_: "65536",
  OMP_NUM_THREADS: "1",
  MKL_NUM_THREADS: "1",
  OPENBLAS_NUM_THREADS: "1",
};

const setups: readonly Setup[] = [
  { name: "plain-tcp", title: "plain Dask, tcp", run: (folder) => plain(folder, false) },
  { name: "ours-tcp", title: "tsdask-mpi --security none", run: (folder) => ours(folder, "none") },
  { name: "plain-tls", title: "plain Dask, TLS", run: (folder) => plain(folder, true) },
  { name: "ours-tls", title: "tsdask-mpi (TLS)", run: (folder) => ours(folder, "tls") },
];

const begun = machine();
progress(machineLine(begun));
const measured = new Map<string, Throughput[]>(setups.map(({ name }) => [name, []]));
for (let round = 0; round < runs; round += 1) {
  for (const { name, title, run } of turned(setups, round)) {
    const folder = mkdtempSync(join(tmpdir(), "bench-"));
    try {
      const found = await run(folder);
      measured.get(name)?.push(found);
      progress(
        `round ${round + 1}: ${title}: ${found.tasks.toFixed(0)} tasks/s, ${(found.bytes / 2 ** 20).toFixed(0)} MiB/s`,
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

const of = (name: string, key: keyof Throughput): number[] => (measured.get(name) ?? []).map((one) => one[key]);
/** The median of the ratios within each round: what else the machine did weighs on both sides alike. */
const ratio = (name: string, base: string, key: keyof Throughput): number =>
  median(of(name, key).map((value, round) => value / (of(base, key)[round] ?? NaN)));
const ratios = ["tasks", "bytes"].flatMap((key) =>
  [
    ["ours-tcp", "plain-tcp"],
    ["ours-tls", "plain-tls"],
    ["ours-tls", "ours-tcp"],
  ].map(([name = "", base = ""]) => ({ key, name, base, ratio: ratio(name, base, key as keyof Throughput) })),
);
printTable(
  `throughput, ${workers} workers of one thread, medians of ${runs} rounds`,
  ["", "tasks/s", "MiB/s"],
  setups.map(({ name, title }) => [
    title,
    figure(median(of(name, "tasks")), 0),
    figure(median(of(name, "bytes")) / 2 ** 20, 0),
  ]),
);
printTable(
  "ratios",
  ["", "tasks", "bytes"],
  [...new Set(ratios.map(({ name, base }) => `${name} : ${base}`))].map((pair) => [
    pair,
    ...["tasks", "bytes"].map((key) =>
      figure(ratios.find((one) => `${one.name} : ${one.base}` === pair && one.key === key)?.ratio),
    ),
  ]),
);
const results: readonly {
  readonly name: string;
  readonly tasks: Spread | undefined;
  readonly bytes: Spread | undefined;
}[] = setups.map(({ name }) => ({
  name,
  tasks: spread(of(name, "tasks")),
  bytes: spread(of(name, "bytes")),
}));
progress(writeResult("throughput", begun, { python: python.versions, results, ratios }));

async function ours(folder: string, security: "tls" | "none"): Promise<Throughput> {
  const words = [
    "--np",
    String(workers + 2),
    "--python",
    python.path,
    "--security",
    security,
    "--nthreads",
    "1",
    "--memory-limit",
    memory,
    "--no-dashboard",
  ];
  return JSON.parse(
    await output(command(tsdaskMpi, ...words, script, String(workers)), { folder, deadline: 120 }),
  ) as Throughput;
}

async function plain(folder: string, secure: boolean): Promise<Throughput> {
  const tls = secure ? await tlsWords(folder) : [];
  const file = join(folder, "scheduler.json");
  const protocol = secure ? "tls" : "tcp";
  const schedulerWords = [
    "-m",
    "dask",
    "scheduler",
    "--protocol",
    protocol,
    "--port",
    "0",
    "--no-dashboard",
    "--scheduler-file",
    file,
    ...tls,
  ];
  const workerWords = [
    "-m",
    "dask",
    "worker",
    "--scheduler-file",
    file,
    "--protocol",
    protocol,
    "--no-nanny",
    "--nthreads",
    "1",
    "--memory-limit",
    memory,
    "--no-dashboard",
    "--local-directory",
    folder,
    ...tls,
  ];
  // Where Dask's scheduler makes its scratch space, which it leaves behind.
  const env = { TMPDIR: folder };
  await using scheduler = start(command(python.path, ...schedulerWords), { folder, env, deadline: 120 });
  const address = await addressIn(file);
  const worker = (): Command => ({ ...command(python.path, ...workerWords), env: preSpawn });
  await using first = start(worker(), { folder, deadline: 120 });
  await using second = start(worker(), { folder, deadline: 120 });
  const connects = clientEnvironment({ address, folder, security: secure ? "tls" : "none" });
  const client = { ...command(python.path, script, String(workers)), env: connects };
  const text = await output(client, { folder, deadline: 120 });
  for (const one of [first, second, scheduler]) one.signal("SIGKILL");
  await Promise.all([first.finished, second.finished, scheduler.finished]);
  return JSON.parse(text) as Throughput;
}

async function tlsWords(folder: string): Promise<string[]> {
  const authority = await createAuthority({ launch: "bench" });
  const pair = await authority.issue({ name: "dask", addresses: ["127.0.0.1"], server: true, client: true });
  await writeClusterCredentials(folder, { ca: authority.certificate, ...pair });
  return [
    "--tls-ca-file",
    join(folder, "ca.pem"),
    "--tls-cert",
    join(folder, "cert.pem"),
    "--tls-key",
    join(folder, "key.pem"),
  ];
}

async function addressIn(file: string): Promise<string> {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    const text = await readFile(file, "utf8").catch(() => "");
    if (text.endsWith("}")) return (JSON.parse(text) as { address: string }).address;
    await sleep(100);
  }
  throw new Error("the plain scheduler did not start");
}
