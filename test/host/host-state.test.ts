import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  initialHost,
  reduceHost,
  type HostEffect,
  type HostEvent,
  type HostOptions,
  type HostState,
} from "../../src/host/host-state.ts";
import type { Assign } from "../../src/protocol/messages.ts";
import { runsOr, seed } from "../fuzz/fuzz.ts";

/** Ranks 0 to 2 of three, all on this host, which rank 0 leads; rank 1 runs the script. */
const options: HostOptions = { rank: 0, localSize: 3, resultRank: 1, clientRank: 1, pmi: false, waitForAll: false };

function play(events: readonly HostEvent[], from: HostState = initialHost(options)) {
  let state = from;
  const effects: HostEffect[] = [];
  for (const event of events) {
    const [next, more] = reduceHost(state, event);
    state = next;
    effects.push(...more);
  }
  const of = <K extends HostEffect["do"]>(kind: K): Extract<HostEffect, { do: K }>[] =>
    effects.filter((effect): effect is Extract<HostEffect, { do: K }> => effect.do === kind);
  const sent = (rank: number): string[] => of("send").flatMap((one) => (one.rank === rank ? one.message.t : []));
  return { state, effects, of, sent };
}

const met = (rank: number): HostEvent => ({ e: "met", rank });
const gone = (rank: number): HostEvent => ({ e: "gone", rank });
const assign = { t: "assign" } as Assign;
const all = [met(0), met(1), met(2), { e: "prepared" } as const];
const ended: HostEvent = { e: "end", code: 7, grace: 5 };

describe("the ranks of a host", () => {
  test("are told what to do when the credentials are there, each once", () => {
    expect(play([met(0), met(1)]).of("assign")).toEqual([]);
    expect(
      play([...all, met(2)])
        .of("assign")
        .map(({ rank }) => rank),
    ).toEqual([0, 1, 2]);
  });

  test("wait for each other where their shares differ, and not for ever", () => {
    const bound = initialHost({ ...options, waitForAll: true });
    expect(play([met(0), met(1), { e: "prepared" }], bound).of("assign")).toEqual([]);
    expect(play([met(0), met(1), { e: "prepared" }, met(2)], bound).of("assign")).toHaveLength(3);
    expect(play([met(0), { e: "prepared" }, { e: "all-here" }], bound).of("assign")).toHaveLength(1);
  });

  test("hear the scheduler's address after what they are to do, whichever comes first", () => {
    const address: HostEvent = { e: "scheduler", address: "tls://a" };
    const told: HostEvent = { e: "assignment", rank: 2, assign };
    expect(play([...all, told, address]).sent(2)).toEqual(["assign", "address"]);
    expect(play([met(2), address, { e: "prepared" }, told]).sent(2)).toEqual(["assign", "address"]);
  });

  test("that come after the end are told to leave", () => {
    expect(play([met(0), ended, met(2)]).sent(2)).toEqual(["end"]);
  });

  test("take part in the launcher's exchange first, where there is one", () => {
    expect(play([met(2)], initialHost({ ...options, pmi: true })).sent(2)).toEqual(["pmi"]);
  });

  test("that become another process are told anew", () => {
    const { of } = play([...all, { e: "hand-over", rank: 2 }, met(2)]);
    expect(of("assign").filter(({ rank }) => rank === 2)).toHaveLength(2);
    expect(of("up").map(({ message }) => message.t)).not.toContain("gone");
  });
});

