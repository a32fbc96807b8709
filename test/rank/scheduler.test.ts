import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ChildEvent } from "../../src/protocol/fork-server.ts";
import type { ChildRequest, RankEvent, SchedulerRequest, WorkerRequest } from "../../src/protocol/messages.ts";
import { atSamePorts, superviseScheduler } from "../../src/rank/scheduler.ts";
import { superviseWorker } from "../../src/rank/worker.ts";

type Params = Readonly<Record<string, unknown>>;

const request = (kwargs: Params, users: Params = {}): SchedulerRequest => ({
  kind: "scheduler",
  cpu_count: 1,
  memory_limit: null,
  sys_path: [],
  params: { kwargs, user_kwargs: users },
});

const worker: WorkerRequest = { ...request({}), kind: "worker" };

/** What a supervisor starts, tells and reports; `say` is the newest child's. */
function recorded() {
  const requests: ChildRequest[] = [];
  const told: unknown[] = [];
  const reports: RankEvent[] = [];
  let say: (event: ChildEvent) => void = () => undefined;
  return {
    requests,
    told,
    reports,
    say: (...events: ChildEvent[]) => {
      for (const event of events) say(event);
    },
    options: {
      host: "h1",
      python: "/env/bin/python",
      lastWords: () => "",
      report: (event: RankEvent) => void reports.push(event),
      start: (wanted: ChildRequest, onEvent: (event: ChildEvent) => void) => {
        requests.push(wanted);
        say = onEvent;
        const child = requests.length;
        return {
          pid: () => undefined,
          tell: (message: unknown) => void told.push([child, message]),
          kill: () => undefined,
        };
      },
    },
  };
}

const ready: ChildEvent = {
  ...{ event: "ready", kind: "scheduler", address: "tls://10.0.0.1:4711", identity: {} },
  ...{ dashboard: 8787, https: false },
} as ChildEvent;
const killed: ChildEvent = { event: "exit", code: null, signal: 9 };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("a scheduler that died is asked for at the ports it had, also where the user's own arguments name others", () => {
  const params = (users: Params = {}): unknown =>
    atSamePorts(request({ dashboard_address: "127.0.0.1:8787", port: 0 }, users), "tls://[::1]:4711", 40_001).params;
  expect(params()).toEqual({ kwargs: { dashboard_address: "127.0.0.1:40001", port: 4711 }, user_kwargs: {} });
  expect(params({ dashboard_address: ":0", port: 0 })).toMatchObject({
    user_kwargs: { dashboard_address: ":40001", port: 4711 },
  });
  expect(atSamePorts(request({}), "inproc://x", null).params).toEqual({ kwargs: {}, user_kwargs: {} });
});

test("it is started again as often as is allowed, also when the first try fails, and with a clean record a minute later", () => {
  const { options, requests, reports, say } = recorded();
  superviseScheduler({ ...options, request: request({ dashboard_address: ":0" }), restarts: 2 });
  say(ready, killed);
  vi.advanceTimersByTime(0);
  expect(reports.at(-1)).toMatchObject({ k: "scheduler-exit", restarting: true });
  expect(requests[1]?.params).toMatchObject({ kwargs: { port: 4711, dashboard_address: ":8787" } });
  say({ event: "failed", code: "port", message: "taken" } as ChildEvent, { event: "exit", code: 1, signal: null });
  expect(reports.at(-1)).toMatchObject({ k: "note" });
  vi.advanceTimersByTime(1_000);
  say(ready);
  vi.advanceTimersByTime(61_000);
  say(killed);
  vi.advanceTimersByTime(0);
  say(ready, killed);
  vi.advanceTimersByTime(0);
  expect(requests).toHaveLength(5);
  say(ready, killed);
  expect(reports.at(-1)).toEqual({
    k: "scheduler-exit",
    code: null,
    signal: 9,
    why: expect.stringContaining("SIGKILL"),
  });
  vi.advanceTimersByTime(60_000);
  expect(requests).toHaveLength(5);
});

test("it says why it closed in order by one of the contract's words, and no such word of one that did not", () => {
  for (const [code, why, reason] of [
    [0, "idle", "idle"],
    [1, "it ended with exit code 1", undefined],
  ] as const) {
    const { options, reports, say } = recorded();
    superviseScheduler({ ...options, request: request({}), restarts: 0 });
    say(ready, { event: "closing", reason: "idle" }, { event: "exit", code, signal: null });
    const known = { k: "scheduler-exit", code, signal: null, why };
    expect(reports.at(-1)).toEqual(reason === undefined ? known : { ...known, reason });
  }
});

