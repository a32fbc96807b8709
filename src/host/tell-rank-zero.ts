import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import type { Failure } from "../errors/failure.ts";
import { livingNeighbours } from "../launcher/neighbours.ts";
import type { LeadContext } from "./lead-context.ts";
import type { LaunchPlace } from "./launch-place.ts";
import { shortName } from "../launcher/host-paths.ts";
import { deadlines } from "../deadlines.ts";

/** How often (ms) rank 0 that has failed looks whether the other hosts have read so. */
const lookForWord = 100;

/**
 * Tells rank 0 why another host than its own cannot take part, so that it is said once and at once where people look,
 * and the launch ends. Resolves to the launch's exit code once rank 0 has left; to undefined when rank 0 could not be
 * told in time. Never rejects.
 */
export async function tellRankZero(
  context: Pick<LeadContext, "world">,
  place: LaunchPlace,
  failure: Failure,
): Promise<number | undefined> {
  const late = pause(deadlines.tellRankZero, undefined, { ref: false });
  return Promise.race([late, tell(context, place, failure).catch(() => undefined)]);
}

/**
 * A rank that has no leader takes part in the launcher's exchange, so that nobody waits in it; without one it stays
 * until its leader has been heard, because a launcher may end all as soon as one has left. Never rejects.
 */
export async function takePart({ world }: Pick<LeadContext, "world">): Promise<void> {
  if (world.pmi === undefined) {
    await pause(deadlines.tellRankZero);
    return;
  }
  const { passThrough } = await import("../rendezvous/exchange.ts");
  await Promise.race([
    pause(deadlines.tellRankZero, undefined, { ref: false }),
    passThrough(world).catch(() => undefined),
  ]);
}

/**
 * Rank 0's side where it has failed itself: says so in the launcher's exchange, so that nobody waits in it. Never
 * rejects.
 */
export async function passOn({ world }: Pick<LeadContext, "world">, exitCode: number): Promise<void> {
  const { announceFailure } = await import("../rendezvous/exchange.ts");
  await Promise.race([
    pause(deadlines.tellRankZero, undefined, { ref: false }),
    announceFailure(world, exitCode).catch(() => undefined),
  ]);
}

/**
 * The same without such an exchange: leaves word in the cluster folder, in place of the hub's record, until the other
 * hosts have read it. `here`: how many ranks hear of it otherwise. Never rejects.
 */
export async function leaveWord(
  { size }: LeadContext["world"],
  { folder, key }: LaunchPlace,
  { exitCode, here }: { readonly exitCode: number; readonly here: () => number },
): Promise<void> {
  const until = performance.now() + deadlines.tellRankZero;
  const { removeClusterFolderSync, takeClusterFolder, takenFolder } = await import("../cluster/folder.ts");
  // A launch that does not begin clears away nothing that may be another's.
  if (takenFolder(folder) === "" && existsSync(folder)) return;
  const remove = (): void => removeClusterFolderSync(folder);
  // Also when this rank is told to leave in between: what stays could end the launch of a job that is queued again.
  process.once("exit", remove);
  try {
    const { publishRecord, ranksThatHeard } = await import("../rendezvous/record.ts");
    await takeClusterFolder(folder, hostname(), async () => undefined);
    await publishRecord(folder, { v: 1, launch: shortName(key), failed: exitCode, at: Date.now() });
    while (performance.now() < until && here() + (await ranksThatHeard(folder)) < size) await pause(lookForWord);
  } catch {
    // A folder that cannot be had may be the failure itself.
  }
  remove();
  process.off("exit", remove);
}

async function tell(
  { world }: Pick<LeadContext, "world">,
  place: LaunchPlace,
  failure: Failure,
): Promise<number | undefined> {
  const host = hostname();
  const { rank } = world;
  const startTimeout = deadlines.tellRankZero / 1000;
  const link = place.usePmi
    ? await (await import("../rendezvous/exchange.ts")).meetByExchange(world, host, startTimeout)
    : await (await import("../rendezvous/record.ts")).meetByRecord({
        folder: place.folder,
        launch: shortName(place.key),
        rank,
        host,
        localSize: world.localSize,
        startTimeout,
      });
  const { channel } = link;
  const ranks = (livingNeighbours(world, { parent: process.ppid }) ?? [world]).map((one) => one.rank);
  const { promise, resolve } = Promise.withResolvers<number | undefined>();
  let code: number | undefined;
  channel.onMessage((message) => {
    if (message.t !== "end") return;
    ({ code } = message);
    channel.send({ t: "host-done" });
  });
  channel.onClose(() => resolve(code));
  channel.send({ t: "ranks", ranks });
  channel.send({
    t: "event",
    rank,
    event: { k: "failure", code: failure.code, facts: failure.facts, exit: failure.exitCode, ranks },
  });
  return promise;
}
