import { existsSync } from "node:fs";
import { readFor } from "../config/read-for.ts";
import { optionsOf } from "../config/groups.ts";
import type { Options } from "../config/options.ts";
import { rolesOf, type Plan } from "../cluster/plan.ts";
import { schedulerRequest, workerRequest, type HostSecrets } from "../dask/requests.ts";
import { workersMeant } from "../dask/settings.ts";
import { Failure } from "../errors/failure.ts";
import { findStarter, startsParts } from "../launcher/host-key.ts";
import type { World } from "../launcher/world.ts";
import type { Assign, ClientStart, Hello, ToLeader, ToRank } from "../protocol/messages.ts";
import { clusterFiles, writeClusterCredentials } from "../security/cluster-folder.ts";
import { writePrivateFile } from "../security/private-files.ts";
import { affinityOf, hostGrant, type Grant } from "./grant.ts";
import type { LeadContext } from "./lead-context.ts";
import { laterFoldersOf, scriptFolderOf } from "./module-folders.ts";
import { fairShares, type Sharer } from "./shares.ts";

type Welcome = Extract<ToLeader, { t: "welcome" }>;

/** What the ranks of a host are to do, in the words of this host. */
export interface HostAssignments {
  /** The ranks' cores or options may differ: nobody's share is known before all have come. */
  readonly waitForAll: boolean;
  /** Writes down what the hub has sent: credentials, grant, names. */
  readonly prepare: (welcome: Welcome) => Promise<void>;
  /** What a rank is to do; `present` are the ranks that have met here so far. */
  readonly assign: (hello: Hello, present: readonly Hello[]) => Promise<Assign>;
  /** A message to a rank, with this host's copies of files that it cannot see. */
  readonly localise: (message: ToRank) => ToRank;
}

export function hostAssignments({
  context,
  host,
  options,
  plan,
  python,
  multiHost,
  workerPrefix,
  localAddress,
}: {
  readonly context: LeadContext;
  readonly host: string;
  readonly options: Options;
  readonly plan: Plan;
  readonly python: string;
  readonly multiHost: boolean;
  /** Workers' names begin so; those of a joined launch never collide with the cluster's own. */
  readonly workerPrefix: string;
  /** This host's address that the others reach, as it is known by then. */
  readonly localAddress: () => string | undefined;
}): HostAssignments {
  const { env, paths } = context;
  let sharedFolder = "";
  let numbers = false;
  let returns = false;
  let clientRank: number | null = null;
  let secrets: HostSecrets = { security: null, tokenFile: null };
  let grant = hostGrant({ env, host });
  const bound = isBound(grant, context.world);
  const waitForAll = multiHost || bound || (context.world.launcher !== "tsdask" && startsParts(process.ppid, "/proc"));
  const saidBy = wordsOfRanks(context);
  const laterFolders = laterFoldersOf(options, context.cwd);
  return {
    waitForAll,
    prepare: async ({ credentials, token, folder, granted, namedByRank, schedulerReturns, clientRank: client }) => {
      clientRank = client;
      sharedFolder = folder;
      numbers = namedByRank;
      returns = schedulerReturns;
      if (granted !== undefined) grant = hostGrant({ env, host, granted });
      if (credentials !== null) await writeClusterCredentials(paths.folder, credentials);
      if (token !== null) await writePrivateFile(clusterFiles(paths.folder).token, `${token}\n`);
      const { ca, cert, key, token: tokenFile } = clusterFiles(paths.folder);
      secrets = {
        security: credentials === null ? null : { ca, cert, key },
        tokenFile: token === null || options.security === "none" ? null : tokenFile,
      };
    },
    assign: async (hello, present) => {
      const said = (await saidBy(hello)) ?? options;
      // Where not all are waited for, chance has it who is here by now: all are taken to have been told the same.
      const saidByOthers = waitForAll ? await unlike(saidBy, present) : undefined;
      const saidTo = (rank: number): Options =>
        rank === hello.rank || saidByOthers === undefined ? said : (saidByOthers.get(rank) ?? options);
      return assignment({
        context,
        hello,
        own: options,
        said,
        optionsAt: (rank) => optionsOf(saidTo(rank), rank),
        laterFolders,
        plan,
        python,
        secrets,
        localAddress: localAddress(),
        host,
        workerName: numbers ? hello.rank : `${workerPrefix}-${hello.rank}`,
        schedulerReturns: returns,
        clientRank,
        grant,
        sharers: sharersOf({ plan, present, multiHost, bound }),
      });
    },
    localise: (message) =>
      message.t === "client" && sharedFolder !== "" && !existsSync(sharedFolder)
        ? withFolder(message, sharedFolder, paths.folder)
        : message,
  };
}

