import { accessSync, constants } from "node:fs";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { isatty } from "node:tty";
import { deadlines } from "./deadlines.ts";
import { exitCodes } from "./errors/exit-codes.ts";
import type { Failure } from "./errors/failure.ts";
import { hostPaths, type HostPaths } from "./launcher/host-paths.ts";
import { subcommandOf } from "./config/prescan.ts";
import { hostLaunchKey } from "./launcher/host-key.ts";
import { isOrphan } from "./launcher/orphan.ts";
import { needsNoFolder, workingFolder } from "./launcher/working-folder.ts";
import { identify, type World } from "./launcher/world.ts";
import { heardOf, isSecondSignal, secondInterrupt, signalNumber } from "./launcher/signals.ts";
import { meetLeader, runFollower } from "./rank/follower.ts";
import type { RankAgent } from "./rank/rank-agent.ts";
import { openOut } from "./ui/out.ts";

/** How often (ms) a rank looks whether its launcher still lives. */
const parentEvery = 500;

const started = performance.now();
const { env } = process;
const argv = process.argv.slice(2);
const folder = workingFolder();
const cwd = folder.path;
const uid = process.getuid?.() ?? 0;
const out = openOut(2, { tty: isatty(2) });
const program = env["TSDASK_COMMAND"] === "dask-mpi" ? "dask-mpi" : "tsdask-mpi";
delete env["TSDASK_COMMAND"];
let leaving = false;

/** Leaves with this code once everything that was said is out. */
function exit(code: number): void {
  if (leaving) return;
  leaving = true;
  void out.flush(1000).then(() => process.exit(code));
}

async function fail(error: unknown): Promise<void> {
  try {
    const { failureOf } = await import("./ui/failure-of.ts");
    const { failureText } = await import("./ui/failure-text.ts");
    const failure = failureOf(error);
    out.write(failureText(failure));
    exit(failure.exitCode);
  } catch {
    // The program was replaced under this process, or no file can be opened: to fail at that, too, would never end.
    const { message, code, facts, exitCode = exitCodes.defect } = Object(error) as Partial<Failure>;
    const what = message ?? code ?? String(error);
    // What every rank loads throws a code and its facts, without a text.
    const said = what === code ? `${code} ${JSON.stringify(facts)}` : what.split("\n", 1)[0];
    out.write(`tsdask-mpi: ${said}\n`);
    exit(exitCode);
  }
}

let rankAgent: RankAgent | undefined;
let speaks = false;
/** The built-in launcher's: the script talks with somebody on this terminal, and Ctrl-C is its own while it runs. */
const prompt = env["TSDASK_PROMPT"] === "1";
delete env["TSDASK_PROMPT"];
/** The built-in launcher has said so, which it does to rank 0. */
let allStarted = false;
let firstSignal: number | undefined;
/** The first signal ends the launch in order, a second one at once. */
function takeSignal(name: string): void {
  const now = performance.now();
  if (prompt && name === "SIGINT" && rankAgent) {
    rankAgent.signal(name);
    return;
  }
  if (firstSignal === undefined) {
    firstSignal = now;
    if (rankAgent) rankAgent.signal(name as NodeJS.Signals);
    else exit(128 + signalNumber(name));
  } else if (isSecondSignal(name, now - firstSignal)) stopAtOnce(name);
}

function stopAtOnce(name: string): void {
  if (leaving) return;
  rankAgent?.killNow();
  // One rank says it for all: the others may be gone before they could.
  if (speaks) out.write(`tsdask-mpi: stopped by you, at once (${name} came twice).\n`);
  exit(128 + signalNumber(name));
}

function onSignals(): void {
  for (const name of heardOf(["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"]))
    process.on(name, () => takeSignal(name));
}

/**
 * Notices the launcher's death, of which nobody else tells: Open MPI's mpirun leaves its ranks running. The built-in
 * launcher keeps a pipe open to each rank; elsewhere the process that started this one is the launcher's, or its
 * daemon.
 */