test("it is not started again where it never answered, closed in order, or is to end", async () => {
  for (const [events, restarts] of [
    [[killed], 5],
    [[ready, { event: "exit", code: 0, signal: null }], 5],
    [[ready, killed], 0],
  ] as const) {
    const { options, requests, reports, say } = recorded();
    superviseScheduler({ ...options, request: request({}), restarts });
    say(...events);
    vi.advanceTimersByTime(60_000);
    expect(requests).toHaveLength(1);
    expect(reports.at(-1)).not.toHaveProperty("restarting");
  }
  const { options, requests, say } = recorded();
  const supervised = superviseScheduler({ ...options, request: request({}), restarts: 5 });
  say(ready, killed);
  await supervised.end(1);
  vi.advanceTimersByTime(60_000);
  expect(requests).toHaveLength(1);
});

test("a Dask without what keeps strangers out ends the launch, one without a convenience is a warning", () => {
  const { options, requests, reports, say } = recorded();
  superviseScheduler({ ...options, request: request({}), restarts: 5 });
  say({ event: "lacking", message: "distributed 2099.1.0 has no y" });
  expect(reports).toEqual([
    { k: "warning", code: "TSD-180", facts: { host: "h1", problem: "distributed 2099.1.0 has no y" } },
  ]);
  say({ event: "failed", code: "incompatible", message: "distributed 2099.1.0 has no x" });
  say({ event: "exit", code: 1, signal: null });
  const facts = { host: "h1", python: "/env/bin/python", problem: "distributed 2099.1.0 has no x" };
  expect(reports.at(-1)).toEqual({ k: "failure", code: "TSD-179", facts, exit: 69 });
  expect(requests).toHaveLength(1);
});

test("a worker that lost its scheduler hears of the next one, or tries the address after a while", () => {
  const { options, requests, told, reports, say } = recorded();
  const base = { ...options, request: worker, restarts: 5, terminateAt: 0 };
  const supervised = superviseWorker({ ...base, schedulerReturns: true });
  const lose = (): void =>
    say({ event: "closing", reason: "scheduler-lost" } as ChildEvent, { event: "exit", code: 0, signal: null });
  const address = { op: "address", scheduler: "a" };
  supervised.address("a");
  lose();
  expect(reports.at(-1)).toEqual({ k: "worker-waits" });
  expect(told).toEqual([[1, address]]);
  supervised.address("a");
  expect(told.at(-1)).toEqual([2, address]);
  // It is heard of before the loss is noticed.
  supervised.address("a");
  lose();
  expect(told.at(-1)).toEqual([3, address]);
  lose();
  expect(told).toHaveLength(3);
  vi.advanceTimersByTime(10_000);
  expect(told.at(-1)).toEqual([4, address]);
  expect(requests).toHaveLength(4);
});

test("without that, a worker that lost its scheduler stays away", () => {
  const { options, requests, reports, say } = recorded();
  superviseWorker({ ...options, request: worker, restarts: 5, terminateAt: 0, schedulerReturns: false });
  say({ event: "closing", reason: "scheduler-lost" } as ChildEvent, { event: "exit", code: 0, signal: null });
  expect(reports).toEqual([{ k: "worker-away", why: "scheduler-lost" }]);
  expect(requests).toHaveLength(1);
});

const stopped: readonly ChildEvent[] = [
  { event: "closing", reason: "stop" } as ChildEvent,
  { event: "exit", code: 0, signal: null },
];

test("a child that SIGINT has stopped is a loss, unless its rank is told to end by the same signal", async () => {
  const why = "it was told to end (SIGINT), by nobody of this launch";
  const lost = recorded();
  superviseScheduler({ ...lost.options, request: request({}), restarts: 0 });
  lost.say(ready, ...stopped);
  expect(lost.reports.map(({ k }) => k)).toEqual(["scheduler-ready"]);
  vi.advanceTimersByTime(1_000);
  expect(lost.reports.at(-1)).toEqual({ k: "scheduler-exit", code: null, signal: 2, why });

  const lostWorker = recorded();
  superviseWorker({ ...lostWorker.options, request: worker, restarts: 1, terminateAt: 0, schedulerReturns: false });
  lostWorker.say(...stopped);
  vi.advanceTimersByTime(1_000);
  expect(lostWorker.reports).toEqual([{ k: "worker-lost", why, restarting: true }]);
  expect(lostWorker.requests).toHaveLength(2);

  const ending = recorded();
  const supervised = superviseScheduler({ ...ending.options, request: request({}), restarts: 5 });
  ending.say(ready, ...stopped);
  await supervised.end(1);
  vi.advanceTimersByTime(60_000);
  expect(ending.reports.map(({ k }) => k)).toEqual(["scheduler-ready"]);
  expect(ending.requests).toHaveLength(1);
});