/** The options of a rank's own command line, read once; undefined: it says the same as the agent's. */
type WordsOfRanks = (hello: Hello) => Promise<Options> | undefined;

function wordsOfRanks({ program, argv: own, env: agents }: LeadContext): WordsOfRanks {
  const read = new Map<Hello, Promise<Options>>();
  return (hello) => {
    const { argv, env, cwd } = hello;
    if (argv.length === own.length && argv.every((word, index) => word === own[index])) return undefined;
    const words = read.get(hello) ?? readFor(program, argv, { ...agents, ...env }, cwd).then(({ options }) => options);
    read.set(hello, words);
    return words;
  };
}

/** The options of those ranks that say something else than the agent; one whose words are wrong tells so itself. */
async function unlike(saidBy: WordsOfRanks, present: readonly Hello[]): Promise<ReadonlyMap<number, Options>> {
  const found = new Map<number, Options>();
  for (const hello of present) {
    const reading = saidBy(hello);
    if (reading === undefined) continue;
    const said = await reading.catch(() => undefined);
    if (said !== undefined) found.set(hello.rank, said);
  }
  return found;
}

function assignment({
  context,
  hello,
  own,
  said,
  optionsAt,
  laterFolders,
  plan,
  python,
  secrets,
  localAddress,
  host,
  workerName,
  schedulerReturns,
  clientRank,
  grant,
  sharers,
}: {
  readonly context: LeadContext;
  readonly hello: Hello;
  readonly own: Options;
  /** What this rank's command line says, for all. */
  readonly said: Options;
  /** The options of a rank of this host. */
  readonly optionsAt: (rank: number) => Options;
  readonly laterFolders: readonly string[];
  readonly plan: Plan;
  readonly python: string;
  readonly secrets: HostSecrets;
  readonly localAddress: string | undefined;
  readonly host: string;
  readonly workerName: string | number;
  readonly schedulerReturns: boolean;
  /** The rank that runs the script, as rank 0 has it. */
  readonly clientRank: number | null;
  readonly grant: Grant;
  readonly sharers: readonly Sharer[];
}): Assign {
  const { paths, cwd } = context;
  const options = optionsAt(hello.rank);
  refuseOtherScripts({ rank: hello.rank, own, said, clientRank, plan, leader: context.world.rank });
  const roles = rolesOf(hello.rank, plan);
  const input = {
    options,
    rank: hello.rank,
    secrets,
    address: localAddress,
    scriptFolder: scriptFolderOf(own, cwd),
    laterFolders,
    // One for each: in a common one every worker that starts asks after the locks of all others
    // (distributed/diskutils.py).
    scratch: `${paths.folder}/scratch-${hello.rank}`,
    hostMemory: grant.memory,
    size: {
      workers: workersMeant(plan.workerRanks.length, own),
      here: sharers.filter(({ role }) => role === "worker").length,
      cores: grant.cpus,
    },
    host,
  };
  const share = fairShares(grant, sharers, optionsAt).get(hello.rank) ?? {
    nthreads: 1,
    memoryLimit: grant.memory,
    cpus: grant.cpus,
  };
  return {
    t: "assign",
    roles,
    host,
    leaderPid: process.pid,
    address: localAddress ?? "127.0.0.1",
    ...(roles.includes("scheduler") ? { scheduler: schedulerRequest(input, grant.cpus) } : {}),
    ...(roles.includes("worker") ? { worker: workerRequest(input, share, workerName, null) } : {}),
    ...(options.spawn === "exec" ? {} : { forkSocket: paths.forkSocket }),
    watchdogSocket: paths.forkSocket,
    python,
    pythonRoot: context.pythonRoot,
    restarts: options.restarts,
    schedulerRestarts: own.schedulerRestarts,
    schedulerReturns,
    terminateAt: Math.floor(share.memoryLimit * terminateFraction),
    logLevel: options.logLevel,
    grace: options.grace,
    reportsRankZeroLoss: context.world.rank === 0 && hello.rank === lossReporter(plan),
  };
}

