import { execFileSync, spawnSync } from "node:child_process";
import { lstatSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { procStat } from "../../src/launcher/proc-stat.ts";
import type { Hosts } from "../integration/bed/hosts.ts";
import { type Clean, filesIn } from "../integration/bed/left.ts";
import { signalAll } from "../integration/bed/processes.ts";
import type { Fault, Target } from "./plan.ts";

/** Where a round takes place. */
export interface Scene {
  readonly clean: Clean;
  readonly hosts: Hosts | undefined;
  /** The process of a signal's part, as soon as it is there; undefined when the launch has ended before. */
  readonly find: (one: { readonly part: Target; readonly pick?: number }) => Promise<number | undefined>;
  /** Resolves when the launcher has ended. */
  readonly ended: Promise<undefined>;
}

const folderOf = (clean: Clean, { place }: { readonly place: "cwd" | "tmp" }): string =>
  place === "cwd" ? clean.folder : clean.tmp;

/** Makes a folder one that can become full; returns how to make it an ordinary one again. */
export function prepare(clean: Clean, fault: Fault): () => void {
  if (fault.kind === "read-only") return () => immutable(folderOf(clean, fault), "-i");
  if (fault.kind !== "full") return () => undefined;
  const path = folderOf(clean, fault);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", path]);
  return () => execFileSync("umount", ["-l", path]);
}

/**
 * Lets nobody, root included, make or remove anything in a folder and those below it (chattr(1)), or lets all again.
 */
function immutable(folder: string, flag: "+i" | "-i"): void {
  const folders = filesIn(folder).filter((name) => isFolder(join(folder, name)));
  // A file system that knows no such flag, or a folder that has gone meanwhile, is left as it is.
  spawnSync("chattr", ["-f", flag, "--", folder, ...folders.map((name) => join(folder, name))]);
}

const isFolder = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

const commandOf = (pid: number): string => procStat(pid)?.command ?? "a process that had ended";

/** Lets it happen, and returns when it is over; says what was done. */
export async function happen(fault: Fault, { clean, hosts, find, ended }: Scene): Promise<string> {
  switch (fault.kind) {
    case "signal": {
      const pid = await find(fault);
      if (pid === undefined) return `${fault.part} had ended`;
      const who = fault.part === "any process" ? `${commandOf(pid)} ${pid}` : `${fault.part} ${pid}`;
      signalAll([pid], fault.signal);
      if (fault.signal === "SIGSTOP") {
        await sleep(fault.lasts);
        signalAll([pid], "SIGCONT");
      }
      return `${fault.signal} to ${who}`;
    }
    case "remove": {
      const folder = folderOf(clean, fault);
      const files = filesIn(folder).filter((name) => !isFolder(join(folder, name)));
      const name = files.sort()[Math.floor(fault.pick * files.length)];
      if (name === undefined) return "no file was there";
      rmSync(join(folder, name), { force: true });
      return `removed ${fault.place}/${name}`;
    }
    case "read-only": {
      immutable(folderOf(clean, fault), "+i");
      await Promise.race([sleep(fault.lasts, undefined, { ref: false }), ended]);
      immutable(folderOf(clean, fault), "-i");
      return `${fault.place} was read-only`;
    }
    case "full": {
      const fill = join(folderOf(clean, fault), "fill");
      try {
        writeFileSync(fill, Buffer.alloc(17 * 2 ** 20));
      } catch {
        // As full as it gets.
      }
      await sleep(fault.lasts);
      rmSync(fill, { force: true });
      return `${fault.place} was full`;
    }
    case "cut":
      await hosts?.cable("h2", "down");
      await sleep(fault.lasts);
      await hosts?.cable("h2", "up");
      return "h2 was cut off";
  }
}
