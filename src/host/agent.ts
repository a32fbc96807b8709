import { hostname } from "node:os";
import { describeJob } from "../batch/job.ts";
import { jupyterModules } from "../cluster/jupyter-modules.ts";
import { planFor, type Plan } from "../cluster/plan.ts";
import type { Options } from "../config/options.ts";
import { readFor } from "../config/read-for.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { visible } from "../errors/visible.ts";
import { shortName } from "../launcher/host-paths.ts";
import { childEnvironment } from "../launcher/strip.ts";
import { deferredChannel, type Channel } from "../protocol/channel.ts";
import type { FromLeader, ToLeader } from "../protocol/messages.ts";
import { helloOf } from "../rank/follower.ts";
import { runRankAgent, type RankAgent } from "../rank/rank-agent.ts";
import { failureOf } from "../ui/failure-of.ts";
import { relay } from "../ui/relay.ts";
import { hostAssignments, lossReporter } from "./assignment.ts";
import { scriptFolderOf } from "./module-folders.ts";
import { sayWarnings } from "./checks.ts";
import { removeHostFolder } from "./election.ts";
import { startForkServer, type ForkServer } from "./fork-server.ts";
import { launchPlace } from "./launch-place.ts";
import type { LeadContext } from "./lead-context.ts";
import { leadHost, type Leader } from "./leader.ts";
import { refuseClosedFolder } from "../security/folder-trouble.ts";
import { meetHub, ToldToEnd } from "./meeting.ts";
import { reportPython } from "./python-report.ts";
import { findPython } from "./python.ts";
import { schedulerTrouble } from "./connection-check.ts";
import { playShells, type ShellAgents } from "./shell-agents.ts";
import { pipesOf, postOf, removePost } from "./shell-ranks.ts";
import { pauseFor } from "../timers.ts";

/**
 * Is the first rank of a host: reads the options, starts the fork server, meets the other hosts, leads this one, and
 * does its own rank's part. Throws the Failure that keeps the launch from starting.
 */
export async function lead(context: LeadContext): Promise<RankAgent> {
  const { world, env, cwd, out, paths, alone } = context;
  const host = hostname();
  const read = await readFor(context.program, context.argv, env, cwd);
  const { options } = read;
  sayWarnings(context, read);
  const plan = planFor(options, world.size);
  refuseClosedFolder(cwd);
  const { path: python } = findPython({ requested: options.python, env, cwd, host, pythonRoot: context.pythonRoot });
  // Rank 0 that leads itself alone has no ranks, and the shells of its host another agent.
  const post = alone ? undefined : postOf(world, paths, process.ppid);
  const forkServer = serverFor(context, { options, python, host, post });
  if (post !== undefined) forkServer.own({ links: [post] });
  const place = launchPlace({ world, options, env, cwd, hostKey: context.hostKey });
  const { multiHost, usePmi, key } = place;
  const meeting = await meetHub({ context, host, read, plan, python, place, forkServer });
  const { zero, leave, localAddress } = meeting;
  const { up, workersIn } = noticing(deferredChannel(meeting.up));
  const workerPrefix = workerPrefixOf(options, env, key);
  const work = hostAssignments({ context, host, options, plan, python, multiHost, workerPrefix, localAddress });
  const say = async (failure: Failure): Promise<void> => {
    out.write((await import("../ui/failure-text.ts")).failureText(failure));
  };
  let shells: ShellAgents | undefined;
  const leader = leadHost({
    rank: world.rank,
    host,
    paths,
    localSize: alone ? 1 : world.localSize,
    size: world.size,
    living: async () => (await import("../launcher/neighbours.ts")).livingRanks(world, { parent: process.ppid }),
    allStarted: context.allStarted,
    resultRank: plan.clientRank ?? 0,
    clientRank: plan.clientRank,
    pmi: usePmi,
    up,
    forkServer: Promise.resolve(forkServer),
    localise: work.localise,
    prepare: work.prepare,
    assign: async (hello, present) => {
      // A rank whose request comes before the server listens would have to start a Python of its own.
      await forkServer.listening;
      return work.assign(hello, present);
    },
    waitForAll: work.waitForAll,
    onScheduler: async (scheduler) => {
      const trouble = multiHost && world.rank !== 0 ? await schedulerTrouble(scheduler, host, workersIn) : undefined;
      if (trouble === undefined) return;
      up.send({ t: "event", rank: world.rank, event: { k: "warning", code: trouble.code, facts: trouble.facts } });
    },
    report: (problem) => out.write(`tsdask-mpi: rank ${world.rank} on ${host}: ${visible(problem)}\n`),
    filesStay: say,
    hubGone: () => void say(new Failure("TSD-036", { rank: world.rank, host })),
    announceEnd: () => shells?.announceEnd(),
    releaseShells: async (absent) => shells?.release(absent),
    finished: leave,
  });
  context.listener.onConnection(leader.admit);
  if (post !== undefined)
    shells = playShells({
      world,
      paths,
      post,
      out,
      forkServer,
      leader,
      prompt: context.prompt,
      needsNode: needsNode(context, options, plan, usePmi),
    });
  meeting.up.catch((error: unknown) =>
    leaveUnmet(context, error, { clusterFolder: place.folder, say, forkServer, post, shells }),
  );
  reportPython({ forkServer, zero, up, rank: world.rank, options, host, python, env });
  const rankAgent = ownRank(context, leader);
  return {
    signal: (name) => {
      rankAgent.signal(name);
      meeting.interrupt(name);
    },
    killNow: () => {
      rankAgent.killNow();
      shells?.killNow();
    },
  };
}

