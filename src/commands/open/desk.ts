import { Failure } from "../../errors/failure.ts";
import type { CommandContext } from "../context.ts";
import type { ClientFolder } from "./client-folder.ts";
import { EndedByUser } from "./ended-by-user.ts";
import type { Inbox } from "./inbox.ts";
import { failureTold, type Target, type Told } from "./lines.ts";
import type { Happening, Link } from "./link.ts";
import type { Forwarded } from "./pages.ts";
import { openPrompt } from "./prompt.ts";

/** What was asked of `open`, checked. */
export interface Asked {
  readonly login: string;
  /** Our program's name there. */
  readonly program: string;
  /** A cluster that is there already. */
  readonly target?: Target | undefined;
  readonly name?: string | undefined;
  /** The job to submit otherwise: its options as words, what its ranks run, where. */
  readonly system?: string | undefined;
  readonly options: readonly string[];
  readonly words: readonly string[];
  readonly folder?: string | undefined;
  /** A port that must be had, and one that would be good. */
  readonly port?: number | undefined;
  readonly usualPort?: number | undefined;
  readonly browser: boolean;
  readonly print: boolean;
  readonly form: boolean;
  /** The words that opened the one that is gone back to. */
  readonly again?: readonly string[] | undefined;
  readonly client?: { readonly python: string } | undefined;
  readonly atEnd: "ask" | "stop" | "leave";
}

/** A session as it stands. */
export interface Desk {
  readonly asked: Asked;
  readonly context: CommandContext;
  readonly inbox: Inbox<Happening>;
  /** What a signal ends at once; without it, the signal waits in the inbox. */
  underWay: AbortController | undefined;
  readonly say: (line: string) => void;
  link: Link | undefined;
  target: Target | undefined;
  name: string;
  again: readonly string[] | undefined;
  /** The login host has answered once. */
  met: boolean;
  ended: boolean;
  /** The job is this session's own, and no cluster has come of it yet. */
  owns: boolean;
  pages: readonly Forwarded[];
  client: ClientFolder | undefined;
  closePage: (() => Promise<void>) | undefined;
}

/** A failure that the login host tells of; where it was is said before it. */
export function failureThere({ asked, say }: Desk, told: Extract<Told, { event: "failure" }>): Failure {
  say(`on ${asked.login}:`);
  return failureTold(told);
}

/** What is waited for in spite of a Ctrl-C, since it would be there, or be done, all the same; said to the user. */
const waitedFor: Readonly<Partial<Record<Told["event"], string>>> = {
  submitted: "the job is being submitted: this waits for its id, so that it is not left there unknown",
  credentials: "this waits for an answer first",
};

/** What is said of a session that the user ends while this is waited for. */
const endedBefore: Readonly<Partial<Record<Told["event"], string>>> = {
  submitted: "look with `tsdask-mpi list` there whether a job was submitted",
  stopped: "its end was asked for; look with `tsdask-mpi list` there whether it came",
};

/** What to do when the connection is lost while this is waited for. */
const lostBefore: Readonly<Partial<Record<Told["event"], string>>> = {
  submitted: "Look with `tsdask-mpi list` there whether a job was submitted; then open it, or try again.",
  stopped: "Its end was asked for: look with `tsdask-mpi list` there whether it came.",
  credentials: "The cluster goes on: open it again, by its name.",
};

/**
 * The next thing of a kind that the login host tells; notes are shown, a failure is thrown. A first Ctrl-C ends the
 * wait, or stays in the inbox where the thing must be known; a second one ends it in any case.
 */
export async function expected<const K extends Told["event"]>(
  desk: Desk,
  event: K,
): Promise<Extract<Told, { event: K }>> {
  let held: Extract<Happening, { kind: "interrupt" }> | undefined;
  for (;;) {
    const item = await desk.inbox.next();
    if (item.kind === "failed") throw item.error;
    if (item.kind === "interrupt") {
      const words = waitedFor[event];
      if (held !== undefined || words === undefined)
        throw new EndedByUser(item.signal, endedBefore[event] ?? nothingYet(desk));
      desk.say(words);
      held = item;
    }
    if (item.kind === "lost")
      throw new Failure("TSD-173", {
        login: desk.asked.login,
        problem: "the connection was lost",
        cause: "The network dropped, or the login host ended the connection.",
        cure: lostBefore[event] ?? "Nothing was submitted: try again.",
      });
    if (item.kind !== "told") continue;
    const { told } = item;
    if (told.event === event) {
      if (held !== undefined) desk.inbox.put(held);
      return told as Extract<Told, { event: K }>;
    }
    if (told.event === "failure") throw failureThere(desk, told);
    if (told.event === "note") desk.say(told.text);
  }
}

/** A Ctrl-C that has come and was not looked at. */
export function interrupted({ inbox }: Desk): Extract<Happening, { kind: "interrupt" }> | undefined {
  const item = inbox.takeOut(({ kind }) => kind === "interrupt");
  return item?.kind === "interrupt" ? item : undefined;
}

/** Throws EndedByUser where a Ctrl-C has come meanwhile. */
export function endIfInterrupted(desk: Desk): void {
  const early = interrupted(desk);
  if (early !== undefined) throw new EndedByUser(early.signal, nothingYet(desk));
}

/** What is said of a session that ends before it has come to anything. */
export const nothingYet = ({ target }: Desk): string =>
  target === undefined ? "nothing was submitted" : "nothing was changed there";

/** Runs what looks at no inbox, and ends at a signal with the reason EndedByUser. */
export async function interruptible<T>(desk: Desk, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  desk.underWay = new AbortController();
  try {
    return await run(desk.underWay.signal);
  } finally {
    desk.underWay = undefined;
  }
}

/** What is typed; undefined for Ctrl-C or another signal, and at the end of the input. */
export async function question(desk: Desk, text: string): Promise<string | undefined> {
  return interruptible(desk, async (signal) => {
    const prompt = openPrompt(signal);
    try {
      return await prompt.ask(`tsdask-mpi: ${text}`);
    } finally {
      prompt.close();
    }
  });
}
