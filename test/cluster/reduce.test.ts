import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { plan as planRoles } from "../../src/cluster/plan.ts";
import { reduce } from "../../src/cluster/reduce.ts";
import {
  hasEnded,
  initialState,
  type Effect,
  type LaunchEvent,
  type LaunchOptions,
  type LaunchState,
} from "../../src/cluster/state.ts";
import { Failure } from "../../src/errors/failure.ts";
import type { RankEvent } from "../../src/protocol/messages.ts";

/** Scheduler 0, script 1, workers 2 and 3, on two hosts: ranks 0 and 1, and ranks 2 and 3. */
const options = (more: Partial<LaunchOptions> & { client?: boolean } = {}): LaunchOptions => {
  const { client = true, ...rest } = more;
  const plan = planRoles({
    size: 4,
    scheduler: !(rest.joins ?? false),
    schedulerRank: 0,
    client,
    exclusiveWorkers: true,
  });
  return {
    plan,
    wanted: client ? 2 : 0,
    startTimeout: 120,
    grace: 5,
    scriptName: "script.py",
    jupyter: false,
    prompt: false,
    idleTimeout: undefined,
    joins: false,
    folder: "/f",
    ...rest,
  };
};

/** Applies events to a launch, and keeps all effects. */
function play(events: readonly LaunchEvent[], from: LaunchState = initialState(options())) {
  let state = from;
  const effects: Effect[] = [];
  for (const event of events) {
    const [next, more] = reduce(state, event);
    state = next;
    effects.push(...more);
  }
  const codes = effects.flatMap((effect) => (effect.do === "report" ? effect.report.code : []));
  const of = <K extends Effect["do"]>(kind: K): Extract<Effect, { do: K }>[] =>
    effects.filter((effect): effect is Extract<Effect, { do: K }> => effect.do === kind);
  return { state, effects, codes, of };
}

const said = (host: number, rank: number, event: RankEvent): LaunchEvent => ({ e: "rank-event", host, rank, event });
const joined: readonly LaunchEvent[] = [
  { e: "host-joined", name: "a", rank: 0 },
  { e: "ranks", host: 0, ranks: [1] },
  { e: "host-joined", name: "b", rank: 2 },
  { e: "ranks", host: 1, ranks: [3] },
];
const ready = said(0, 0, { k: "scheduler-ready", address: "tls://a:1", identity: {}, dashboard: 8787 });
const worker = (rank: number): LaunchEvent =>
  said(1, rank, {
    k: "worker-ready",
    address: `tls://b:${rank}`,
    name: `w-${rank}`,
    dashboard: null,
    nthreads: 1,
    memoryLimit: 1,
    pid: rank,
  });
const up: readonly LaunchEvent[] = [...joined, ready, { e: "published" }, worker(2), worker(3)];
const exit = (code: number, signal?: string): LaunchEvent =>
  said(0, 1, { k: "client-exit", code, ...(signal === undefined ? {} : { signal }) });
const schedulerExit = (code: number | null, why = "closed"): LaunchEvent =>
  said(0, 0, { k: "scheduler-exit", code, signal: null, why });
const schedulerRestarts = said(0, 0, { k: "scheduler-exit", code: null, signal: 9, why: "killed", restarting: true });
const waits = (rank: number): LaunchEvent => said(1, rank, { k: "worker-waits" });
const late = (deadline: Extract<LaunchEvent, { e: "deadline" }>["deadline"]): LaunchEvent => ({
  e: "deadline",
  deadline,
  seconds: 7,
});
const away = (rank: number, why: string): LaunchEvent => said(1, rank, { k: "worker-away", why });
const over: readonly LaunchEvent[] = [{ e: "taken-back" }, { e: "host-done", host: 0 }, { e: "host-done", host: 1 }];

