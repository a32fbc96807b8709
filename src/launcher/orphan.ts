import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { starters } from "./known.ts";

/**
 * Whether the launcher had gone before this process could look, so that its parent was process 1 from the beginning
 * (`parent`: its pid). In a container, process 1 may be the launcher itself, or have passed its own stderr on: it holds
 * an end of the pipe that is this process's stderr then (proc(5), `fd`). What cannot be told is no orphan. Never
 * throws.
 */
export function isOrphan(parent: number, proc = "/proc"): boolean {
  if (parent !== 1) return false;
  try {
    const first = readFileSync(`${proc}/1/comm`, "utf8").trim();
    if (starters.test(first)) return false;
    const stderr = readlinkSync(`${proc}/self/fd/2`);
    const held = stderr.startsWith("pipe:") ? heldBy(`${proc}/1/fd`) : undefined;
    return held === undefined ? /^(systemd|init)$/.test(first) : !held.includes(stderr);
  } catch {
    return false;
  }
}

/** What a process has open; undefined where it is another user's. */
function heldBy(folder: string): readonly string[] | undefined {
  try {
    return readdirSync(folder).flatMap((name) => {
      try {
        return [readlinkSync(`${folder}/${name}`)];
      } catch {
        return []; // closed meanwhile
      }
    });
  } catch {
    return undefined;
  }
}
