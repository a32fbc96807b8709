import { Failure } from "../../errors/failure.ts";
import { durationText } from "../../ui/format.ts";
import { endIfInterrupted, interruptible, question, type Desk } from "./desk.ts";
import { EndedByUser } from "./ended-by-user.ts";
import { connectLink, type Link } from "./link.ts";
import { canAsk } from "./ssh.ts";

/** Waits (ms) between attempts to connect again. */
const retries = [1_000, 2_000, 5_000, 10_000, 20_000, 30_000];
/** A connection that is lost sooner (ms) counts as one more attempt. */
const soon = 10_000;

/** Connects once, unless a signal ends it. Throws as connectLink, and EndedByUser. */
export async function connect(desk: Desk, ask: boolean): Promise<Link> {
  const { asked, context, inbox, say } = desk;
  endIfInterrupted(desk);
  return interruptible(desk, (signal) => connectLink({ ...asked, env: context.env, ask, say, signal }, inbox));
}

/**
 * Connects again until it works; false when the user has had enough. Throws TSD-173 where nobody can log in, and
 * TSD-177.
 */
export async function connectAgain(desk: Desk): Promise<boolean> {
  const { asked, context, inbox, say } = desk;
  const from = performance.now();
  say(`the connection to ${asked.login} is lost; connecting again (the cluster goes on there)`);
  await desk.link?.close();
  desk.link = undefined;
  for (let round = 0; ; round += 1) {
    let ask = false;
    try {
      desk.link = await connect(desk, false);
    } catch (error) {
      if (error instanceof EndedByUser) return false;
      if (!passes(error)) throw error;
      ask = error.facts["person"] === 1;
      if (ask && !canAsk(context.env)) throw error;
    }
    // Not by itself: a second factor that nobody asked for locks accounts.
    if (ask && (await question(desk, "it asks you to log in again: press Enter, or Ctrl-C to leave. ")) === undefined)
      return false;
    try {
      if (ask) desk.link = await connect(desk, true);
    } catch (error) {
      if (error instanceof EndedByUser) return false;
      if (!passes(error)) throw error;
    }
    if (desk.link !== undefined) {
      say(`connected again after ${durationText((performance.now() - from) / 1000)}`);
      return true;
    }
    const timer = setTimeout(() => inbox.put({ kind: "time" }), retries[Math.min(round, retries.length - 1)] ?? soon);
    const item = await inbox.next();
    clearTimeout(timer);
    if (item.kind === "interrupt") return false;
  }
}

/**
 * Whether it may work the next time. Our program was there before: what does not answer is a host that starts, or a
 * file system that is away.
 */
const passes = (error: unknown): error is Failure =>
  error instanceof Failure && (error.code === "TSD-173" || error.code === "TSD-174");
