import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { plan as planRoles } from "../../src/cluster/plan.ts";
import { rankOf } from "../../src/cluster/rank-table.ts";
import { reduce } from "../../src/cluster/reduce.ts";
import {
  hasEnded,
  hostsToCome,
  initialState,
  isOpen,
  tooFewCanCome,
  type DeadlineOfLaunch,
  type Effect,
  type LaunchEvent,
  type LaunchOptions,
  type LaunchState,
} from "../../src/cluster/state.ts";
import { Failure } from "../../src/errors/failure.ts";
import type { RankEvent } from "../../src/protocol/messages.ts";
import { runsOr, seed } from "../fuzz/fuzz.ts";
import {
  away,
  exit,
  joined,
  late,
  options,
  play,
  ready,
  said,
  schedulerExit,
  schedulerRestarts,
  up,
  waits,
  worker,
} from "./play.ts";

const runs = { numRuns: runsOr(5_000), seed };
const patience = 20_000 + 10 * runs.numRuns;
const failure = new Failure("TSD-022", {});
const jupyter = said(0, 1, { k: "jupyter-ready", host: "10.0.0.1", port: 8888, path: "/lab" });

const anyRank = fc.integer({ min: 0, max: 3 });
const anyHost = fc.integer({ min: 0, max: 2 });
/** How many ranks a host says that it has, where its launcher tells. */
const anyOf = fc.constantFrom(undefined, undefined, 1, 2, 4);
/** What ends most launches: rare, so that much has happened before. */
const anyEnd: fc.Arbitrary<LaunchEvent> = fc.oneof(
  fc.constantFrom<LaunchEvent>(
    { e: "leave" },
    { e: "failed", failure },
    { e: "end", ending: { kind: "walltime" }, code: 0 },
    { e: "signal", signal: "SIGTERM" },
    { e: "signal", signal: "SIGINT" },
    { e: "signal", signal: "SIGUSR1" },
    schedulerExit(0),
    schedulerExit(0, "idle", "idle"),
    schedulerExit(null, "killed"),
    exit(7),
    exit(137, "SIGKILL"),
  ),
  fc.record({ e: fc.constant("rank-gone" as const), host: anyHost, rank: anyRank }),
  fc.record({ e: fc.constant("host-lost" as const), host: anyHost }),
  anyRank.chain((rank) =>
    fc
      .constantFrom<RankEvent>(
        { k: "failure", code: "TSD-041", facts: {}, exit: 64 },
        { k: "failure", code: "TSD-207", facts: {}, exit: 69, ranks: [2, 3] },
        { k: "signal", signal: "SIGINT" },
      )
      .map((event) => said(1, rank, event)),
  ),
);
const anyReason = fc.constantFrom("retired" as const, "idle" as const, "scheduler-lost" as const);
/** What happens in the course of a launch. */
const anyCourse: fc.Arbitrary<LaunchEvent> = fc.oneof(
  fc.record({ e: fc.constant("host-joined" as const), name: fc.constantFrom("a", "b"), rank: anyRank }),
  fc.record({ e: fc.constant("ranks" as const), host: anyHost, ranks: fc.array(anyRank), of: anyOf }),
  fc.record({ e: fc.constantFrom("host-done" as const, "welcomed" as const), host: anyHost }),
  anyRank.map(worker),
  anyRank.map(worker),
  fc.constantFrom<LaunchEvent>(
    ready,
    { e: "published" },
    { e: "retired" },
    { e: "taken-back" },
    { e: "jobs-listed" },
    { e: "scheduler", facts: { address: "tls://a:1", identity: {}, dashboard: null, host: "a" } },
    schedulerRestarts,
    { e: "sought", address: undefined },
    { e: "sought", address: "tls://a:1" },
  ),
  fc.tuple(anyRank, anyReason).map(([rank, why]) => away(rank, why)),
  anyRank.map(waits),
  anyRank.chain((rank) =>
    fc
      .constantFrom<RankEvent>(
        { k: "warning", code: "TSD-162", facts: {} },
        { k: "worker-lost", why: "x", restarting: true },
        { k: "worker-lost", why: "idle", restarting: false },
        { k: "note", level: "info", text: "x" },
      )
      .map((event) => said(1, rank, event)),
  ),
);
/** What happens to a launch, but for its deadlines. */
const anyEvent = fc.oneof({ weight: 30, arbitrary: anyCourse }, { weight: 1, arbitrary: anyEnd });
const allDeadlines: readonly DeadlineOfLaunch[] = [
  "start",
  "scheduler-back",
  "dashboard",
  "too-few",
  "all-lost",
  "departed",
  "hosts-done",
  "jobs-cancelled",
];
const anyDeadline: fc.Arbitrary<LaunchEvent> = fc.constantFrom(...allDeadlines).map(late);
const anything = fc.oneof({ weight: 4, arbitrary: anyEvent }, { weight: 1, arbitrary: anyDeadline });