describe("a launch that goes well", () => {
  test("starts the script when the scheduler answers and all workers are in, once", () => {
    expect(play(up.slice(0, -1)).of("start-client")).toEqual([]);
    const { state, of } = play([...up, worker(3)]);
    expect(of("start-client")).toHaveLength(1);
    expect(state.client).toBe("started");
  });

  test("starts the script only when its host is there", () => {
    const late = [...up.filter((event) => event.e !== "ranks" || event.host !== 0)];
    expect(play(late).of("start-client")).toEqual([]);
    expect(play([...late, { e: "ranks", host: 0, ranks: [1] }]).of("start-client")).toHaveLength(1);
  });

  test("loads the dashboard when all workers are in, or a while after the scheduler answers, and once", () => {
    const dashboards = (events: readonly LaunchEvent[]): number =>
      play(events)
        .of("tell")
        .filter(({ message }) => message.t === "dashboard").length;
    expect(dashboards([...up, late("dashboard")])).toBe(1);
    expect(dashboards([...joined, ready, { e: "published" }, late("dashboard")])).toBe(1);
  });

  test("tells a host that comes late what it has missed", () => {
    const { effects } = play([...up, exit(3), { e: "host-joined", name: "c", rank: 3 }, { e: "welcomed", host: 2 }]);
    expect(effects.slice(-2)).toEqual([
      { do: "send", hosts: [2], message: { t: "address", scheduler: "tls://a:1" } },
      { do: "send", hosts: [2], message: { t: "end", code: 3, grace: 5 } },
    ]);
  });

  test("is done when what it published is taken back and all hosts are done, and says so once", () => {
    expect(play([...up, exit(7), ...over.slice(0, 2)]).of("finish")).toEqual([]);
    const { state, of } = play([...up, exit(7), ...over, ...over]);
    expect(of("finish")).toEqual([{ do: "finish", code: 7 }]);
    expect(state.phase).toBe("done");
  });

  test("waits for hosts that start later than its script took, so that their ranks have its code", () => {
    const before = initialState(options({ wanted: 0 }));
    const alone: LaunchEvent[] = [
      { e: "host-joined", name: "a", rank: 0 },
      { e: "ranks", host: 0, ranks: [1], of: 2 },
      ready,
      { e: "published" },
    ];
    const ended: LaunchEvent[] = [exit(7), { e: "taken-back" }, { e: "host-done", host: 0 }];
    // Nobody knows of more ranks where the launcher does not tell how many a host has.
    const untold = alone.filter(({ e }) => e !== "ranks").concat({ e: "ranks", host: 0, ranks: [1] });
    expect(play([...untold, ...ended], before).state.phase).toBe("done");
    const waiting = play([...alone, ...ended], before);
    expect(waiting.of("take-back")).toMatchObject([{ facts: { hostsToCome: true } }]);
    expect(waiting.state.phase).toBe("ending");
    const came: LaunchEvent[] = [
      { e: "host-joined", name: "b", rank: 2 },
      { e: "welcomed", host: 1 },
      { e: "ranks", host: 1, ranks: [3], of: 2 },
    ];
    const { of, state } = play(came, waiting.state);
    expect(of("send")).toContainEqual({ do: "send", hosts: [1], message: { t: "end", code: 7, grace: 5 } });
    expect(state.phase).toBe("ending");
    expect(play([{ e: "host-done", host: 1 }], state).of("finish")).toEqual([{ do: "finish", code: 7 }]);
    expect(play([late("hosts-done")], waiting.state).of("finish")).toEqual([{ do: "finish", code: 7 }]);
    // A launch that failed is over at once.
    expect(
      play([...alone, { e: "failed", failure: new Failure("TSD-026", { path: "/f" }) }, ...ended.slice(1)], before)
        .state.phase,
    ).toBe("done");
  });

  test("does not wait for hosts for ever", () => {
    expect(play([...up, exit(0), late("hosts-done")]).state.phase).toBe("done");
  });
});

