import { EventEmitter } from "node:events";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { WebSocket } from "ws";
import { wsChannel } from "../../src/protocol/ws-channel.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function silentSocket(silence = 20_000) {
  const ws = Object.assign(new EventEmitter(), { terminate: vi.fn() });
  wsChannel(ws as unknown as WebSocket, () => undefined, silence);
  return ws;
}

test("a side that says nothing is taken for lost after its time, and not before", () => {
  const ws = silentSocket();
  vi.advanceTimersByTime(15_000);
  ws.emit("ping");
  vi.advanceTimersByTime(20_000);
  expect(ws.terminate).not.toHaveBeenCalled();
  vi.advanceTimersByTime(2_000);
  expect(ws.terminate).toHaveBeenCalled();
});

test("a process that was stopped hears the other side before it takes it for lost", async () => {
  vi.useRealTimers();
  const ws = silentSocket(1000);
  await new Promise((resolve) => setTimeout(resolve, 1));
  // A loop that stands still for longer than the time of silence, as in a process that was stopped.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1200);
  await new Promise((resolve) => setTimeout(resolve, 1));
  await new Promise((resolve) => setImmediate(resolve));
  expect(ws.terminate).not.toHaveBeenCalled();
  ws.emit("close");
});