/** A launch with a script or Jupyter, a served cluster, or one that joins. */
const anyOptions: fc.Arbitrary<LaunchOptions> = fc
  .record({
    what: fc.constantFrom("script" as const, "jupyter" as const, "served" as const, "joins" as const),
    exclusiveWorkers: fc.boolean(),
    wanted: fc.constantFrom(0, 1, 2, 5),
    prompt: fc.boolean(),
    idleTimeout: fc.constantFrom(undefined, 60),
  })
  .map(({ what, exclusiveWorkers, wanted, prompt, idleTimeout }) => {
    const client = what === "script" || what === "jupyter";
    const plan = planRoles({ size: 4, scheduler: what !== "joins", schedulerRank: 0, client, exclusiveWorkers });
    const part = { jupyter: what === "jupyter", joins: what === "joins", prompt: client && prompt };
    return options({ plan, wanted, idleTimeout, ...part });
  });

describe("whatever comes in whatever order", () => {
  test("it ends once, with one code, and is done once", { timeout: patience }, () => {
    fc.assert(
      fc.property(anyOptions, fc.array(anything, { maxLength: 60 }), (more, events) => {
        const { of, state } = play([...events, late("jobs-cancelled"), late("hosts-done")], initialState(more));
        const ended = of("take-back");
        expect(ended.length).toBeLessThanOrEqual(1);
        expect(of("finish").length).toBe(ended.length);
        if (ended.length === 1) expect(state).toMatchObject({ phase: "done", code: ended[0]?.facts.code });
      }),
      runs,
    );
  });

  test("what has ended publishes nothing, and begins nothing", { timeout: patience }, () => {
    const some = fc.array(anything, { maxLength: 30 });
    fc.assert(
      fc.property(anyOptions, some, anyEnd, some, (more, before, ending, after) => {
        const { state } = play([...before, ending], initialState(more));
        fc.pre(hasEnded(state));
        const { effects } = play([...after, ready, jupyter], state);
        const begins: readonly Effect["do"][] = ["publish", "renew", "start-client", "seek", "retire", "take-back"];
        expect(effects.filter((effect) => begins.includes(effect.do))).toEqual([]);
        expect(effects.filter((effect) => effect.do === "rank-said" && effect.event.k === "jupyter-ready")).toEqual([]);
      }),
      runs,
    );
  });

  test("a rank that was never seen is never gone, nor is its scheduler lost", { timeout: patience }, () => {
    fc.assert(
      fc.property(anyOptions, fc.array(anything, { maxLength: 40 }), anyRank, (more, events, rank) => {
        const unseen = events.filter(
          (event) =>
            !(event.e === "host-joined" && event.rank === rank) &&
            !(event.e === "ranks" && event.ranks.includes(rank)) &&
            !(event.e === "rank-event" && event.rank === rank),
        );
        const reported = play(unseen, initialState(more)).of("report");
        const lost = reported.filter(({ report }) => ["TSD-051", "TSD-060", "TSD-061"].includes(report.code));
        expect(lost.map(({ report }) => report.rank)).not.toContain(rank);
      }),
      runs,
    );
  });

  test("no state is changed in place", { timeout: patience }, () => {
    fc.assert(
      fc.property(anyOptions, fc.array(anything, { maxLength: 30 }), anything, (more, events, event) => {
        const { state } = play(events, initialState(more));
        const before = structuredClone(state);
        reduce(state, event);
        expect(state).toEqual(before);
      }),
      { ...runs, numRuns: runsOr(1_000) },
    );
  });
});

/**
 * The next thing that happens: an event, or one of the deadlines that were set, or the answer to an effect that has
 * one.
 */
type Move = LaunchEvent | { readonly e: "late"; readonly at: number } | { readonly e: "answer"; readonly at: number };

