import { visibleLine } from "../errors/visible.ts";
import { Failure } from "../errors/failure.ts";
import type { ClusterEntry } from "../registry/cluster-entry.ts";
import { ambiguous, clustersNamed, listClusters, type Listed } from "../registry/find.ts";
import { clearLeftovers, jobLeft } from "../registry/leftovers.ts";
import { stopCluster } from "../registry/stop.ts";
import { isPath, targetOf } from "../registry/target.ts";
import { durationText } from "../ui/format.ts";
import { count } from "../ui/ranges.ts";
import type { CommandContext } from "./context.ts";
import { readSmallCommand, type SmallCommand } from "./small-command.ts";

export const COMMAND: SmallCommand = {
  name: "tsdask-mpi stop",
  usage: "[--now] <name | scheduler.json> | --all",
  about: `Ends a cluster in order, from any host: its script is told (SIGTERM) and gets its --grace, then workers, scheduler and the
jobs of scale and adapt go. A cluster that does not answer is ended by its job. Returns when it is gone.`,
  options: [
    { flags: "--all", help: "all clusters of yours that live" },
    { flags: "--now", help: "at once, without grace" },
  ],
};

/**
 * `tsdask-mpi stop`: ends one cluster, or all; resolves to the exit code, 0 when they are gone. Throws TSD-006 (wrong
 * words), TSD-147 and TSD-148 (no such cluster, or several) and TSD-150 (it is still there).
 */
export async function stopCommand(argv: readonly string[], context: CommandContext): Promise<number> {
  const { help, words, options } = readSmallCommand(COMMAND, argv);
  if (help !== undefined) {
    context.stdout.write(help);
    return 0;
  }
  const now = options["now"] === true;
  const clusters = await chosen(words[0], options["all"] === true, context);
  const results = await Promise.allSettled(clusters.map((one) => stopOne(one, now, context)));
  const failed = results.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
  if (failed.length === 0) return 0;
  if (failed.length > 1)
    context.stderr.write(
      `tsdask-mpi: ${count(failed.length, "cluster")} of ${clusters.length} could not be stopped; the first:\n`,
    );
  throw failed[0];
}

async function chosen(word: string | undefined, all: boolean, context: CommandContext): Promise<readonly Listed[]> {
  if (all === (word !== undefined))
    throw new Failure("TSD-006", {
      program: COMMAND.name,
      problem: all ? "--all and a name exclude each other" : "which cluster to stop is not said",
      suggestion: "`tsdask-mpi list` shows the names; --all means all of them. ",
    });
  if (word === undefined) {
    const clusters = await listClusters(context.env);
    for (const { entry } of clusters.filter(({ state }) => state === "ended"))
      await clearEnded(entry, { removed: "had been killed" }, context);
    const live = clusters.filter(({ state }) => state !== "ended");
    if (live.length === 0) context.stderr.write("tsdask-mpi: no cluster of yours runs.\n");
    return live;
  }
  if (!isPath(word, context.cwd)) {
    const found = await clustersNamed(word, context.env);
    if (found.length > 1) throw ambiguous(word, found);
  }
  const { listed, schedulerFile } = await targetOf(word, context);
  if (listed !== undefined) return [listed];
  throw new Failure("TSD-147", {
    name: schedulerFile,
    cause:
      "The file is not that of a cluster in your list: another program's, or started with another HOME or XDG_STATE_HOME.",
    suggestion: "",
  });
}

/**
 * Clears away what an ended cluster left, and says how it had ended (`none`: where nothing was left, too), and which
 * job it has still, in which more may run than it.
 */
async function clearEnded(
  entry: ClusterEntry,
  how: { readonly removed: string; readonly none?: string },
  { env, stderr }: CommandContext,
): Promise<void> {
  const job = await jobLeft(entry, env);
  const text = (await clearLeftovers(entry, { env, job })) ? `${how.removed}; what it left is removed` : how.none;
  if (text === undefined) return;
  const still = job === undefined ? "" : ` Its job, ${job}, is still there: cancel it if nothing else runs in it.`;
  stderr.write(`tsdask-mpi: ${visibleLine(`${entry.name} ${text}.${still}`)}\n`);
}

async function stopOne(one: Listed, now: boolean, context: CommandContext): Promise<void> {
  const { env, stderr } = context;
  const say = (text: string): void => void stderr.write(`tsdask-mpi: ${visibleLine(`${one.entry.name} ${text}`)}\n`);
  if (one.state === "ended") {
    const how = `had ended already: ${one.why ?? "no more is known"}`;
    await clearEnded(one.entry, { removed: how, none: how }, context);
    return;
  }
  const from = performance.now();
  const how = await stopCluster(one, { now, env, say });
  say(`has ended after ${durationText((performance.now() - from) / 1000)}${how === "" ? "" : ` (${how})`}.`);
}
