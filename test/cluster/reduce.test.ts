import { describe, expect, test } from "vitest";
import { plan as planRoles } from "../../src/cluster/plan.ts";
import { hasEnded, initialState, type LaunchEvent } from "../../src/cluster/state.ts";
import { Failure } from "../../src/errors/failure.ts";
import {
  away,
  exit,
  joined,
  late,
  options,
  over,
  play,
  ready,
  said,
  schedulerExit,
  schedulerRestarts,
  up,
  waits,
  worker,
} from "./play.ts";

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
  });

  test("waits for them where it has failed, too, but not where they were waited for, nor where it was told to end", () => {
    const alone: LaunchEvent[] = [
      { e: "host-joined", name: "a", rank: 0 },
      { e: "ranks", host: 0, ranks: [1], of: 2 },
    ];
    const over: LaunchEvent[] = [{ e: "taken-back" }, { e: "host-done", host: 0 }];
    const end = (event: LaunchEvent, ...before: LaunchEvent[]) => play([...alone, ...before, event, ...over]);
    const failed: LaunchEvent = { e: "failed", failure: new Failure("TSD-026", { path: "/f" }) };
    for (const [event, code] of [
      [failed, 64],
      [schedulerExit(1), 69],
    ] as const) {
      const { of, state } = end(event);
      expect(of("take-back")).toMatchObject([{ facts: { hostsToCome: true } }]);
      expect(state.phase).toBe("ending");
      const { effects } = play(
        [
          { e: "host-joined", name: "b", rank: 2 },
          { e: "welcomed", host: 1 },
        ],
        state,
      );
      expect(effects).toContainEqual({ do: "send", hosts: [1], message: { t: "end", code, grace: 5 } });
      expect(play([late("hosts-done")], state).state.phase).toBe("done");
    }
    const unreached: LaunchEvent = { e: "failed", failure: new Failure("TSD-022", { rank: 2, host: "b" }) };
    for (const event of [unreached, late("start"), { e: "signal", signal: "SIGTERM" } as const])
      expect(end(event).state.phase).toBe("done");
    // All are here.
    expect(end(failed, { e: "ranks", host: 0, ranks: [], of: 4 }).state.phase).toBe("done");
  });

  test("does not wait for hosts for ever", () => {
    expect(play([...up, exit(0), late("hosts-done")]).state.phase).toBe("done");
  });

  test("waits for the cancelling of listed jobs longer than for hosts, but not for ever", () => {
    const { state, of } = play([...up, exit(0), { e: "jobs-listed" }, late("hosts-done")]);
    expect(of("wait").slice(-2)).toEqual([
      { do: "wait", deadline: "hosts-done" },
      { do: "wait", deadline: "jobs-cancelled" },
    ]);
    expect(state.phase).toBe("ending");
    for (const over of [{ e: "taken-back" } as const, late("jobs-cancelled")])
      expect(play([over], state).of("finish")).toEqual([{ do: "finish", code: 0 }]);
    // Jobs that take their time keep nobody waiting for hosts.
    const hosts = play([...up, exit(0), { e: "jobs-listed" }, late("jobs-cancelled")]);
    expect(hosts.state.phase).toBe("ending");
    expect(play([late("hosts-done")], hosts.state).state.phase).toBe("done");
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
    events: [schedulerExit(0, "idle", "idle")],
    code: 0,
    kind: "idle",
  },
  {
    name: "a served cluster that is closed for another reason, with a word of idleness",
    with: { client: false, idleTimeout: 60 },
    events: [schedulerExit(0, "the disk was idle")],
    code: 0,
    kind: "closed",
  },
  {
    name: "a script whose only worker leaves in order before it starts",
    with: {
      plan: planRoles({ size: 3, scheduler: true, schedulerRank: 0, client: true, exclusiveWorkers: true }),
      wanted: 1,
    },
    from: [...joined, ready, { e: "published" }],
    events: [away(2, "idle"), late("too-few")],
    code: 69,
    says: ["TSD-053"],
    kind: "failed",
  },
  {
    name: "a script that waits for one worker where all leave in order",
    with: { wanted: 1 },
    from: [...joined, ready, { e: "published" }],
    events: [away(2, "lifetime"), away(3, "retired"), late("too-few")],
    code: 69,
    says: ["TSD-053"],
    kind: "failed",
  },
  {
    name: "workers of a joined launch that are lost, with a scheduler's word for it",
    with: { joins: true, client: false },
    events: [
      ...[0, 1, 2].map((rank) => away(rank, "scheduler-lost")),
      said(1, 3, { k: "worker-lost", why: "scheduler-lost", restarting: false }),
      late("all-lost"),
    ],
    code: 73,
    says: ["TSD-056", "TSD-054"],
    kind: "workers-lost",
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

describe("workers that leave in order", () => {
  const early: readonly LaunchEvent[] = [...joined, ready, { e: "published" }];
  test.each<{ name: string; wanted: number; events: readonly LaunchEvent[]; waits: readonly string[] }>([
    { name: "one of two, both wanted", wanted: 2, events: [away(2, "idle")], waits: ["too-few"] },
    { name: "one of two, one wanted", wanted: 1, events: [away(2, "idle")], waits: [] },
    { name: "both, one wanted", wanted: 1, events: [away(2, "idle"), away(3, "idle")], waits: ["too-few"] },
    { name: "both, none wanted", wanted: 0, events: [away(2, "idle"), away(3, "idle")], waits: [] },
    { name: "both, three wanted (others join)", wanted: 3, events: [away(2, "idle"), away(3, "idle")], waits: [] },
  ])("are waited for by nobody: $name", ({ wanted, events, waits }) => {
    const from = play(early, initialState(options({ wanted }))).state;
    expect(play(events, from).of("wait")).toEqual(waits.map((deadline) => ({ do: "wait", deadline })));
  });

  test("are named in the message with why they left", () => {
    const { of } = play([...early, away(2, "lifetime"), late("too-few")]);
    expect(of("report").map(({ report }) => report.facts["missing"])).toEqual([
      "rank 2 on b (it left: lifetime), rank 3 on b",
    ]);
  });

  test("are not lost when their ranks go, too", () => {
    const { codes, state } = play([...up, away(2, "idle"), away(3, "idle"), { e: "host-lost", host: 1 }]);
    expect([codes, state.phase]).toEqual([[], "running"]);
  });
});

test.each<{ name: string; event: LaunchEvent; says: string }>([
  { name: "is started again", event: said(1, 2, { k: "worker-lost", why: "x", restarting: true }), says: "TSD-055" },
  { name: "stays away", event: said(1, 2, { k: "worker-lost", why: "x", restarting: false }), says: "TSD-056" },
  { name: "goes with its rank", event: { e: "rank-gone", host: 1, rank: 2 }, says: "TSD-061" },
  { name: "forks nothing", event: said(1, 2, { k: "warning", code: "TSD-058", facts: {} }), says: "TSD-058" },
])("a launch survives a worker that $name, with a word of it", ({ event, says }) => {
  const { state, codes, of } = play([...up, event]);
  expect([state.phase, codes, of("wait").filter(({ deadline }) => deadline !== "dashboard")]).toEqual([
    "running",
    [says],
    [],
  ]);
});

test("workers that were lost just before the launch takes its leave do not end it otherwise", () => {
  const lost = [2, 3].map((rank) => said(1, rank, { k: "worker-lost", why: "x", restarting: false }));
  const { state, codes } = play([...up, ...lost, { e: "leave" }, late("all-lost")]);
  expect([state.phase, codes]).toEqual(["departing", ["TSD-056", "TSD-056"]]);
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
