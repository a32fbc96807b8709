import { lineChannel } from "../protocol/channel.ts";
import type { FromRank, ToRank } from "../protocol/messages.ts";
import { deadlines } from "../deadlines.ts";
import { removeHostFolder } from "./election.ts";
import type { Failure } from "../errors/failure.ts";
import { failureText } from "../ui/failure-text.ts";
import type { Member } from "../rank/rank-agent.ts";
import { failureOf } from "../ui/failure-of.ts";
import { lead, readFor, type LeadContext } from "./agent.ts";

/**
 * Leads this host. Where that fails before it has begun (a wrong option, an unwritable folder), says why once, on rank 0,
 * tells this host's other ranks so that none waits, and leaves with the failure's code.
 */
export async function leadOrTell(context: LeadContext): Promise<Member | undefined> {
  try {
    return await lead(context);
  } catch (error) {
    const failure = failureOf(error);
    if (context.world.rank === 0 || failure.exitCode !== 64) context.out.write(failureText(failure));
    if (context.world.rank === 0) await summariseFailure(context, failure);
    let left = (context.world.localSize ?? 1) - 1;
    // Also when it is told to end before the others have left: Open MPI does that as soon as one of them has.
    process.once("exit", () => removeHostFolder(context.paths));
    const leave = (): void => {
      context.listener.close();
      context.exit(failure.exitCode);
    };
    context.listener.onConnection((socket) => {
      const channel = lineChannel<ToRank, FromRank>(socket, (value) => value as FromRank);
      channel.send({ t: "end", code: failure.exitCode, grace: 0 });
      channel.onClose(() => {
        left -= 1;
        if (left <= 0) leave();
      });
    });
    if (left <= 0) leave();
    else setTimeout(leave, deadlines.badUsage);
    return undefined;
  }
}

/** Programs read in the file of `--json-summary` that the launch failed before it began, unless that file, or any other option, is what is wrong. */
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