/** What comes together often. */
const anyBurst = fc.oneof(
  anyReason.map((why) => [0, 1, 2, 3].map((rank) => away(rank, why))),
  fc.constantFrom<readonly LaunchEvent[]>(
    [schedulerRestarts, ready],
    [waits(2), waits(3)],
    [worker(0), worker(1), worker(2), worker(3)],
  ),
);
const oneMove: fc.Arbitrary<Move> = fc.oneof(
  { weight: 6, arbitrary: anyEvent },
  { weight: 1, arbitrary: fc.record({ e: fc.constant("late" as const), at: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ e: fc.constant("answer" as const), at: fc.nat(9) }) },
);
const anyMoves = fc
  .array(
    fc.oneof(
      { weight: 8, arbitrary: oneMove.map((move): readonly Move[] => [move]) },
      { weight: 1, arbitrary: anyBurst },
    ),
    {
      maxLength: 30,
    },
  )
  .map((moves): readonly Move[] => moves.flat());
/** How far the launch has come before anything is random. */
const anyStart = fc.constantFrom<readonly LaunchEvent[]>([], joined, [...joined, ready], up, up);

/**
 * A launch in a world that is possible: a rank speaks from its own host, once it was seen and until it is gone, only
 * deadlines that were set are over, and what was asked for is answered.
 */
class World {
  state: LaunchState;
  readonly effects: Effect[] = [];
  /** The controller sets the start's deadline itself. */
  readonly #armed: DeadlineOfLaunch[] = ["start"];
  readonly #answers: LaunchEvent[] = [];
  readonly #found: string | undefined;

  constructor(launch: LaunchOptions, found: boolean) {
    this.state = initialState(launch);
    this.#found = found ? "tls://a:1" : undefined;
  }

  play(moves: readonly Move[]): void {
    for (const move of moves) {
      if (move.e === "late") this.#late(move.at);
      else if (move.e === "answer") this.#answer(move.at);
      else if (this.#possible(move)) this.#happens(move);
    }
  }

  /** All that was asked for is answered, and all deadlines that were set are over, but for these. */
  settle(not: readonly DeadlineOfLaunch[] = []): void {
    for (let turn = 0; turn < 1_000; turn += 1) {
      const at = this.#armed.findIndex((one) => !not.includes(one));
      if (this.#answers.length > 0) this.#answer(0);
      else if (at >= 0) this.#late(at);
      else return;
    }
    throw new Error("it asks, or waits, for ever");
  }

  /** What of the launch still runs, so that it may go on. */
  runs(): "script" | "cluster" | "workers" | undefined {
    const { options: launch, client, scheduler, schedulerOver, ranks } = this.state;
    const { clientRank, workerRanks } = launch.plan;
    if (clientRank !== undefined)
      return client === "started" && rankOf(ranks, clientRank).gone === undefined ? "script" : undefined;
    if (!launch.joins) return scheduler !== undefined && !schedulerOver ? "cluster" : undefined;
    return workerRanks.some((rank) => rankOf(ranks, rank).away === undefined) ? "workers" : undefined;
  }

  /** The hosts say that nothing of the launch runs there any more. */
  hostsLeave(): void {
    this.play(this.state.hosts.map((_, host) => ({ e: "host-done", host })));
  }

  #possible(event: LaunchEvent): boolean {
    const { state } = this;
    const { clientRank, schedulerRank, workerRanks } = state.options.plan;
    const there = (host: number): boolean => state.hosts[host]?.done === false;
    switch (event.e) {
      case "host-joined":
        return rankOf(state.ranks, event.rank).host === undefined;
      case "ranks":
      case "host-lost":
      case "welcomed":
        return there(event.host);
      case "host-done":
        return there(event.host) && hasEnded(state);
      case "rank-gone":
        return rankOf(state.ranks, event.rank).host === event.host && there(event.host);
      case "scheduler":
        return state.options.joins;
      case "published":
      case "retired":
      case "taken-back":
      case "jobs-listed":
      case "sought":
      case "deadline":
        return false;
      case "rank-event": {
        const { k } = event.event;
        const { host, gone } = rankOf(state.ranks, event.rank);
        if (host === undefined || gone !== undefined || !there(host)) return false;
        if (k.startsWith("scheduler")) return event.rank === schedulerRank;
        if (k.startsWith("worker")) return workerRanks.includes(event.rank);
        return k !== "client-exit" || (event.rank === clientRank && state.client === "started");
      }
      default:
        return true;
    }
  }

  #late(at: number): void {
    const [deadline] = this.#armed.splice(at % Math.max(1, this.#armed.length), 1);
    if (deadline !== undefined) this.#happens(late(deadline));
  }