/**
 * What the names of this launch's workers begin with; those of a launch that joins a cluster tell of their job, or of
 * the launch.
 */
function workerPrefixOf({ name, scheduler }: Options, env: NodeJS.ProcessEnv, key: string): string {
  return scheduler ? name : `${name}-${describeJob(env).label ?? shortName(key).slice(0, 8)}`;
}

/**
 * Ends what this host has begun, because it could not meet the others, and leaves with that failure's code, or its
 * signal's.
 */
async function leaveUnmet(
  { paths, exit }: LeadContext,
  error: unknown,
  {
    clusterFolder,
    say,
    forkServer,
    post,
    shells,
  }: {
    readonly clusterFolder: string;
    readonly say: (failure: Failure) => Promise<void>;
    readonly forkServer: ForkServer;
    readonly post: string | undefined;
    readonly shells: ShellAgents | undefined;
  },
): Promise<void> {
  const failure = error instanceof ToldToEnd ? error : failureOf(error);
  const { leaveNote } = await import("../rendezvous/unreachable.ts");
  if (failure instanceof Failure && !(failure.code === "TSD-022" && (await leaveNote(clusterFolder, failure))))
    await say(failure);
  // With 0: where the launcher takes the highest of all codes, this failure's is the launch's.
  await Promise.race([shells?.release(() => 0), pauseFor(deadlines.forkServerEnd)]);
  await forkServer.end(0);
  if (post !== undefined) removePost(post);
  removeHostFolder(paths);
  exit(failure.exitCode);
}

/** The same channel, which notices whether a worker of this host has been in. */
function noticing(channel: Channel<FromLeader, ToLeader>): {
  readonly up: Channel<FromLeader, ToLeader>;
  readonly workersIn: () => boolean;
} {
  let seen = false;
  const send = (message: FromLeader): void => {
    seen ||= message.t === "event" && message.event.k === "worker-ready";
    channel.send(message);
  };
  return { up: { ...channel, send }, workersIn: () => seen };
}

function serverFor(
  { world, env, cwd, out, paths, pythonRoot }: LeadContext,
  {
    options,
    python,
    host,
    post,
  }: { readonly options: Options; readonly python: string; readonly host: string; readonly post: string | undefined },
): ForkServer {
  return startForkServer({
    python,
    pythonRoot,
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
}

/** Whether a rank has a part that needs a process of its own; see `playShells`. */
function needsNode({ world }: LeadContext, { spawn }: Options, plan: Plan, usePmi: boolean): (rank: number) => boolean {
  const { clientRank, schedulerRank } = plan;
  const own = new Set([clientRank, schedulerRank, world.rank === 0 ? lossReporter(plan) : undefined]);
  return (rank) => usePmi || spawn === "exec" || own.has(rank);
}

/** The agent's own rank. It leaves when its host is done, which is after its own part. */
function ownRank({ world, argv, env, cwd, out }: LeadContext, leader: Leader): RankAgent {
  return runRankAgent({
    rank: world.rank,
    up: leader.join(helloOf(world, argv, env, cwd)),
    childEnv: () => childEnvironment(env),
    cwd,
    out,
    joinPmi: () => undefined,
    idle: leader.ownDone,
    exit: () => undefined,
  });
}
