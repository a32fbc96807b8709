import * as v from "valibot";
import { messages, type MessageCode } from "../errors/messages.ts";
import { enumerations } from "./fork-server.ts";
import type { FromLeader, FromRank, RankEvent, ToLeader } from "./messages.ts";

/**
 * The checks of every message that crosses a socket to a leader or to the hub. A message that does not fit closes its
 * connection: both sides are ours, so a misfit is another version or a stranger.
 */

const text = (max: number) => v.pipe(v.string(), v.maxLength(max));
const short = text(4096);
/** A text that is only shown: of an endless one, as an exception of the user's may have, the beginning. */
const shown = v.pipe(
  v.string(),
  v.transform((said) => (said.length > 65_536 ? `${said.slice(0, 65_536)} …` : said)),
);
const rank = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(10_000_000));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const port = v.nullable(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535)));
/** A length of time, in what unit the message says. */
const seconds = v.pipe(v.number(), v.minValue(0));
const code = v.custom<MessageCode>((value) => typeof value === "string" && Object.hasOwn(messages, value));
const facts = v.record(short, v.optional(v.union([shown, v.number()])));
/** A word of one of the enumerations of the fork server's contract; one that is not in it is the plainest. */
const word = (name: string, plainest: string) =>
  v.pipe(
    short,
    v.transform((said) => (enumerations[name]?.includes(said) === true ? said : plainest)),
  );
const exitCode = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(255));

const event = v.variant("k", [
  v.object({
    k: v.literal("scheduler-ready"),
    address: short,
    identity: v.record(short, v.unknown()),
    dashboard: port,
    https: v.optional(v.boolean()),
  }),
  v.object({
    k: v.literal("scheduler-exit"),
    code: v.nullable(v.number()),
    signal: v.nullable(v.number()),
    why: shown,
    kind: v.optional(word("ChildFailure", "other")),
    reason: v.optional(word("CloseReason", "closed")),
    restarting: v.optional(v.literal(true)),
  }),
  v.object({
    k: v.literal("worker-ready"),
    address: short,
    name: short,
    dashboard: port,
    nthreads: count,
    memoryLimit: count,
    pid: count,
    ages: v.optional(v.partial(v.object({ started: seconds, met: seconds, told: seconds, forked: seconds }))),
  }),
  v.object({
    k: v.literal("worker-lost"),
    why: shown,
    restarting: v.boolean(),
    cause: v.optional(v.picklist(["memory", "killed"])),
  }),
  v.object({ k: v.literal("worker-away"), why: word("CloseReason", "closed") }),
  v.object({ k: v.literal("worker-waits") }),
  v.object({
    k: v.literal("scheduler-usage"),
    clients: count,
    tasks: count,
    used: count,
    seen: count,
    spilled: count,
    unrunnable: count,
  }),
  v.object({
    k: v.literal("worker-usage"),
    cpu: seconds,
    threadSeconds: seconds,
    threads: count,
    peak: count,
    limit: count,
  }),
  v.object({ k: v.literal("client-started"), pid: count }),
  v.object({ k: v.literal("client-exit"), code: exitCode, signal: v.optional(short) }),
  v.object({
    k: v.literal("jupyter-ready"),
    host: short,
    port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)),
    path: short,
    dashboard: v.optional(short),
    https: v.optional(v.boolean()),
    hub: v.optional(v.boolean()),
  }),
  v.object({ k: v.literal("signal"), signal: short }),
  v.object({ k: v.literal("stdin") }),
  v.object({ k: v.literal("failure"), code, facts, exit: exitCode, ranks: v.optional(v.array(rank)) }),
  v.object({ k: v.literal("warning"), code, facts }),
  v.object({
    k: v.literal("note"),
    level: v.picklist(["debug", "info", "warn", "error"]),
    text: shown,
    child: v.optional(v.literal(true)),
  }),
]);

const fromRank = v.variant("t", [
  v.object({
    t: v.literal("hello"),
    v: count,
    rank,
    size: count,
    pid: count,
    argv: v.array(text(1 << 20)),
    cwd: short,
    env: v.record(short, text(1 << 20)),
    cpus: v.optional(short),
  }),
  v.object({ t: v.literal("event"), event }),
]);

const fromLeader = v.variant("t", [
  v.object({
    t: v.literal("join"),
    v: count,
    launch: short,
    host: short,
    rank,
    proof: short,
    time: v.optional(v.number()),
  }),
  v.object({ t: v.literal("ranks"), ranks: v.array(rank), of: v.optional(rank) }),
  v.object({
    t: v.literal("python"),
    report: v.object({
      host: short,
      executable: short,
      python: short,
      dask: short,
      distributed: short,
      packages: v.record(short, short),
    }),
  }),
  v.object({ t: v.literal("event"), rank, event }),
  v.object({ t: v.literal("gone"), rank }),
  v.object({ t: v.literal("findings"), text: shown }),
  v.object({ t: v.literal("host-done") }),
]);

const toLeader = v.variant("t", [
  v.object({ t: v.literal("challenge"), nonce: short }),
  v.object({
    t: v.literal("welcome"),
    folder: short,
    schedulerFile: short,
    credentials: v.nullable(v.object({ ca: text(65_536), cert: text(65_536), key: text(65_536) })),
    token: v.nullable(short),
    granted: v.optional(v.object({ cpus: v.optional(count), memory: v.optional(count), why: short })),
    namedByRank: v.boolean(),
    clientRank: v.nullable(rank),
    schedulerReturns: v.boolean(),
  }),
  v.object({
    t: v.literal("probe"),
    peers: v.array(v.object({ host: short, addresses: v.array(short) })),
    file: short,
  }),
  v.object({ t: v.literal("address"), scheduler: short }),
  v.object({ t: v.literal("to-rank"), rank, message: v.looseObject({ t: short }) }),
  v.object({ t: v.literal("end"), code: exitCode, grace: seconds }),
]);

const check =
  <T>(schema: v.GenericSchema) =>
  (value: unknown): T | undefined => {
    const result = v.safeParse(schema, value);
    return result.success ? (result.output as T) : undefined;
  };

/** A rank agent's message, or undefined when the value is none. */
export const acceptFromRank = check<FromRank>(fromRank);
/** A leader's message, or undefined when the value is none. */
export const acceptFromLeader = check<FromLeader>(fromLeader);
/** A message of the hub, or undefined when the value is none. */
export const acceptToLeader = check<ToLeader>(toLeader);
/** An event of a rank, or undefined when the value is none. */
export const acceptEvent = check<RankEvent>(event);