describe("a scheduler that comes back", () => {
  const again = [schedulerRestarts, ready, { e: "published" } as const];

  test("takes the place of the one before: workers hear of it, register anew and the dashboard is loaded", () => {
    const lost = play([...up, schedulerRestarts]);
    expect(lost.state).toMatchObject({ phase: "running", ranks: { registered: 0, away: 0 } });
    expect(lost.state.scheduler).toBeUndefined();
    expect(lost.of("show-workers").slice(-2)).toEqual([2, 3].map((changed) => ({ do: "show-workers", changed })));
    const back = play([...again.slice(1), waits(2), waits(3), worker(2), worker(3)], lost.state);
    expect(back.of("send").map(({ message }) => message)).toEqual([{ t: "address", scheduler: "tls://a:1" }]);
    expect(back.of("renew")).toHaveLength(1);
    expect([back.of("publish"), back.of("start-client")]).toEqual([[], []]);
    expect(back.of("tell").map(({ message }) => message.t)).toEqual(["dashboard"]);
    expect(back.state).toMatchObject({ phase: "running", ranks: { registered: 2 }, schedulerOver: false });
  });

  test("has the script start that waited for workers, and gives it its time anew", () => {
    const early = play([...joined, ready, { e: "published" }, worker(2), ...again, worker(2)]);
    expect(early.of("start-client")).toEqual([]);
    const waiting = play([late("start")], early.state);
    expect(hasEnded(waiting.state)).toBe(false);
    expect(play([worker(3)], waiting.state).of("start-client")).toHaveLength(1);
    expect(play([late("start")], waiting.state).codes).toEqual(["TSD-053"]);
  });

  test("may die again: only the last one's deadline counts", () => {
    const { state } = play([...up, ...again, schedulerRestarts, late("scheduler-back")]);
    expect(hasEnded(state)).toBe(false);
    expect(play([late("scheduler-back")], state).codes).toEqual(["TSD-051"]);
    expect(hasEnded(play([ready, late("scheduler-back")], state).state)).toBe(false);
  });

  test("is looked for by a launch that joined, once at a time, and its workers hear of it", () => {
    const joins = initialState(options({ joins: true, client: false }));
    const seeking = play([...up, waits(2), waits(3)], joins);
    expect(seeking.of("seek")).toHaveLength(1);
    const found = play([{ e: "sought", address: "tls://a:1" }, waits(3)], seeking.state);
    expect(found.of("send")).toEqual([
      { do: "send", hosts: [0, 1], message: { t: "address", scheduler: "tls://a:1" } },
    ]);
    expect(found.of("seek")).toHaveLength(1);
    expect(play([...up, waits(2)]).of("seek")).toEqual([]);
  });
});

