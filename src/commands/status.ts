import { setTimeout as sleep } from "node:timers/promises";
import { deadlines } from "../deadlines.ts";
import { batchSystem } from "../batch/job.ts";
import { readJobList } from "../batch/job-list.ts";
import { jobListPath, withGroups } from "../batch/job-list-path.ts";
import { commandShell } from "../batch/run.ts";
import { credentialsFor } from "../dask/live-cluster.ts";
import { readSchedulerFile } from "../dask/read-scheduler-file.ts";
import type { SchedulerEndpoint } from "../dask/rpc.ts";
import { Failure } from "../errors/failure.ts";
import { visible, visibleLine } from "../errors/visible.ts";
import { clustersNamed, refuseSuspended, type Listed } from "../registry/find.ts";
import { takeSnapshot, type Snapshot } from "../registry/snapshot.ts";
import type { JobStatus } from "../registry/status.ts";
import { targetOf, type Target } from "../registry/target.ts";
import { readClusterCredentials } from "../security/cluster-folder.ts";
import { clusterTrust } from "./cluster-trust.ts";
import type { CommandContext } from "./context.ts";
import type { LastLines } from "../ui/watch.ts";
import { readSmallCommand, type SmallCommand, type SmallLine } from "./small-command.ts";
import { statusJson, statusLines, type StatusView } from "./status-screen.ts";

export const COMMAND: SmallCommand = {
  name: "tsdask-mpi status",
  usage: "[options] [name | scheduler.json]",
  about: `Shows what a cluster does: its workers by host, its tasks, what it waits for, its worker jobs, what idles. It is read from
Dask's own interface and disturbs no work. Without a name or a file: the cluster of this folder, else the only one that runs.`,
  options: [
    { flags: "--watch", help: "go on showing it, every two seconds; q ends it" },
    { flags: "--json", help: "the same as JSON" },
    { flags: "--trust-shared-folder", help: "believe a scheduler.json in a folder that your group may write in" },
  ],
};

/** Between the two looks that a rate needs (ms). */
const rateOver = 500;
/**
 * How often (ms) `--watch` looks at the cluster; its jobs are asked for less often, because batch systems answer
 * slowly.
 */
const watchEvery = 2_000;
const jobsEvery = 15_000;

/**
 * `tsdask-mpi status`: one screen about a cluster; resolves to the exit code. Throws TSD-006 and TSD-008 (wrong words),
 * TSD-147 to TSD-149 (no such cluster, or it has ended), TSD-186 (it is suspended), TSD-023, TSD-024, TSD-120 (its
 * file), TSD-073, TSD-074 (its credentials), TSD-075 to TSD-078 (its scheduler).
 */
export async function statusCommand(argv: readonly string[], context: CommandContext): Promise<number> {
  const { stdout } = context;
  const line = readSmallCommand(COMMAND, argv);
  if (line.help !== undefined) {
    stdout.write(line.help);
    return 0;
  }
  const target = await targetOf(line.words[0], context);
  const look = await lookerAt(target, line, context);
  if (line.options["watch"] === true) {
    const { watchScreen } = await import("../ui/watch.ts");
    const lines = async (): Promise<readonly string[] | LastLines> => {
      try {
        return statusLines(await look()).map(visibleLine);
      } catch (error) {
        const end = target.listed === undefined ? undefined : await endOf(target.listed, context);
        if (end === undefined) throw error;
        return { last: [visibleLine(end)] };
      }
    };
    return watchScreen(lines, { every: watchEvery, write: (text) => stdout.write(text) });
  }
  await look();
  await sleep(rateOver);
  const view = await look();
  if (line.options["json"] === true) stdout.write(`${visible(JSON.stringify(statusJson(view), null, 2))}\n`);
  else stdout.write(`${statusLines(view).map(visibleLine).join("\n")}\n`);
  return 0;
}

/** How a cluster that does not answer any more has ended; undefined when it has not, as far as can be told. */
async function endOf({ entry }: Listed, { env }: CommandContext): Promise<string | undefined> {
  const [now] = await clustersNamed(entry.launch, env);
  if (now?.state !== "ended") return undefined;
  const { name } = entry;
  return `${name} has ended: ${now.why ?? "it said no more"}. \`tsdask-mpi logs ${name}\` and \`tsdask-mpi report ${name}\` show what happened.`;
}

