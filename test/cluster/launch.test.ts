import { afterEach, expect, test, vi } from "vitest";
import { createLaunch, type LaunchContext, type LaunchHooks } from "../../src/cluster/launch.ts";
import { Failure } from "../../src/errors/failure.ts";
import { channelPair } from "../../src/protocol/channel.ts";
import type { FromLeader, ToLeader } from "../../src/protocol/messages.ts";
import type { Log } from "../../src/ui/log.ts";
import { options } from "./play.ts";

const hour = 3_600_000;

afterEach(() => {
  vi.useRealTimers();
});

test.each([["5 minutes", 1 / 12] as const, ["600 hours, more than a timer of Node's takes", 600] as const])(
  "--start-timeout is as long as it says: %s",
  (_, hours) => {
    vi.useFakeTimers();
    const failed = vi.fn<LaunchHooks["onFailure"]>();
    const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined } as unknown as Log;
    const hooks = { onFailure: failed, onWaiting: () => undefined, onEnd: async () => undefined };
    createLaunch({
      ...options({ startTimeout: hours * 3600 }),
      log: quiet,
      hooks: { ...hooks, finished: () => undefined } as unknown as LaunchHooks,
    } as unknown as LaunchContext);
    vi.advanceTimersByTime(hours * hour - 1);
    expect(failed).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(failed.mock.calls.map(([{ code }]) => code)).toEqual(["TSD-034"]);
  },
);

test("a host that has a rank of another host, which lives, is told to end, and takes no part", async () => {
  vi.useFakeTimers();
  const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const launch = createLaunch({
    ...options(),
    log: quiet as unknown as Log,
    secrets: new Promise(() => undefined),
    hooks: {} as unknown as LaunchHooks,
  } as unknown as LaunchContext);
  const join = (name: string, rank: number): ToLeader["t"][] => {
    const [leader, hub] = channelPair<FromLeader, ToLeader>();
    const heard: ToLeader["t"][] = [];
    leader.onMessage((message) => {
      heard.push(message.t);
      if (message.t === "end") leader.send({ t: "host-done" });
    });
    launch.attach(hub, name, rank);
    return heard;
  };
  const hosts = [join("a", 0), join("b", 2), join("x", 0), join("y", 2), join("a", 0)];
  await vi.advanceTimersByTimeAsync(0);
  expect(hosts).toEqual([[], [], ["end"], ["end"], []]);
});

test("a publication that is under way when the launch ends is waited for before it is taken back, but not for ever", async () => {
  vi.useFakeTimers();
  for (const hangs of [false, true]) {
    const done: string[] = [];
    const publication = Promise.withResolvers<void>();
    const hooks = {
      onScheduler: () => publication.promise.then(() => void done.push("published")),
      onEnd: async () => void done.push("taken back"),
      finished: () => undefined,
    };
    const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
    const facts = { address: "tls://a:1", identity: {}, dashboard: null, host: "a" };
    const launch = createLaunch({
      ...options({ joins: true, client: false }),
      log: quiet as unknown as Log,
      join: Promise.resolve(facts),
      hooks: hooks as unknown as LaunchHooks,
    } as unknown as LaunchContext);
    await vi.advanceTimersByTimeAsync(0);
    launch.interrupt("SIGTERM");
    await vi.advanceTimersByTimeAsync(500);
    expect(done).toEqual([]);
    if (!hangs) publication.resolve();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(done).toEqual(hangs ? ["taken back"] : ["published", "taken back"]);
  }
});

test("a host that comes when there are no secrets is told that the launch has ended", async () => {
  const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const hooks = { onFailure: () => undefined, onEnd: async () => undefined, finished: () => undefined };
  const launch = createLaunch({
    ...options(),
    log: quiet as unknown as Log,
    secrets: Promise.reject(new Failure("TSD-074", { path: "/no.pem", problem: "there is no such file" })),
    hooks: hooks as unknown as LaunchHooks,
  } as unknown as LaunchContext);
  for (const rank of [0, 2]) {
    const [host, hub] = channelPair<FromLeader, ToLeader>();
    launch.attach(hub, `h${rank}`, rank, 2);
    const told = await new Promise((resolve) => host.onMessage(resolve));
    expect(told).toEqual({ t: "end", code: 69, grace: 5 });
  }
});