describe("the end of a host", () => {
  test("gives the launch's code to the one rank that returns it", () => {
    const codes = play([...all, ended])
      .of("send")
      .flatMap(({ message }) => (message.t === "end" ? message.code : []));
    expect(codes).toEqual([0, 7, 0]);
  });

  test("comes when the agent's part is done and all but the client's rank have left", () => {
    expect(play([...all, ended, gone(2)]).of("clean")).toEqual([]);
    expect(play([...all, ended, { e: "own-done" }]).of("clean")).toEqual([]);
    const { of, state } = play([...all, ended, { e: "own-done" }, gone(2), gone(1), { e: "cleaned" }]);
    expect(of("clean")).toEqual([{ do: "clean", grace: 5 }]);
    expect(of("up").at(-1)?.message).toEqual({ t: "host-done" });
    expect(state.phase).toBe("done");
  });

  test("of rank 0's host is not the end of rank 0; of others it is, the client's after the hub has left", () => {
    const end: HostEvent[] = [...all, ended, { e: "own-done" }, gone(2), { e: "cleaned" }];
    expect(play(end).of("finish")).toEqual([]);
    const other = { ...options, rank: 2, clientRank: undefined, resultRank: 0 };
    expect(play([met(2), ended, { e: "own-done" }, { e: "cleaned" }], initialHost(other)).of("finish")).toHaveLength(1);
    const client = initialHost({ ...options, rank: 2, clientRank: 2, resultRank: 2 });
    const last: HostEvent[] = [met(2), ended, { e: "own-done" }, { e: "cleaned" }];
    expect(play(last, client).of("finish")).toEqual([]);
    expect(play([...last, { e: "hub-closed" }], client).of("finish")).toEqual([{ do: "finish", code: 7 }]);
  });

  test("comes with 72 when the hub goes away without a word, and is said", () => {
    const { of, state } = play([...all, { e: "hub-closed" }]);
    expect(of("say-hub-gone")).toHaveLength(1);
    expect(state.end).toEqual({ code: 72, grace: 2 });
    expect(play([...all, ended, { e: "hub-closed" }]).of("say-hub-gone")).toEqual([]);
  });
});

describe("whatever comes in whatever order", () => {
  const anyRank = fc.integer({ min: 0, max: 3 });
  const anyEvent: fc.Arbitrary<HostEvent> = fc.oneof(
    anyRank.map(met),
    anyRank.map(gone),
    anyRank.map((rank): HostEvent => ({ e: "died-unseen", rank })),
    anyRank.map((rank): HostEvent => ({ e: "hand-over", rank })),
    anyRank.map((rank): HostEvent => ({ e: "assignment", rank, assign })),
    fc.constantFrom<HostEvent>(
      { e: "prepared" },
      { e: "all-here" },
      { e: "scheduler", address: "tls://a" },
      ended,
      { e: "hub-closed" },
      { e: "own-done" },
      { e: "cleaned" },
    ),
  );
  const runs = { numRuns: runsOr(5_000), seed };

  test("a host cleans up once, says so once, and never before the launch has ended", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 50 }), (events) => {
        const { of, state } = play(events);
        expect(of("clean").length).toBeLessThanOrEqual(1);
        const dones = of("up").filter(({ message }) => message.t === "host-done");
        expect(dones.length).toBeLessThanOrEqual(1);
        if (of("clean").length > 0) expect(state.end).toBeDefined();
      }),
      runs,
    );
  });

  test("it is always done: once its launch has ended and everybody has left", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 40 }), (events) => {
        const last: HostEvent[] = [ended, { e: "own-done" }, ...[0, 1, 2, 3].map(gone), { e: "cleaned" }];
        expect(play([...events, ...last]).state.phase).toBe("done");
      }),
      runs,
    );
  });

  test("a rank is gone at most once, and only while the launch runs", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 50 }), (events) => {
        const known = events.filter(({ e }) => e !== "hand-over" && e !== "died-unseen");
        const lost = play(known)
          .of("up")
          .flatMap(({ message }) => (message.t === "gone" ? message.rank : []));
        expect(new Set(lost).size).toBe(lost.length);
        const after = play([...known, ended, gone(0), gone(1), gone(2), gone(3)], initialHost(options));
        expect(after.of("up").filter(({ message }) => message.t === "gone")).toHaveLength(lost.length);
      }),
      runs,
    );
  });
});
