import { expect, test } from "vitest";
import { forkQueue } from "../../src/host/fork-queue.ts";
import type { ChildEvent } from "../../src/protocol/fork-server.ts";
import type { Child, ChildSpawn } from "../../src/rank/child.ts";

/** A queue over children that only note what is asked of them. */
function queueOf() {
  const started: ChildSpawn[] = [];
  const told: [string, unknown][] = [];
  const killed: string[] = [];
  const queue = forkQueue((spawn): Child => {
    started.push(spawn);
    return {
      pid: () => 1,
      tell: (message) => told.push([spawn.id, message]),
      kill: () => killed.push(spawn.id),
    };
  });
  const events: [string, ChildEvent["event"]][] = [];
  const ask = (id: string): Child =>
    queue({ id, onEvent: (event) => events.push([id, event.event]) } as Partial<ChildSpawn> as ChildSpawn);
  return { started, told, killed, events, ask };
}

test("asks for 64 children at once, and for the next when one of them is there or refused", () => {
  const { started, ask } = queueOf();
  for (let number = 0; number < 70; number += 1) ask(String(number));
  expect(started).toHaveLength(64);
  started[0]?.onEvent({ event: "forked", pid: 7 });
  started[0]?.onEvent({ event: "exit", code: 0, signal: null });
  started[1]?.onEvent({ event: "refused", reason: "cgroup", message: "" });
  expect(started.map(({ id }) => id).slice(64)).toEqual(["64", "65"]);
});

test("what a waiting child is told reaches it when it is asked for, in order", () => {
  const { started, told, ask } = queueOf();
  for (let number = 0; number < 64; number += 1) ask(String(number));
  const late = ask("late");
  late.tell({ op: "address", scheduler: "tls://a" });
  expect(told).toEqual([]);
  started[0]?.onEvent({ event: "forked", pid: 7 });
  late.tell({ op: "stop", grace: 1 });
  expect(told).toEqual([
    ["late", { op: "address", scheduler: "tls://a" }],
    ["late", { op: "stop", grace: 1 }],
  ]);
});

test("a waiting child that is stopped or killed has ended, and is never asked for", async () => {
  const { started, events, killed, ask } = queueOf();
  for (let number = 0; number < 64; number += 1) ask(String(number));
  ask("stopped").tell({ op: "stop", grace: 1 });
  ask("killed").kill("SIGKILL");
  await Promise.resolve();
  expect(events).toEqual([
    ["stopped", "exit"],
    ["killed", "exit"],
  ]);
  for (const one of [...started]) one.onEvent({ event: "forked", pid: 7 });
  expect(started).toHaveLength(64);
  expect(killed).toEqual([]);
});