const failure = new Failure("TSD-022", {});
/** How each end comes about: events after the launch is up (or instead, with `from`), the code, and the messages. */
const ends: readonly {
  readonly name: string;
  readonly from?: readonly LaunchEvent[];
  readonly with?: Parameters<typeof options>[0];
  readonly events: readonly LaunchEvent[];
  readonly code: number;
  readonly says?: readonly string[];
  readonly kind: string;
}[] = [
  { name: "the script's own exit", events: [exit(7)], code: 7, kind: "script" },
  {
    name: "a script that crashes",
    events: [exit(139, "SIGSEGV")],
    code: 139,
    says: ["TSD-065"],
    kind: "script-killed",
  },
  { name: "a script that somebody ended", events: [exit(143, "SIGTERM")], code: 143, kind: "script-killed" },
  { name: "Jupyter's end", with: { jupyter: true }, events: [exit(0)], code: 0, kind: "jupyter" },
  { name: "a failure on rank 0", events: [{ e: "failed", failure }], code: 69, says: ["TSD-022"], kind: "failed" },
  {
    name: "a failure that a rank reports",
    events: [said(1, 2, { k: "failure", code: "TSD-041", facts: {}, exit: 64 })],
    code: 64,
    says: ["TSD-041"],
    kind: "failed",
  },
  {
    name: "a scheduler that dies",
    events: [schedulerExit(null, "it was killed")],
    code: 72,
    says: ["TSD-051"],
    kind: "scheduler-lost",
  },
  {
    name: "a scheduler that never answers and dies",
    from: joined,
    events: [schedulerExit(1, "it could not")],
    code: 69,
    says: ["TSD-050"],
    kind: "scheduler-lost",
  },
  {
    name: "a scheduler that was started again and does not answer",
    events: [schedulerRestarts, late("scheduler-back")],
    code: 72,
    says: ["TSD-190", "TSD-051"],
    kind: "scheduler-lost",
  },
  {
    name: "a scheduler that cannot be started again",
    events: [schedulerRestarts, schedulerExit(1, "it could not")],
    code: 72,
    says: ["TSD-190", "TSD-051"],
    kind: "scheduler-lost",
  },
  {
    name: "the rank of a scheduler that is started again",
    events: [schedulerRestarts, { e: "rank-gone", host: 0, rank: 0 }],
    code: 72,
    says: ["TSD-190", "TSD-051"],
    kind: "scheduler-lost",
  },
  {
    name: "a signal while there is no scheduler",
    with: { client: false },
    events: [schedulerRestarts, waits(2), { e: "signal", signal: "SIGTERM" }],
    code: 143,
    says: ["TSD-190"],
    kind: "signal",
  },
  {
    name: "a joined launch whose cluster's scheduler does not come back",
    with: { joins: true, client: false },
    events: [waits(2), waits(3), { e: "sought", address: undefined }],
    code: 0,
    kind: "cluster-gone",
  },
  {
    name: "the scheduler's rank",
    events: [{ e: "rank-gone", host: 0, rank: 0 }],
    code: 72,
    says: ["TSD-051"],
    kind: "scheduler-lost",
  },
  {
    name: "the script's rank",
    events: [{ e: "rank-gone", host: 0, rank: 1 }],
    code: 137,
    says: ["TSD-060"],
    kind: "rank-lost",
  },
  {
    name: "all workers' ranks",
    events: [{ e: "rank-gone", host: 1, rank: 2 }, { e: "rank-gone", host: 1, rank: 3 }, late("all-lost")],
    code: 73,
    says: ["TSD-061", "TSD-061", "TSD-054"],
    kind: "workers-lost",
  },
  {
    name: "a host with all workers",
    events: [{ e: "host-lost", host: 1 }, late("all-lost")],
    code: 73,
    says: ["TSD-061", "TSD-061", "TSD-054"],
    kind: "workers-lost",
  },
  {
    name: "workers that are lost for good",
    events: [
      said(1, 2, { k: "worker-lost", why: "x", restarting: false }),
      said(1, 3, { k: "worker-lost", why: "x", restarting: false }),
      late("all-lost"),
    ],
    code: 73,
    says: ["TSD-056", "TSD-056", "TSD-054"],
    kind: "workers-lost",
  },
  {
    name: "a script that waits for workers that cannot come",
    from: [...joined, ready],
    events: [{ e: "rank-gone", host: 1, rank: 2 }, late("too-few")],
    code: 69,
    says: ["TSD-061", "TSD-053"],
    kind: "failed",
  },
  {
    name: "ranks that never come",
    from: joined.slice(0, 2),
    events: [late("start")],
    code: 69,
    says: ["TSD-034"],
    kind: "failed",
  },
  {
    name: "a scheduler that does not answer in time",
    from: joined,
    events: [late("start")],
    code: 69,
    says: ["TSD-050"],
    kind: "failed",
  },
  {
    name: "workers that do not come in time",
    from: [...joined, ready, worker(2)],
    events: [late("start")],
    code: 69,
    says: ["TSD-053"],
    kind: "failed",
  },
  {
    name: "a scheduler that closes before the script starts",
    from: [...joined, ready],
    events: [schedulerExit(0)],
    code: 69,
    says: ["TSD-159"],
    kind: "failed",
  },
  {
    name: "a served cluster that is closed",
    with: { client: false },
    events: [schedulerExit(0)],
    code: 0,
    kind: "closed",
  },
  {
    name: "a served cluster that nobody used",
    with: { client: false, idleTimeout: 60 },
    events: [schedulerExit(0, "idle")],
    code: 0,
    kind: "idle",
  },
  {
    name: "a signal before the script",
    from: joined,
    events: [{ e: "signal", signal: "SIGTERM" }],
    code: 143,
    kind: "signal",
  },
  {
    name: "a signal, and a script that does not listen",
    events: [{ e: "signal", signal: "SIGINT" }, late("departed")],
    code: 130,
    kind: "signal",
  },
  {
    name: "a signal, and a script that ends by it",
    events: [{ e: "signal", signal: "SIGTERM" }, exit(143, "SIGTERM")],
    code: 143,
    kind: "signal",
  },
  {
    name: "a signal, and a script that saves what it has",
    events: [{ e: "signal", signal: "SIGTERM" }, exit(0)],
    code: 0,
    kind: "script",
  },
  { name: "the walltime", events: [{ e: "leave" }, late("departed")], code: 0, kind: "walltime" },
  {
    name: "a joined launch that was retired",
    with: { joins: true, client: false },
    events: [away(2, "retired"), away(3, "idle"), away(0, "retired"), away(1, "retired")],
    code: 0,
    kind: "retired",
  },
  {
    name: "a joined launch whose cluster is gone",
    with: { joins: true, client: false },
    events: [0, 1, 2, 3].map((rank) => away(rank, "scheduler-lost")),
    code: 0,
    kind: "cluster-gone",
  },
  {
    name: "a joined launch at its walltime",
    with: { joins: true, client: false },
    events: [{ e: "leave" }, { e: "retired" }],
    code: 0,
    kind: "walltime",
  },
];

