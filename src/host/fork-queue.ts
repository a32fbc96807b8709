import { startChild, type Child, type ChildSpawn } from "../rank/child.ts";
import type { ChildCommand, ChildEvent } from "../protocol/fork-server.ts";

/**
 * So many requests wait at the fork server at once: each has two connections there, and open files are few on some
 * hosts.
 */
const atOnce = 64;

/**
 * Starts children as `startChild` does, a few at a time: the others wait here until the fork server has taken those.
 * One that is killed, or told to stop, before it was asked for has ended by the signal 15.
 */
export function forkQueue(start: (spawn: ChildSpawn) => Child = startChild): (spawn: ChildSpawn) => Child {
  const waiting: (() => void)[] = [];
  let running = 0;
  const next = (): void => {
    while (running < atOnce) {
      const begin = waiting.shift();
      if (begin === undefined) return;
      running += 1;
      begin();
    }
  };
  return (spawn) => {
    let child: Child | undefined;
    let asking = true;
    const told: ChildCommand[] = [];
    const taken = (event: ChildEvent): void => {
      if (asking) {
        asking = false;
        running -= 1;
        next();
      }
      spawn.onEvent(event);
    };
    const begin = (): void => {
      child = start({ ...spawn, onEvent: taken });
      for (const command of told) child.tell(command);
    };
    const withdraw = (): boolean => {
      const at = waiting.indexOf(begin);
      if (at < 0) return false;
      waiting.splice(at, 1);
      queueMicrotask(() => spawn.onEvent({ event: "exit", code: null, signal: 15 }));
      return true;
    };
    waiting.push(begin);
    next();
    return {
      pid: () => child?.pid(),
      tell: (command) => {
        if (child !== undefined) child.tell(command);
        else if (command.op !== "stop" || !withdraw()) told.push(command);
      },
      kill: (signal) => {
        if (child !== undefined) child.kill(signal);
        else withdraw();
      },
    };
  };
}
