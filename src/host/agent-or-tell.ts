import { lineChannel } from "../protocol/channel.ts";
import type { FromRank, ToRank } from "../protocol/messages.ts";
import { hostname } from "node:os";
import { deadlines } from "../deadlines.ts";
import { removeHostFolder } from "./election.ts";
import { dismissShells, postOf, removePost, type ShellRanks } from "./shell-ranks.ts";
import type { Failure } from "../errors/failure.ts";
import { failureText } from "../ui/failure-text.ts";
import type { RankAgent } from "../rank/rank-agent.ts";
import { failureOf } from "../ui/failure-of.ts";
import { readFor } from "../config/read-for.ts";
import { lead } from "./agent.ts";
import type { LeadContext } from "./lead-context.ts";
import { launchPlace, type LaunchPlace, type MeetingOptions } from "./launch-place.ts";
import { leaveWord, passOn, tellRankZero } from "./tell-rank-zero.ts";

/**
 * Leads this host. Where that fails before it has begun (a wrong option, no Python, an unwritable folder), says why
 * once, on rank 0 wherever it happened, tells this host's other ranks so that none waits, and leaves with the failure's
 * code.
 */
export async function leadOrTell(context: LeadContext): Promise<RankAgent | undefined> {
  try {
    return await lead(context);
  } catch (error) {
    const failure = failureOf(error);
    const { world, out } = context;
    if (world.rank === 0) {
      out.write(failureText(failure));
      await summariseFailure(context, failure);
    }
    await tellRanks(context, failure);
    return undefined;
  }
}

/** What it takes to tell the other hosts of a failure. */
type Telling = Pick<LeadContext, "world" | "program" | "argv" | "env" | "cwd" | "hostKey" | "out">;

/**
 * Tells why this host cannot even be led (no folder to meet in), on rank 0 where it can; resolves to the exit code.
 * Never rejects.
 */
export async function tellElsewhere(context: Telling, error: unknown): Promise<number> {
  const failure = failureOf(error);
  if (context.world.rank === 0) context.out.write(failureText(failure));
  return spread(context, await meetingPlace(context), { failure, here: () => ranksOfHost(context, 1) });
}

/**
 * Tells the other hosts, then this one's other ranks, Nodes and shells, with which code to leave, and leaves after
 * them.
 */
async function tellRanks(context: LeadContext, failure: Failure): Promise<void> {
  const { world, alone, paths, listener, exit } = context;
  let left = alone ? 0 : (world.localSize ?? 1) - 1;
  let met = 1;
  const post = left > 0 ? postOf(world, paths, process.ppid) : undefined;
  // Also when it is told to end before the others have left: Open MPI does that as soon as one of them has.
  process.once("exit", () => {
    if (post !== undefined) removePost(post);
    removeHostFolder(paths);
  });
  const place = await meetingPlace(context);
  const told = Promise.withResolvers<number>();
  let shells: Promise<ShellRanks | undefined> = Promise.resolve(undefined);
  const leave = (): void => {
    listener.close();
    void told.promise.then(async (code) => {
      await shells.then(async (opened) => opened?.release(code)).catch(() => undefined);
      exit(code);
    });
  };
  const gone = (): void => {
    left -= 1;
    if (left <= 0) leave();
  };
  listener.onConnection((socket) => {
    met += 1;
    const channel = lineChannel<ToRank, FromRank>(socket, (value) => value as FromRank);
    if (place.usePmi) channel.send({ t: "pmi" });
    void told.promise.then((code) => channel.send({ t: "end", code, grace: 0 }));
    channel.onClose(gone);
  });
  // A shell that finds no pipes becomes a Node in the end, which finds no leader.
  if (post !== undefined)
    shells = dismissShells({
      paths,
      post,
      asNodes: place.usePmi,
      code: told.promise,
      awaited: () => left > 0,
      onGone: gone,
    }).catch(() => undefined);
  told.resolve(await spread(context, place, { failure, here: () => ranksOfHost(context, met) }));
  await shells;
  if (left <= 0) leave();
  else setTimeout(leave, deadlines.badUsage);
}

/**
 * Lets the other hosts know; resolves to the exit code of this host's ranks. What rank 0 will meet itself is its to
 * say: the others only take their part in the launcher's exchange.
 */
async function spread(
  context: Telling,
  place: LaunchPlace,
  { failure, here }: { readonly failure: Failure; readonly here: () => number },
): Promise<number> {
  const { world, out } = context;
  if (!place.multiHost) {
    if (world.rank !== 0 && failure.exitCode !== 64) out.write(failureText(failure));
    return failure.exitCode;
  }
  if (!place.usePmi && isEverywhere(failure)) return failure.exitCode;
  if (world.rank === 0) {
    const { exitCode } = failure;
    await (place.usePmi ? passOn(context, exitCode) : leaveWord(world, place, { exitCode, here }));
    return exitCode;
  }
  const code = await tellRankZero(context, place, failure);
  if (code === undefined && !isEverywhere(failure)) {
    const rank = { rank: world.rank, host: hostname() };
    out.write(failureText({ code: failure.code, facts: failure.facts, ...rank }));
  }
  return code ?? failure.exitCode;
}

/**
 * How many ranks this host tells itself, of which `met` have come; none where rank 0 leads itself alone, beside the
 * leader of its host, who reads it as those of the others do.
 */
function ranksOfHost({ world: { localRank = 0, localSize } }: Telling, met: number): number {
  return localRank > 0 ? 0 : (localSize ?? met);
}

/** Where this launch meets, as far as its options can be read on this host. */
async function meetingPlace({ world, program, argv, env, cwd, hostKey }: Telling): Promise<LaunchPlace> {
  const options: MeetingOptions = await readFor(program, argv, env, cwd).then(
    (read) => read.options,
    () => ({ launchId: undefined, schedulerFile: undefined, rendezvous: "auto" }),
  );
  return launchPlace({ world, options, env, cwd, hostKey });
}

/** Whether rank 0 meets the same failure, which then is in the command line that all ranks have. */
function isEverywhere({ code, facts }: Failure): boolean {
  return inEveryCommandLine.has(code) || facts["source"] === "the command line";
}

const inEveryCommandLine: ReadonlySet<string> = new Set(["TSD-002", "TSD-006", "TSD-008"]);

/**
 * Programs read in the file of `--json-summary` that the launch failed before it began, unless that file, or any other
 * option, is what is wrong.
 */
async function summariseFailure(
  { program, argv, env, cwd, started, out }: LeadContext,
  failure: Failure,
): Promise<void> {
  if (failure.code === "TSD-115") return;
  const path = await readFor(program, argv, env, cwd).then(
    ({ options }) => options.jsonSummary,
    () => undefined,
  );
  if (path === undefined) return;
  const { openSummary } = await import("../cluster/summary.ts");
  const seconds = (performance.now() - started) / 1000;
  await openSummary(path, "")
    .then((summary) =>
      summary.end({
        ending: { kind: "failed", code: failure.code },
        code: failure.exitCode,
        seconds,
        usage: { workers: 0, restarts: 0 },
      }),
    )
    .catch((error: unknown) => out.write(failureText(failureOf(error))));
}