function watchLauncher({ launcher }: World): void {
  const fd = Number(env["TSDASK_PARENT_FD"] ?? "");
  delete env["TSDASK_PARENT_FD"];
  if (Number.isInteger(fd) && fd >= 3) {
    void import("node:net").then(({ Socket }) => {
      const pipe = new Socket({ fd, readable: true, writable: false });
      pipe.on("error", () => pipe.destroy());
      pipe.on("close", () => {
        rankAgent?.killNow();
        exit(129);
      });
      pipe.on("data", (words: Buffer) => {
        allStarted ||= words.includes("\n");
        if (words.includes(secondInterrupt)) stopAtOnce("SIGINT");
      });
      pipe.unref();
    });
    return;
  }
  // Ranks that a shell script started may well outlive it.
  if (launcher === "tsdask" || launcher === "generic") return;
  const parent = process.ppid;
  let orphan: boolean | undefined;
  const look = setInterval(() => {
    orphan ??= isOrphan(parent);
    if (process.ppid === parent && !orphan) return;
    clearInterval(look);
    takeSignal("SIGHUP");
    setTimeout(takeSignal, deadlines.withoutLauncher, "SIGHUP").unref();
  }, parentEvery);
  look.unref();
}

/** How long (ms) this launch's ranks wait for each other; options that are wrong are their leader's to tell. */
async function startPatience(): Promise<number> {
  const { readFor } = await import("./config/read-for.ts");
  return readFor(program, argv, env, cwd).then(
    ({ options }) => options.startTimeout * 1000,
    () => 0,
  );
}

/**
 * Becomes the leader of this host's ranks and leads them, or tells why that cannot be; false where another rank is it
 * already.
 */
async function takeLead(
  world: World,
  { paths, hostKey, alone }: { readonly paths: HostPaths; readonly hostKey: string; readonly alone: boolean },
): Promise<boolean> {
  const { becomeLeader } = await import("./host/election.ts");
  const listener = await becomeLeader(paths).catch(async (error: unknown) => {
    const { tellElsewhere } = await import("./host/agent-or-tell.ts");
    exit(await tellElsewhere({ world, program, argv, env, cwd, hostKey, out }, error));
    return "failed" as const;
  });
  if (listener === "failed") return true;
  if (listener === undefined) return false;
  const { leadOrTell } = await import("./host/agent-or-tell.ts");
  rankAgent = await leadOrTell({
    world,
    prompt,
    program,
    argv,
    env,
    cwd,
    uid,
    out,
    paths,
    hostKey,
    listener,
    pythonRoot: `${import.meta.dirname}/../python`,
    started,
    allStarted: () => allStarted,
    exit,
    ...(alone ? { alone } : {}),
  });
  return true;
}