  #answer(at: number): void {
    const [event] = this.#answers.splice(at % Math.max(1, this.#answers.length), 1);
    if (event !== undefined) this.#happens(event);
  }

  #happens(event: LaunchEvent): void {
    const [next, effects] = reduce(this.state, event);
    this.state = next;
    this.effects.push(...effects);
    // The first rank of a host is told of again with the others.
    if (event.e === "host-joined") this.#answers.push({ e: "ranks", host: next.hosts.length - 1, ranks: [event.rank] });
    for (const effect of effects) {
      if (effect.do === "wait") this.#armed.push(effect.deadline);
      else if (effect.do === "publish" || effect.do === "renew") this.#answers.push({ e: "published" });
      else if (effect.do === "retire") this.#answers.push({ e: "retired" });
      else if (effect.do === "take-back") this.#answers.push({ e: "taken-back" });
      else if (effect.do === "seek") this.#answers.push({ e: "sought", address: this.#found });
    }
  }
}

const anyWorld = fc
  .tuple(anyOptions, anyStart, anyMoves, fc.boolean())
  .map(([launch, start, moves, found]) => ({ launch, start, moves, found }));
type AnyWorld = { launch: LaunchOptions; start: readonly LaunchEvent[]; moves: readonly Move[]; found: boolean };

function worldOf({ launch, start, moves, found }: AnyWorld): World {
  const world = new World(launch, found);
  world.play([...start, ...moves]);
  return world;
}

describe("in any world that is possible", () => {
  test("it ends, or something of it runs; and then it ends with that", { timeout: patience }, () => {
    const ways = new Set<string>();
    fc.assert(
      fc.property(anyWorld, (input) => {
        const world = worldOf(input);
        world.settle();
        const running = world.runs();
        ways.add(world.state.phase === "done" ? "done" : String(running));
        if (world.state.phase === "done") return;
        expect(running).toBeDefined();
        world.play([running === "script" ? exit(7) : { e: "signal", signal: "SIGTERM" }]);
        world.settle();
        expect(world.state).toMatchObject({ phase: "done", code: running === "script" ? 7 : 143 });
      }),
      runs,
    );
    expect([...ways].sort()).toEqual(["cluster", "done", "script", "workers"]);
  });

  test("it is done as soon as all hosts are, without a deadline, unless hosts are to come", {
    timeout: patience,
  }, () => {
    fc.assert(
      fc.property(anyWorld, (input) => {
        const world = worldOf(input);
        fc.pre(hasEnded(world.state));
        world.settle(allDeadlines);
        world.hostsLeave();
        const { state } = world;
        if (state.phase !== "done") expect(state.phase === "ending" && state.waits && hostsToCome(state)).toBe(true);
      }),
      runs,
    );
  });

  test("a script does not wait for workers that cannot come, nor the launch for its end", { timeout: patience }, () => {
    fc.assert(
      fc.property(anyWorld, (input) => {
        const world = worldOf(input);
        world.settle(["start"]);
        expect(tooFewCanCome(world.state)).toBe(false);
        expect(world.state.phase).not.toBe("departing");
        expect(isOpen(world.state) || world.state.phase === "done").toBe(true);
      }),
      runs,
    );
  });

  test("the code is the script's when it ends by itself before anything else ended the launch", {
    timeout: patience,
  }, () => {
    fc.assert(
      fc.property(anyWorld, fc.integer({ min: 0, max: 127 }), (input, code) => {
        const world = worldOf(input);
        const { state } = world;
        fc.pre(world.runs() === "script" && (isOpen(state) || (state.phase === "departing" && !state.options.jupyter)));
        world.play([exit(code)]);
        expect(world.state).toMatchObject({ code });
      }),
      runs,
    );
  });

  test("a scheduler that is started again is not waited for without a deadline", { timeout: patience }, () => {
    fc.assert(
      fc.property(anyWorld, (input) => {
        const world = worldOf(input);
        fc.pre(isOpen(world.state) && world.state.scheduler !== undefined);
        world.play([schedulerRestarts]);
        fc.pre(world.state.scheduler === undefined);
        world.settle(["start"]);
        expect(world.state.phase).toBe("done");
      }),
      runs,
    );
  });
});
