import { deadlines } from "../../deadlines.ts";
import { Failure } from "../../errors/failure.ts";
import { visibleLine } from "../../errors/visible.ts";
import { makeInbox, type Inbox } from "./inbox.ts";
import { readTold, written, type Request, type Told } from "./lines.ts";
import { canAsk, connectSsh, lines, type Channel, type Connection } from "./ssh.ts";

/** What happens to a session, in order. */
export type Happening =
  | { readonly kind: "told"; readonly told: Told }
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "lost" }
  | { readonly kind: "interrupt"; readonly signal: NodeJS.Signals }
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
  /** A connection to a node, through that to the login host; made once. Throws TSD-184. */
  toNode(node: string): Promise<Connection>;
  close(): Promise<void>;
}

export interface LinkRequest {
  readonly login: string;
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
  readonly ask: boolean;
  readonly say: (line: string) => void;
  /** Ends the attempt, which throws its reason. */
  readonly signal: AbortSignal;
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
  // All that goes with one connection is one loss.
  let over = false;
  const lost = (): void => {
    if (!over) put({ kind: "lost" });
    over = true;
  };
  channel.once("error", lost).once("close", lost);
  const late = setTimeout(() => put({ kind: "time" }), deadlines.openHello);
  const abort = (): void => {
    channel.kill("SIGKILL");
    put({ kind: "failed", error: request.signal.reason });
  };
  request.signal.addEventListener("abort", abort);
  if (request.signal.aborted) abort();
  const alive = setInterval(() => channel.stdin.write(written({ op: "alive" })), aliveEvery);
  const nodes = new Map<string, Promise<Connection>>();
  const close = async (): Promise<void> => {
    closed = true;
    clearInterval(alive);
    await ended(channel);
    for (const one of nodes.values()) await (await one.catch(() => undefined))?.close();
    await connection.close();
  };
  try {
    const item = await first.next();
    clearTimeout(late);
    request.signal.removeEventListener("abort", abort);
    if (item.kind !== "told" || item.told.event !== "hello") throw notThere(request, noise, item, channel.exitCode);
    live = true;
    const hello = item.told;
    const toNode = (node: string): Promise<Connection> => {
      const known = nodes.get(node) ?? connectNode(node, { request, hello, connection, lost });
      nodes.set(node, known);
      return known;
    };
    return { connection, hello, request: (what) => void channel.stdin.write(written(what)), toNode, close };
  } catch (error) {
    clearTimeout(late);
    await close();
    throw error;
  }
}

/**
 * ssh goes on to a compute node, as with `-J`: for a page that listens on that node's loopback alone. Throws TSD-184.
 */
async function connectNode(
  node: string,
  {
    request: { login, env, say },
    hello,
    connection,
    lost,
  }: {
    readonly request: LinkRequest;
    readonly hello: Link["hello"];
    readonly connection: Connection;
    readonly lost: () => void;
  },
): Promise<Connection> {
  // Its name came over the line, and goes to ssh.
  if (!/^[A-Za-z0-9][\w.-]*$/.test(node)) throw new Failure("TSD-177", { problem: "a node's name" });
  say(`the pages listen on ${node}'s loopback only: ssh goes on to ${node}`);
  try {
    const onward = await connectSsh({ login: `${hello.user}@${node}`, env, ask: canAsk(env), say, via: connection });
    const held = onward.hold();
    held.stdin.on("error", () => undefined);
    held.stderr.resume();
    held.once("error", lost).once("close", lost);
    const close = async (): Promise<void> => {
      await ended(held);
      await onward.close();
    };
    return { ...onward, close };
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== "TSD-173") throw error;
    throw new Failure("TSD-184", { login, node, problem: String(error.facts["problem"]) }, { cause: error });
  }
}

/**
 * Ends our program there by the end of its input; by force when it does not go. ssh's process in the background has
 * the channel's pipes, too, for as long as the other end runs.
 */
async function ended(channel: Channel): Promise<void> {
  if (channel.exitCode !== null || channel.signalCode !== null) return;
  await new Promise<void>((resolve) => {
    const force = setTimeout(() => channel.kill("SIGKILL"), deadlines.sshControl);
    channel.once("exit", () => {
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
  code: number | null,
): unknown {
  if (item.kind === "failed") return item.error;
  const said = noise.join("; ");
  const missing = /not found|no such file|command not found/i.test(said);
  // ssh(1): "exits with the exit status of the remote command or with 255 if an error occurred".
  if (item.kind === "lost" && !missing && (code === 255 || code === null))
    return new Failure("TSD-173", {
      login,
      problem: `the connection was lost before ${program} answered${said === "" ? "" : ` (${said})`}`,
      cause: "The network dropped, the login host ended the connection, or what was started there was killed.",
      cure: "Try again; if it stays so, try the same with plain ssh.",
    });
  return new Failure("TSD-174", {
    login,
    program,
    problem: item.kind === "time" ? "it says nothing" : missing ? "it was not found there" : said || "it ended at once",
    cause: missing
      ? "It is not installed there, or the PATH of a login shell does not lead to it."
      : "It is an older version without `open`, or something in the shell's profile there ends it.",
  });
}