/** Whether a folder is there, and one that this user may go through. */
function mayEnter(folder: string): boolean {
  try {
    accessSync(`${folder}/.`, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function run(world: World): Promise<void> {
  onSignals();
  speaks = world.rank === 0;
  watchLauncher(world);
  const singleHost = world.localSize === world.size;
  // The temporary folder may be one that hosts share: the host's name keeps them apart.
  // Rank 0 always leads; where it is not the first rank of its host (Open MPI 5 numbers freely), it leads itself alone.
  const alone = world.rank === 0 && world.localRank !== 0 && !singleHost;
  const hostKey = `${hostname()}:${hostLaunchKey(world, { parent: process.ppid })}${alone ? ":rank 0" : ""}`;
  const paths = hostPaths({ key: hostKey, tmpdir: env["TMPDIR"], uid });
  const leads = singleHost
    ? world.rank === 0
    : world.rank === 0 || world.localRank === 0 || world.localRank === undefined;
  if (leads && (await takeLead(world, { paths, hostKey, alone }))) return;
  // Without the folder in which all would meet there is no leader: that rank says so, and the launcher's exchange needs
  // this one all the same.
  if (!mayEnter(dirname(paths.base))) {
    if (!singleHost) await (await import("./host/tell-rank-zero.ts")).takePart({ world });
    exit(exitCodes.notStarted);
    return;
  }
  const neighbours = async (): Promise<readonly World[] | undefined> => {
    const { livingNeighbours } = await import("./launcher/neighbours.ts");
    return livingNeighbours(world, { parent: process.ppid });
  };
  const leaderLives = async (): Promise<boolean> => {
    const living = await neighbours();
    return living === undefined || living.some(({ rank, localRank }) => rank === 0 || (!singleHost && localRank === 0));
  };
  const parent = process.ppid;
  // The ranks that are shells still look for the leader when nobody tells them that there is none.
  const sendShellsAway = async (code: number): Promise<void> => {
    const { postOf, sendShellsAway } = await import("./host/shell-ranks.ts");
    const post = postOf(world, paths, parent);
    if (post !== undefined) await sendShellsAway(paths, post, code);
  };
  const socket = await meetLeader(paths, uid, leaderLives, startPatience);
  if (socket === undefined || "problem" in socket) {
    // One rank of a host says it for all of them; not the one that is missing, though its process may be there.
    const others = ((await neighbours()) ?? []).filter(({ rank }) => rank > 0);
    const first = Math.min(...(others.length > 0 ? others : [world]).map(({ rank }) => rank));
    const seconds = Math.round((performance.now() - started) / 1000);
    if (socket === undefined) await sendShellsAway(exitCodes.notStarted);
    if (world.rank !== first) {
      // Some launchers end all ranks as soon as one has left: the one that says it may have only begun.
      for (let wait = 100, left = deadlines.sayForHost; left > 0; left -= wait, wait *= 2) {
        if ((await neighbours())?.some(({ rank }) => rank === first) !== true) break;
        await pause(wait);
      }
      exit(exitCodes.notStarted);
    } else if (socket === undefined)
      await fail({ code: "TSD-020", facts: { rank: world.rank, host: hostname(), seconds, folder: paths.folder } });
    else await fail({ code: "TSD-071", facts: { path: socket.path, problem: socket.problem } });
    return;
  }
  const leaderLost = (): Promise<void> => sendShellsAway(exitCodes.schedulerLost);
  rankAgent = runFollower({ world, socket, argv, env, cwd, out, leaderLost, exit });
}

/** Throws TSD-208. */
async function refuseGoneFolder(): Promise<never> {
  const { goneFolder } = await import("./security/folder-trouble.ts");
  throw goneFolder(cwd);
}

async function main(): Promise<void> {
  const command = subcommandOf(argv, program);
  if (command !== undefined) {
    if (folder.gone && !needsNoFolder(command.kind)) return refuseGoneFolder();
    // Node's own functions for paths ask for the folder again, and throw.
    if (folder.gone) process.chdir("/");
    const { runCommand } = await import("./commands/run.ts");
    // A reader that has seen enough (`| head`) ends a command, as it ends other programs.
    process.stdout.on("error", (error: NodeJS.ErrnoException) =>
      error.code === "EPIPE" ? process.exit(128 + signalNumber("SIGPIPE")) : void fail(error),
    );
    process.exitCode = await runCommand(command, { env, cwd, stdout: process.stdout, stderr: process.stderr }, program);
    return;
  }
  const world = identify(env);
  if (folder.gone) {
    // One rank of each host says it.
    if ((world?.localRank ?? 0) === 0) return refuseGoneFolder();
    exit(exitCodes.usage);
    return;
  }
  // One task of an interactive job is a world of one rank; --np asks for more of them right here.
  const asksForMore = world?.size === 1 && world.launcher !== "tsdask" && argv.some((word) => word.startsWith("--np"));
  if (world !== undefined && !asksForMore) {
    await run(world);
    return;
  }
  const { launchLocally } = await import("./commands/local.ts");
  exit(
    await launchLocally({
      program,
      argv,
      env,
      cwd,
      out,
      self: [process.execPath, ...process.execArgv, process.argv[1] ?? ""],
    }),
  );
}

process.on("uncaughtException", (error) => {
  rankAgent?.killNow();
  void fail(error);
});
void main().catch(fail);