describe.each(ends)("the end by $name", ({ from = up, with: more, events, code, says = [], kind }) => {
  const before = more === undefined ? initialState(options()) : initialState(options(more));

  test("has its code, its messages and its kind", () => {
    const { state, of, codes } = play([...from, ...events], before);
    expect(hasEnded(state)).toBe(true);
    expect(state).toMatchObject({ code });
    expect(codes).toEqual(says);
    expect(of("take-back").map(({ ending }) => ending.kind)).toEqual([kind]);
  });

  test("tells every host that is there, and keeps its code whatever comes then", () => {
    const { of } = play([...from, ...events, exit(99), { e: "failed", failure }, schedulerExit(null), ...over], before);
    const told = of("send").filter(({ message }) => message.t === "end");
    expect(told).toHaveLength(1);
    expect(of("finish")).toEqual([{ do: "finish", code }]);
  });
});

test("a Ctrl-C on a prompt is the script's own, and a second signal changes nothing", () => {
  const prompt = initialState(options({ prompt: true }));
  expect(play([...up, { e: "signal", signal: "SIGINT" }], prompt).state.phase).toBe("running");
  const twice = play([...up, { e: "signal", signal: "SIGTERM" }, { e: "signal", signal: "SIGTERM" }]);
  expect(twice.of("tell").filter(({ message }) => message.t === "script-signal")).toHaveLength(1);
});

test("a warning signal of a batch system reaches the script as SIGTERM", () => {
  const { of } = play([...up, { e: "signal", signal: "SIGUSR1" }]);
  expect(of("tell").at(-1)?.message).toEqual({ t: "script-signal", signal: "SIGTERM" });
});

