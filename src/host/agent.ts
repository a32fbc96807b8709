import { lookup } from "node:dns/promises";
import { hostname } from "node:os";
import { existsSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { describeJob } from "../batch/job.ts";
import { readNotebook } from "../config/notebook-options.ts";
import type { Options } from "../config/options.ts";
import { readOptions, type ReadResult } from "../config/read.ts";
import type { Channel } from "../protocol/channel.ts";
import type { Assign, ClientStart, FromLeader, Hello, ToLeader } from "../protocol/messages.ts";
import { Failure } from "../errors/failure.ts";
import { messages } from "../errors/messages.ts";
import { removeHostFolder, type HostListener } from "./election.ts";
import { shortName, type HostPaths } from "../launcher/host-paths.ts";
import { startForkServer } from "./fork-server.ts";
import { playShells, type ShellAgents } from "./shell-agents.ts";
import { pipesOf, postOf, removePost } from "./shell-ranks.ts";
import { affinityOf, hostGrant, type Grant } from "./grant.ts";
import { refuseLoopback, schedulerTrouble } from "./reach.ts";
import { launchPlace } from "./launch-place.ts";
import { leadHost, type Leader } from "./leader.ts";
import { findPython } from "./python.ts";
import { pythonTrouble } from "./python-trouble.ts";
import { fairShares, type Share, type Sharer } from "./shares.ts";
import { childEnvironment, namesWorkingFolder } from "../launcher/strip.ts";
import type { World } from "../launcher/world.ts";
import { helloOf } from "../rank/follower.ts";
import { runRankAgent, type Member } from "../rank/rank-agent.ts";
import { plan as planRoles, rolesOf, type Plan } from "../cluster/plan.ts";
import { interfaceAddresses, type InterfaceAddress, listeningAddress, reachableAddresses } from "../net/interfaces.ts";
import { schedulerRequest, workerRequest, type HostSecrets } from "../dask/requests.ts";
import { clusterFiles, writeClusterCredentials } from "../security/cluster-folder.ts";
import { writePrivateFile } from "../security/private-files.ts";
import { openClusterNote } from "../security/open-cluster.ts";
import type { Out } from "../ui/out.ts";
import { relay } from "../ui/relay.ts";
import { failureOf } from "../ui/failure-of.ts";
import { startRankZero, type RankZero } from "../cluster/rank-zero.ts";
import { jupyterModules } from "../cluster/jupyter-modules.ts";
import { siteCredentials } from "../cluster/secrets.ts";

export interface LeadContext {
  readonly world: World;
  /** Ctrl-C is the script's while it runs. */
  readonly prompt: boolean;
  readonly program: "tsdask-mpi" | "dask-mpi";
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly uid: number;
  readonly out: Out;
  readonly paths: HostPaths;
  readonly hostKey: string;
  readonly listener: HostListener;
  readonly pythonRoot: string;
  readonly started: number;
  /** True: rank 0 apart from the other ranks of its host, which another rank leads. */
  readonly alone?: boolean;
  readonly exit: (code: number) => void;
}

/**
 * Is the first rank of a host: reads the options, starts the fork server, meets the other hosts, leads this one, and does
 * its own rank's part. Throws the Failure that keeps the launch from starting.
 */
export async function lead(context: LeadContext): Promise<Member> {
  const { world, env, cwd, out, paths } = context;
  const host = hostname();
  const read = await readFor(context.program, context.argv, env, cwd);
  const { options } = read;
  const note = openClusterNote({ ...options, program: context.program });
  for (const warning of world.rank === 0 ? [...read.warnings, ...(note === undefined ? [] : [note])] : [])
    out.write(`tsdask-mpi: ${warning}\n`);
  if (world.rank === 0 && namesWorkingFolder(env["PYTHONPATH"]))
    void import("../ui/failure-text.ts").then(({ failureText }) => out.write(failureText(new Failure("TSD-127", {}))));
  const plan = planFor(options, world.size);
  const { path: python } = findPython({ wish: options.python, env, cwd, host, pythonRoot: context.pythonRoot });
  // Rank 0 that leads itself alone has no ranks, and the shells of its host another agent.
  const post = context.alone ? undefined : postOf(world, paths, process.ppid);
  const forkServer = startForkServer({
    python,
    pythonRoot: context.pythonRoot,
    socket: paths.forkSocket,
    folder: paths.folder,
    pipes: post === undefined ? [] : Object.values(pipesOf(paths)),
    warm: options.warm,
    imports: options.spawn !== "exec",
    scriptFolder: world.rank === 0 ? scriptFolderOf(options, cwd) : undefined,
    modules: world.rank === 0 && options.jupyter !== undefined ? [jupyterModules[options.jupyter]] : [],
    showAtOnce: options.logLevel === "debug",
    env: childEnvironment(env),
    cwd,
    stderr: (source) => {
      relay({ source: source as never, out, label: `[fork server ${host}]` });
    },
  });
  const place = launchPlace({ world, options, env, cwd, hostKey: context.hostKey });
  const { key, schedulerFile, folder, multiHost, usePmi } = place;
  const job = describeJob(env);
  refuseLoopback({ ...options, size: world.size, localSize: world.localSize });
  const known = interfaceAddresses();
  const address =
    options.contact === "hostname"
      ? await addressOfName(host, multiHost, known)
      : listeningAddress({ interface: options.interface, singleHost: !multiHost, addresses: known });
  const addresses = [...new Set([address, ...reachableAddresses({ addresses: known })])];
  const resultRank = plan.clientRank ?? 0;

  let zero: RankZero | undefined;
  let localAddress: string | undefined = address;
  let up: Promise<Channel<FromLeader, ToLeader>>;
  let beforeExit = async (): Promise<void> => undefined;
  const leave = (code: number): void => {
    void beforeExit()
      .catch(() => undefined)
      .then(() => context.exit(code));
  };

  if (world.rank === 0) {
    await checkScript(options, context, host);
    if (plan.clientRank === undefined && world.launcher !== "tsdask") await refuseInput();
    zero = await startRankZero({
      world,
      options,
      plan,
      env,
      cwd,
      out,
      python,
      pythonRoot: context.pythonRoot,
      key,
      folder,
      schedulerFile,
      // A script's environment names its own cluster's file, which a launch inside the script must not take over.
      schedulerFileIsDefault: ["default", "environment"].includes(read.sources.schedulerFile.kind),
      multiHost,
      workersAreNamed: read.sources.name.kind !== "default",
      addresses,
      forkServer: Promise.resolve(forkServer),
      join: options.scheduler
        ? undefined
        : import("../cluster/join.ts").then(async ({ findCluster }) =>
            findCluster(options, schedulerFile, await siteCredentials(options)),
          ),
      prompt: context.prompt,
      started: context.started,
      finished: (code) => leave(resultRank === 0 ? code : 0),
    });
    up = Promise.resolve(zero.up);
    if (multiHost) {
      const { openRankZeroHub } = await import("../cluster/rank-zero-hub.ts");
      const rankZero = zero;
      void openRankZeroHub({
        world,
        zero: rankZero,
        key,
        folder,
        addresses,
        usePmi,
        useFile: options.rendezvous !== "pmi",
        tls: options.security !== "none",
        startTimeout: options.startTimeout,
      }).then(
        (hub) => {
          beforeExit = async () => {
            hub.close();
            await hub.finalize();
          };
        },
        (error: unknown) =>
          rankZero.launch.fail(
            error instanceof Failure
              ? error
              : new Failure("TSD-070", { rank: 0, host, problem: String(error), log: folder }),
          ),
      );
    }
  } else {
    const link = usePmi
      ? (await import("../rendezvous/exchange.ts")).meetByExchange(world, host, options.startTimeout)
      : (await import("../rendezvous/record.ts")).meetByRecord({
          folder,
          launch: shortName(key),
          rank: world.rank,
          host,
          startTimeout: options.startTimeout,
        });
    up = link.then((found) => {
      // The address that this host had on the way to rank 0 is one that rank 0's host can reach. Where both kinds are there and IPv6 was quicker,
      // the host's own IPv4 address stays: the Dask processes of a cluster speak one kind.
      const seen = found.localAddress?.replace(/^::ffff:/, "");
      const sameKind = seen?.includes(":") === localAddress?.includes(":");
      if (options.interface === undefined && options.contact === "address" && sameKind)
        localAddress = seen ?? localAddress;
      return found.channel;
    });
  }

  let sharedFolder = "";
  let numbers = false;
  let secrets: HostSecrets = { security: null, tokenFile: null };
  // The workers of a joined launch have names that never collide with the cluster's own.
  const workerPrefix = options.scheduler ? options.name : `${options.name}-${job.label ?? shortName(key).slice(0, 8)}`;
  let grant = hostGrant({ env, host });
  const bound = isBound(grant);
  const assign = async (hello: Hello, present: readonly Hello[]): Promise<Assign> => {
    // A rank whose request comes before the server listens would have to start a Python of its own.
    await forkServer.listening;
    return assignment({
      context,
      hello,
      own: options,
      plan,
      python,
      secrets,
      localAddress,
      host,
      workerName: numbers ? hello.rank : `${workerPrefix}-${hello.rank}`,
      grant,
      sharers: sharersOf({ plan, present, multiHost, bound }),
    });
  };

  // Other ranks of this host are told to take part in the key-value exchange before this one waits in its fence.
  const waiting: import("node:net").Socket[] = [];
  let leader: Leader | undefined;
  context.listener.onConnection((socket) => {
    if (leader) leader.admit(socket);
    else waiting.push(socket);
  });
  const lateUp = deferred(up);
  const warnUnreachable = async (scheduler: string): Promise<void> => {
    const trouble = await schedulerTrouble(scheduler, host);
    if (trouble !== undefined)
      lateUp.send({ t: "event", rank: world.rank, event: { k: "warning", code: trouble.code, facts: trouble.facts } });
  };
  let shells: ShellAgents | undefined;
  leader = leadHost({
    rank: world.rank,
    host,
    paths,
    localSize: context.alone ? 1 : world.localSize,
    size: world.size,
    living: async () => {
      const { livingNeighbours } = await import("../launcher/neighbours.ts");
      const worlds = livingNeighbours(world, { parent: process.ppid });
      return worlds === undefined ? undefined : new Set(worlds.map(({ rank }) => rank));
    },
    resultRank,
    clientRank: plan.clientRank,
    pmi: usePmi,
    up: lateUp,
    forkServer: Promise.resolve(forkServer),
    localise: (message) =>
      message.t === "client" && sharedFolder !== "" && !existsSync(sharedFolder)
        ? withFolder(message, sharedFolder, paths.folder)
        : message,
    prepare: async ({ credentials, token, folder: shared, granted, namedByRank }) => {
      sharedFolder = shared;
      numbers = namedByRank;
      if (granted !== undefined) grant = hostGrant({ env, host, granted });
      if (credentials !== null) await writeClusterCredentials(paths.folder, credentials);
      if (token !== null) await writePrivateFile(clusterFiles(paths.folder).token, `${token}\n`);
      const { ca, cert, key: secretKey, token: tokenFile } = clusterFiles(paths.folder);
      secrets = {
        security: credentials === null ? null : { ca, cert, key: secretKey },
        tokenFile: token === null || options.security === "none" ? null : tokenFile,
      };
    },
    assign,
    waitForAll: multiHost || bound,
    onScheduler: (scheduler) => {
      if (multiHost && world.rank !== 0) void warnUnreachable(scheduler);
    },
    report: (problem) => out.write(`tsdask-mpi: rank ${world.rank} on ${host}: ${problem}\n`),
    hubGone: () => {
      void import("../ui/failure-text.ts").then(({ failureText }) =>
        out.write(failureText(new Failure("TSD-036", { rank: world.rank, host }))),
      );
    },
    releaseShells: async (absent) => shells?.release(absent),
    finished: leave,
  });
  for (const socket of waiting.splice(0)) leader.admit(socket);
  if (post !== undefined) {
    const { clientRank, schedulerRank } = plan;
    const own = new Set([clientRank, schedulerRank, world.rank === 0 ? lossReporter(plan) : undefined]);
    const needsNode = (rank: number): boolean => usePmi || options.spawn === "exec" || own.has(rank);
    shells = playShells({ world, paths, post, out, forkServer, leader, needsNode });
  }
  up.catch((error: unknown) => {
    const failure = failureOf(error);
    void import("../ui/failure-text.ts").then(async ({ failureText }) => {
      const taken =
        failure.code === "TSD-022" && (await (await import("../rendezvous/unreachable.ts")).leaveNote(folder, failure));
      if (!taken) out.write(failureText(failure));
      await forkServer.end(0);
      if (post !== undefined) removePost(post);
      removeHostFolder(paths);
      context.exit(failure.exitCode);
    });
  });

  forkServer.onReady((ready) => {
    zero?.pythonKnown({ version: ready.python, dask: ready.dask });
    lateUp.send({
      t: "python",
      report: {
        host,
        executable: ready.executable,
        python: ready.python,
        dask: ready.dask,
        distributed: ready.distributed,
        packages: ready.packages,
      },
    });
    for (const module of ready.missing ?? []) {
      const facts = { kind: options.jupyter, module, package: module, python };
      lateUp.send({ t: "event", rank: world.rank, event: { k: "failure", code: "TSD-161", facts, exit: 64 } });
    }
    for (const [name, path] of (ready.hidden ?? []).slice(0, 3))
      lateUp.send({
        t: "event",
        rank: world.rank,
        event: { k: "warning", code: "TSD-155", facts: { name, path } },
      });
  });
  forkServer.onFailed((failure) => {
    const trouble = pythonTrouble({ host, python, env, ...failure });
    const { exit } = messages[trouble.code];
    lateUp.send({
      t: "event",
      rank: world.rank,
      event: trouble.fatal
        ? { k: "failure", code: trouble.code, facts: trouble.facts, exit }
        : { k: "warning", code: trouble.code, facts: trouble.facts },
    });
  });

  const ownUp = leader.join(helloOf(world, context.argv, env, cwd));
  const member = runRankAgent({
    rank: world.rank,
    up: ownUp,
    childEnv: () => childEnvironment(env),
    cwd,
    out,
    joinPmi: () => undefined,
    idle: leader.ownDone,
    // A leader leaves when its host is done, which is after its own part.
    exit: () => undefined,
  });
  return {
    signal: member.signal,
    killNow: () => {
      member.killNow();
      shells?.killNow();
    },
  };
}

/** A channel that may still be on its way: what is sent before it is there waits for it. */
function deferred<Out, In>(coming: Promise<Channel<Out, In>>): Channel<Out, In> {
  let channel: Channel<Out, In> | undefined;
  const early: Out[] = [];
  const then = (use: (channel: Channel<Out, In>) => void): void => {
    coming.then(use, () => undefined);
  };
  then((found) => {
    channel = found;
    for (const message of early.splice(0)) found.send(message);
  });
  return {
    send: (message) => {
      if (channel) channel.send(message);
      else early.push(message);
    },
    onMessage: (reader) => then((found) => found.onMessage(reader)),
    onClose: (reader) => then((found) => found.onClose(reader)),
    close: () => then((found) => found.close()),
  };
}

/** The options of a command line, of ours or of dask-mpi's. */
export async function readFor(
  program: "tsdask-mpi" | "dask-mpi",
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  cwd: string,
): Promise<ReadResult> {
  if (program === "tsdask-mpi") return readOptions({ argv, env, cwd });
  const { readDaskMpiOptions } = await import("../config/dask-mpi.ts");
  return readDaskMpiOptions({ argv, env, cwd });
}

function planFor(options: Options, size: number): Plan {
  return planRoles({
    size,
    scheduler: options.scheduler,
    schedulerRank: options.schedulerRank,
    clientRank: options.clientRank,
    client: options.script !== undefined || options.jupyter !== undefined,
    exclusiveWorkers: options.exclusiveWorkers,
  });
}

/** A launch without a script, that nobody would end: throws TSD-112 when there is input that was meant as one. */
async function refuseInput(): Promise<void> {
  if ((await import("../cluster/input.ts")).inputWaits()) throw new Failure("TSD-112");
}

async function checkScript(options: Options, context: LeadContext, host: string): Promise<void> {
  const { script } = options;
  const { cwd } = context;
  if (script?.kind === "command") {
    const mistaken = await import("../config/mistaken.ts");
    mistaken.refuseMistaken(options, context);
    mistaken.refuseNoProgram(options, context);
  }
  if (script?.kind !== "python" && script?.kind !== "notebook") return;
  const file = script.words[0] ?? "";
  const found = statSync(resolve(cwd, file), { throwIfNoEntry: false });
  if (found === undefined) throw new Failure("TSD-015", { file, cwd, host });
  if (found.isDirectory() && !existsSync(resolve(cwd, file, "__main__.py"))) {
    throw new Failure("TSD-052", { file, problem: "it is a folder without a __main__.py" });
  }
  if (script.kind === "notebook")
    (await import("../cluster/check-notebook.ts")).checkNotebook(readNotebook(script.words, cwd));
}

async function assignment({
  context,
  hello,
  own,
  plan,
  python,
  secrets,
  localAddress,
  host,
  workerName,
  grant,
  sharers,
}: {
  readonly context: LeadContext;
  readonly hello: Hello;
  readonly own: Options;
  readonly plan: Plan;
  readonly python: string;
  readonly secrets: HostSecrets;
  readonly localAddress: string | undefined;
  readonly host: string;
  readonly workerName: string | number;
  readonly grant: Grant;
  readonly sharers: readonly Sharer[];
}): Promise<Assign> {
  const { paths, cwd } = context;
  const same =
    hello.argv.length === context.argv.length && hello.argv.every((word, index) => word === context.argv[index]);
  const options = same
    ? own
    : (await readFor(context.program, hello.argv, { ...context.env, ...hello.env }, hello.cwd)).options;
  const roles = rolesOf(hello.rank, plan);
  const input = {
    options,
    rank: hello.rank,
    secrets,
    address: localAddress,
    scriptFolder: scriptFolderOf(own, cwd),
    // One for each: in a common one every worker that starts asks after the locks of all others (distributed/diskutils.py).
    scratch: `${paths.folder}/scratch-${hello.rank}`,
    hostMemory: grant.memory,
    size: {
      workers: plan.workerRanks.length,
      here: sharers.filter(({ role }) => role === "worker").length,
      cores: grant.cpus,
    },
    host,
  };
  const share: Share = fairShares(grant, sharers, options).get(hello.rank) ?? {
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
    guardSocket: paths.forkSocket,
    python,
    pythonRoot: context.pythonRoot,
    restarts: options.restarts,
    // Dask's own Nanny, and classes like it, watch over their worker's memory themselves.
    terminateAt: options.workerClass === "distributed.Worker" ? Math.floor(share.memoryLimit * terminateFraction) : 0,
    logLevel: options.logLevel,
    grace: options.grace,
    reportsRankZeroLoss: context.world.rank === 0 && hello.rank === lossReporter(plan),
  };
}

/** The one rank on rank 0's host that says so when rank 0 is gone; on other hosts their leaders do. */
function lossReporter({ clientRank, workerRanks }: Plan): number | undefined {
  return clientRank !== undefined && clientRank !== 0 ? clientRank : workerRanks.find((rank) => rank !== 0);
}

/** Dask's default of `distributed.worker.memory.terminate`: the part of its limit at which a worker is ended. */
const terminateFraction = 0.95;

/** The folder that Python puts first on the script's path; undefined for commands and notebooks. */
function scriptFolderOf({ script }: Options, cwd: string): string | undefined {
  if (script?.kind !== "python" && script?.kind !== "stdin") return undefined;
  return dirname(resolve(cwd, script.words[0] ?? ""));
}

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

/** Whether the launcher gave this rank cores of its own: its affinity differs from that of the process that started it. */
function isBound(grant: Grant): boolean {
  const parent = affinityOf(process.ppid);
  return parent !== undefined && parent.join() !== grant.cpuList.join();
}

/** The client's environment with this host's copies of the credentials in place of those in a folder that it cannot see. */
function withFolder(message: ClientStart, from: string, to: string): ClientStart {
  const env = Object.fromEntries(
    Object.entries(message.env).map(([name, value]) => [
      name,
      value?.startsWith(`${from}/`) ? `${to}${value.slice(from.length)}` : value,
    ]),
  );
  return { ...message, env };
}

/** The address that this host's own name stands for: who is told the name must find us there. Throws TSD-064. */
async function addressOfName(host: string, multiHost: boolean, known: readonly InterfaceAddress[]): Promise<string> {
  const found = await lookup(host, { all: true }).catch((error: unknown) => {
    throw new Failure("TSD-064", { host, problem: error instanceof Error ? error.message : String(error) });
  });
  const own = found.find(({ address }) => known.some((one) => one.address === address && !(multiHost && one.internal)));
  if (own === undefined)
    throw new Failure("TSD-064", { host, problem: found.map(({ address }) => address).join(", ") });
  return own.address;
}
