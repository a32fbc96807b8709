import { deadlines } from "../../deadlines.ts";
import { Failure } from "../../errors/failure.ts";
import { visibleLine } from "../../errors/visible.ts";
import { makeInbox, type Inbox } from "./inbox.ts";
import { readTold, written, type Request, type Told } from "./lines.ts";
import { connectSsh, lines, type Channel, type Connection } from "./ssh.ts";

/** What happens to a session, in order. */
export type Happening =
  | { readonly kind: "told"; readonly told: Told }
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "lost" }
  | { readonly kind: "interrupt" }
  | { readonly kind: "time" };

/** How often (ms) the login host's side hears that this side lives. */
const aliveEvery = 30_000;
/** Lines that come from there and are none of ours, and are shown when nothing else comes. */
const mostNoise = 3;

/** A connection with our program at its other end. */
export interface Link {
  readonly connection: Connection;
  readonly hello: Extract<Told, { event: "hello" }>;
  request(what: Request): void;
  close(): Promise<void>;
}

export interface LinkRequest {
  readonly login: string;
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
  readonly ask: boolean;
  readonly say: (line: string) => void;
}

/** Connects, starts our program there, and hears it. Throws TSD-173 (ssh), TSD-174 (it is not there), TSD-177. */
export async function connectLink(request: LinkRequest, inbox: Inbox<Happening>): Promise<Link> {
  const connection = await connectSsh(request);
  const channel = connection.serve(request.program);
  const first = makeInbox<Happening | { readonly kind: "noise"; readonly text: string }>();
  let live = false;
  let closed = false;
  const put = (item: Happening): void => {
    if (!closed) (live ? inbox : first).put(item);
  };
  const noise: string[] = [];
  const hear = (line: string): void => void (line.trim() !== "" && noise.push(line) > mostNoise && noise.shift());
  lines(channel.stdout, (line) => {
    try {
      const told = readTold(line);
      if (typeof told === "string") hear(told);
      else put({ kind: "told", told });
    } catch (error) {
      put({ kind: "failed", error });
    }
  });
  lines(channel.stderr, (line) => void hear(visibleLine(line)));
  channel.stdin.on("error", () => undefined);
  channel.once("error", () => put({ kind: "lost" }));
  channel.once("close", () => put({ kind: "lost" }));
  const late = setTimeout(() => put({ kind: "time" }), deadlines.openHello);
  const alive = setInterval(() => channel.stdin.write(written({ op: "alive" })), aliveEvery);
  const close = async (): Promise<void> => {
    closed = true;
    clearInterval(alive);
    await ended(channel);
    await connection.close();
  };
  try {
    const item = await first.next();
    clearTimeout(late);
    if (item.kind !== "told" || item.told.event !== "hello") throw notThere(request, noise, item);
    live = true;
    return { connection, hello: item.told, request: (what) => void channel.stdin.write(written(what)), close };
  } catch (error) {
    clearTimeout(late);
    await close();
    throw error;
  }
}

/** Ends our program there by the end of its input; by force when it does not go. */
async function ended(channel: Channel): Promise<void> {
  if (channel.exitCode !== null || channel.signalCode !== null) return;
  await new Promise<void>((resolve) => {
    const force = setTimeout(() => channel.kill("SIGKILL"), deadlines.sshControl);
    channel.once("close", () => {
      clearTimeout(force);
      resolve();
    });
    channel.stdin.end();
  });
}

function notThere(
  { login, program }: LinkRequest,
  noise: readonly string[],
  item: { readonly kind: string; readonly error?: unknown },
): unknown {
  if (item.kind === "failed") return item.error;
  const said = noise.join("; ");
  const missing = /not found|no such file|command not found/i.test(said);
  return new Failure("TSD-174", {
    login,
    program,
    problem: item.kind === "time" ? "it says nothing" : missing ? "it was not found there" : said || "it ended at once",
    cause: missing
      ? "It is not installed there, or the PATH of a login shell does not lead to it."
      : "It is an older version without `open`, or something in the shell's profile there ends it.",
  });
}
