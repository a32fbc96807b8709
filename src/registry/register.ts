import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { VERSION } from "../config/version.ts";
import { deadlines } from "../deadlines.ts";
import { machine, startTime } from "../launcher/process-mark.ts";
import type { ClusterEntry } from "./cluster-entry.ts";
import { madeName } from "./names.ts";

/** What the launch knows of itself from its start. */
export type LaunchFacts = Pick<
  ClusterEntry,
  | "launch"
  | "ranks"
  | "workers"
  | "script"
  | "cwd"
  | "folder"
  | "security"
  | "job"
  | "ends"
  | "log"
  | "targets"
  | "grace"
  | "public"
> & {
  /** The name that the user gave. */
  readonly name: string | undefined;
};

export interface Register {
  readonly name: string;
  /**
   * The scheduler answers. Resolves when a cluster that serves has been written down, or `deadlines.entryWritten` is
   * over; beside a script it is written soon. Never rejects.
   */
  readonly running: (
    facts: Required<Pick<ClusterEntry, "hosts" | "scheduler">> & Pick<ClusterEntry, "schedulerFile">,
  ) => Promise<void>;
  /** Writes the end down. Never throws. */
  readonly ended: (why: string, code: number) => Promise<void>;
}

/** A launch that is not up after so long (ms) is written down as starting. */
const startingAfter = 1_500;
/** Beside a script, the entry is written so long (ms) after the scheduler answers: workers and script come first. */
const runningAfter = 250;

/**
 * Writes one cluster into the user's state folder: when it has been starting for a while, when it runs, when it has
 * ended. What writes is loaded only then. `onProblem` is told once when it cannot be written; the launch goes on.
 */
export function registerCluster(
  facts: LaunchFacts,
  { env, onProblem }: { readonly env: NodeJS.ProcessEnv; readonly onProblem: (problem: unknown) => void },
): Register {
  const { name: given, ...rest } = facts;
  const name = given ?? madeName(facts.launch);
  let entry: ClusterEntry = {
    ...rest,
    format: 1,
    name,
    version: VERSION,
    state: "starting",
    started: Date.now() / 1000,
    pid: process.pid,
    startTime: startTime(process.pid),
    host: hostname(),
    machine: machine(),
    hosts: [hostname()],
  };
  let told = false;
  let writing = Promise.resolve();
  const write = (): Promise<void> => {
    writing = writing
      .then(async () => (await import("./write.ts")).writeEntry(entry, env))
      .catch((error: unknown) => {
        if (!told) onProblem(error);
        told = true;
      });
    return writing;
  };
  let timer = setTimeout(() => void write(), startingAfter);
  timer.unref();
  return {
    name,
    running: async (found) => {
      // A launch may end while it tells of its scheduler.
      if (entry.state === "ended") return;
      entry = { ...entry, ...found, state: "running" };
      clearTimeout(timer);
      if (rest.script === undefined) {
        // A home folder that hangs holds nothing up.
        await Promise.race([write(), sleep(deadlines.entryWritten, undefined, { ref: false })]);
        return;
      }
      timer = setTimeout(() => void write(), runningAfter);
      timer.unref();
    },
    ended: async (why, code) => {
      clearTimeout(timer);
      entry = { ...entry, state: "ended", why, code, ended: Date.now() / 1000 };
      await write();
    },
  };
}