describe("whatever comes in whatever order", () => {
  const anyRank = fc.integer({ min: 0, max: 3 });
  const anyHost = fc.integer({ min: 0, max: 2 });
  const anyEvent: fc.Arbitrary<LaunchEvent> = fc.oneof(
    fc.record({ e: fc.constant("host-joined" as const), name: fc.constantFrom("a", "b"), rank: anyRank }),
    fc.record({ e: fc.constant("ranks" as const), host: anyHost, ranks: fc.array(anyRank) }),
    fc.record({ e: fc.constant("rank-gone" as const), host: anyHost, rank: anyRank }),
    fc.record({ e: fc.constantFrom("host-done" as const, "host-lost" as const, "welcomed" as const), host: anyHost }),
    anyRank.map(worker),
    fc.constantFrom<LaunchEvent>(
      ready,
      { e: "published" },
      { e: "retired" },
      { e: "taken-back" },
      { e: "leave" },
      { e: "failed", failure },
      { e: "signal", signal: "SIGTERM" },
      schedulerExit(0),
      schedulerExit(null, "killed"),
      schedulerRestarts,
      { e: "sought", address: undefined },
      { e: "sought", address: "tls://a:1" },
      exit(7),
      exit(137, "SIGKILL"),
    ),
    fc.record({
      e: fc.constant("deadline" as const),
      deadline: fc.constantFrom(
        "start" as const,
        "scheduler-back" as const,
        "dashboard" as const,
        "too-few" as const,
        "all-lost" as const,
        "departed" as const,
        "hosts-done" as const,
      ),
      seconds: fc.constant(1),
    }),
    anyRank.map((rank) => away(rank, "retired")),
    anyRank.map(waits),
    anyRank.map((rank) => said(1, rank, { k: "worker-lost", why: "x", restarting: rank % 2 === 0 })),
  );
  const anyOptions = fc.record({
    client: fc.boolean(),
    joins: fc.boolean(),
    jupyter: fc.boolean(),
    prompt: fc.boolean(),
  });
  const seed = Number(process.env["FUZZ_SEED"] ?? 20_261_121);
  const runs = { numRuns: 5_000, seed };

  test("it ends once, with one code, and is done once", () => {
    fc.assert(
      fc.property(anyOptions, fc.array(anyEvent, { maxLength: 60 }), (more, events) => {
        const { of, state } = play([...events, late("hosts-done")], initialState(options(more)));
        const ended = of("take-back");
        expect(ended.length).toBeLessThanOrEqual(1);
        expect(of("finish").length).toBe(ended.length);
        if (ended.length === 1) expect(state).toMatchObject({ phase: "done", code: ended[0]?.facts.code });
      }),
      runs,
    );
  });

  test("it always ends: after the start's deadline and the script's exit nothing is waited for", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 40 }), (events) => {
        const last = [late("start"), late("too-few"), late("all-lost"), late("departed"), exit(0), late("hosts-done")];
        expect(play([...events, ...last]).state.phase).toBe("done");
      }),
      runs,
    );
  });

  test("the code is the script's when the script ended by itself before anything else ended the launch", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 40 }), fc.integer({ min: 0, max: 127 }), (events, code) => {
        const { state } = play(events);
        fc.pre(!hasEnded(state));
        expect(play([exit(code)], state).state).toMatchObject({ code });
      }),
      runs,
    );
  });

  test("a scheduler that is started again is not waited for without a deadline", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 8 }), (events) => {
        const { state } = play([...joined, ready, ...events, schedulerRestarts]);
        const left = Array.from({ length: events.length + 1 }, () => late("scheduler-back"));
        expect(hasEnded(play(left, state).state)).toBe(true);
      }),
      runs,
    );
  });

  test("a rank that was never seen is never gone", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 40 }), anyRank, (events, rank) => {
        const unseen = events.filter(
          (event) =>
            !(event.e === "host-joined" && event.rank === rank) &&
            !(event.e === "ranks" && event.ranks.includes(rank)) &&
            !(event.e === "rank-event" && event.rank === rank),
        );
        const reported = play(unseen).of("report");
        const lost = reported.filter(({ report }) => ["TSD-060", "TSD-061"].includes(report.code));
        expect(lost.map(({ report }) => report.rank)).not.toContain(rank);
      }),
      runs,
    );
  });

  test("no state is changed in place", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 30 }), anyEvent, (events, event) => {
        const { state } = play(events);
        const before = structuredClone(state);
        reduce(state, event);
        expect(state).toEqual(before);
      }),
      { ...runs, numRuns: 1_000 },
    );
  });
});