/**
 * The parts of one command line (`mpirun … : …`, `srun --multi-prog`) may differ in their workers' options, not in what
 * the launch runs: who leaves the script out goes along, who names another one, or one where rank 0 has none, is
 * mistaken. Throws TSD-192.
 */
function refuseOtherScripts({
  rank,
  own,
  said,
  clientRank,
  plan,
  leader,
}: {
  readonly rank: number;
  readonly own: Options;
  readonly said: Options;
  readonly clientRank: number | null;
  readonly plan: Plan;
  readonly leader: number;
}): void {
  const name = ({ script, jupyter }: Options): string | undefined => script?.words[0] ?? jupyter;
  const [first, other] = [name(own), name(said)];
  const differ = other !== undefined && other !== first;
  if (differ) throw new Failure("TSD-192", { rank, other, leader, first: first ?? "nothing" });
  if (clientRank === (plan.clientRank ?? null)) return;
  if (clientRank === null) throw new Failure("TSD-192", { rank: leader, other: first, leader: 0, first: "nothing" });
  if (rank === clientRank) throw new Failure("TSD-192", { rank, other: "nothing", leader: 0, first: "a script" });
}

/** The one rank on rank 0's host that says so when rank 0 is gone; on other hosts their leaders do. */
export function lossReporter({ clientRank, workerRanks }: Plan): number | undefined {
  return clientRank !== undefined && clientRank !== 0 ? clientRank : workerRanks.find((rank) => rank !== 0);
}

/** Dask's default of `distributed.worker.memory.terminate`: the part of its limit at which a worker is ended. */
const terminateFraction = 0.95;

/** Who divides this host: on a single host every rank of the plan, else those that have met here. */
function sharersOf({
  plan,
  present,
  multiHost,
  bound,
}: {
  readonly plan: Plan;
  readonly present: readonly Hello[];
  readonly multiHost: boolean;
  readonly bound: boolean;
}): Sharer[] {
  const pids = new Map(present.map(({ rank, pid }) => [rank, pid]));
  const ranks = multiHost ? [...pids.keys()] : Array.from({ length: plan.size }, (_, rank) => rank);
  return ranks.flatMap((rank) => {
    const pid = pids.get(rank);
    const cpuList = bound && pid !== undefined ? affinityOf(pid) : undefined;
    return rolesOf(rank, plan).map((role) => ({ rank, role, ...(cpuList === undefined ? {} : { cpuList }) }));
  });
}

/**
 * Whether the launcher gave this rank cores of its own: its affinity differs from that of the launcher's process here.
 * A wrapper between the two has the rank's. Where nothing above this rank can be seen (hidepid), each rank's own cores
 * are asked for, which only waits for this host's ranks.
 */
function isBound(grant: Grant, { launcher }: World): boolean {
  const starter = launcher === "tsdask" ? undefined : findStarter(process.ppid, "/proc")?.pid;
  return affinityOf(starter ?? process.ppid)?.join() !== grant.cpuList.join();
}

/**
 * The client's environment with this host's copies of the credentials in place of those in a folder that it cannot see.
 */
function withFolder(message: ClientStart, from: string, to: string): ClientStart {
  const env = Object.fromEntries(
    Object.entries(message.env).map(([name, value]) => [
      name,
      value?.startsWith(`${from}/`) ? `${to}${value.slice(from.length)}` : value,
    ]),
  );
  return { ...message, env };
}