/** What looks at a cluster, again and again. Throws what makes looking impossible. */
async function lookerAt(
  { listed, schedulerFile }: Target,
  line: SmallLine,
  context: CommandContext,
): Promise<() => Promise<StatusView>> {
  if (listed !== undefined) refuseEnded(listed);
  const { endpoint, listPath } =
    listed?.entry.scheduler === undefined
      ? await fromFile(schedulerFile ?? "scheduler.json", line, context)
      : await fromEntry(listed, listed.entry.scheduler.address);
  const title = listed?.entry.name ?? schedulerFile ?? endpoint.address;
  let before: Snapshot | undefined;
  let names: ReadonlyMap<string, string> = new Map();
  const tried = new Set<string>();
  let jobs: readonly JobStatus[] = [];
  let jobsAt = Number.NEGATIVE_INFINITY;
  return async () => {
    const snapshot = await takeSnapshot(endpoint, { ours: listed !== undefined });
    if (performance.now() - jobsAt > jobsEvery) {
      jobs = await jobsOf(listPath, context.env);
      jobsAt = performance.now();
    }
    const addresses = Object.values(snapshot.identity.workers).map(({ host }) => host ?? "");
    if (addresses.some((address) => address !== "" && !tried.has(address))) names = await namesOf(listed, addresses);
    for (const address of addresses) tried.add(address);
    const view = { listed, title, snapshot: { ...snapshot, hosts: names }, before, jobs };
    before = snapshot;
    return view;
  };
}

/** The names of the workers' hosts; the one host of a launch needs no name service. */
async function namesOf(listed: Listed | undefined, addresses: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const [host, ...more] = listed?.entry.hosts ?? [];
  const different = new Set(addresses);
  if (host !== undefined && more.length === 0 && different.size === 1)
    return new Map([...different].map((one) => [one, host]));
  const { hostNames } = await import("../net/host-names.ts");
  return hostNames(addresses.filter((address) => address !== ""));
}

function refuseEnded(listed: Listed): void {
  const { entry, state, why } = listed;
  refuseSuspended(listed);
  if (state === "ended" || state === "pending" || entry.scheduler === undefined)
    throw new Failure("TSD-149", {
      name: entry.name,
      why: state === "ended" ? (why ?? "it has ended") : state === "pending" ? "its job is pending" : "it is starting",
    });
}

async function fromEntry(
  { entry }: Listed,
  address: string,
): Promise<{ readonly endpoint: SchedulerEndpoint; readonly listPath: string }> {
  const tls = entry.security === "tls" ? await readClusterCredentials(entry.folder) : undefined;
  return { endpoint: { address, tls }, listPath: jobListPath(entry.schedulerFile ?? "", entry.folder) };
}

async function fromFile(
  path: string,
  line: SmallLine,
  context: CommandContext,
): Promise<{ readonly endpoint: SchedulerEndpoint; readonly listPath: string }> {
  const file = await readSchedulerFile(path, await clusterTrust(line.options, context));
  return {
    endpoint: { address: file.address, tls: await credentialsFor(file) },
    listPath: jobListPath(path, file.tsdask?.folder),
  };
}

/** The worker jobs of scale and adapt, with why they wait; none when the batch system does not tell. */
async function jobsOf(listPath: string, env: NodeJS.ProcessEnv): Promise<readonly JobStatus[]> {
  try {
    const lists = await Promise.all((await withGroups(listPath)).map((path) => readJobList(path)));
    const jobs = lists.flatMap((list) => list.jobs);
    const shell = commandShell({ env, deadline: deadlines.batchStatus });
    const all = await Promise.all(
      [...Map.groupBy(jobs, ({ system }) => system)].map(async ([system, own]) => {
        const ids = own.map(({ id }) => id);
        const { states, reasons } = batchSystem(system);
        const [found, why] = await Promise.all([
          states(ids, shell),
          reasons?.(ids, shell) ?? new Map<string, string>(),
        ]);
        return own.map(({ id, expected }) => {
          const reason = why.get(id);
          return {
            system,
            id,
            expected,
            state: found.get(id) ?? ("gone" as const),
            ...(reason === undefined ? {} : { reason }),
          };
        });
      }),
    );
    return all.flat();
  } catch (error) {
    if (error instanceof Failure) return [];
    throw error;
  }
}
