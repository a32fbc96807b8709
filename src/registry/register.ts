import { hostname } from "node:os";
import type { BatchName } from "../batch/system.ts";
import { VERSION } from "../config/version.ts";
import { machine, startTime } from "../host/process-mark.ts";
import { madeName } from "./names.ts";

/** What is written down of one cluster, for `list` and all commands that take a name. Times are seconds since 1970. */
export interface ClusterEntry {
  readonly format: 1;
  readonly name: string;
  readonly launch: string;
  readonly version: string;
  /** What its own process said last; a process that was killed said nothing more. */
  readonly state: "pending" | "starting" | "running" | "ended";
  /** How it ended, as a sentence without its full stop. */
  readonly why?: string;
  /** The exit code that it ended with. */
  readonly code?: number;
  readonly started: number;
  readonly ended?: number;
  /** When its job's time is over, where that is known. */
  readonly ends?: number;
  readonly pid: number;
  readonly startTime: string;
  readonly host: string;
  readonly machine: string;
  readonly hosts: readonly string[];
  readonly ranks: number;
  /** Workers that it was started with. */
  readonly workers: number;
  readonly script?: string;
  readonly cwd: string;
  readonly folder: string;
  readonly schedulerFile?: string;
  readonly scheduler?: { readonly address: string; readonly id: string; readonly rank: number };
  readonly security: "tls" | "none";
  readonly job: { readonly system: BatchName; readonly id?: string };
  /** The folder of its logs that are kept. */
  readonly log?: string;
  /** Seconds that its script and workers get to end in order. */
  readonly grace: number;
}

/** What the launch knows of itself from its start. */
export type LaunchFacts = Pick<
  ClusterEntry,
  "launch" | "ranks" | "workers" | "script" | "cwd" | "folder" | "security" | "job" | "ends" | "log" | "grace"
> & {
  /** The name that the user gave. */
  readonly name: string | undefined;
};

export interface Register {
  readonly name: string;
  /** The scheduler answers. */
  readonly running: (
    facts: Required<Pick<ClusterEntry, "hosts" | "scheduler">> & Pick<ClusterEntry, "schedulerFile">,
  ) => void;
  /** Writes the end down. Never throws. */
  readonly ended: (why: string, code: number) => Promise<void>;
}

/** A launch that is not up after so long (ms) is written down as starting. */
const startingAfter = 1_500;
/** The entry is written so long (ms) after the scheduler answers: workers and script come first. */
const runningAfter = 250;

/**
 * Writes one cluster into the user's state folder: when it has been starting for a while, when it runs, when it has ended. What writes is loaded
 * only then. `onProblem` is told once when it cannot be written; the launch goes on.
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
    running: (found) => {
      entry = { ...entry, ...found, state: "running" };
      clearTimeout(timer);
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
