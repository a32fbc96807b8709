import type { NamedJob } from "../batch/system.ts";

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
  /** The name by which a proxy of the facility leads there. */
  readonly public?: string;
  readonly security: "tls" | "none";
  readonly job: NamedJob;
  /** The folder of its logs that are kept. */
  readonly log?: string;
  /** The folder of its list of targets for Prometheus. */
  readonly targets?: string;
  /** Seconds that its script and workers get to end in order. */
  readonly grace: number;
}
