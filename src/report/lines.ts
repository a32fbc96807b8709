import type { LossCause, RankStep } from "../protocol/messages.ts";
import type { Ending } from "../ui/end.ts";
import type { Usage } from "../ui/usage.ts";

/**
 * A worker at one moment: its name, processor (percent of one core), resident and spilled memory (bytes), tasks that
 * run.
 */
export type WorkerSample = readonly [name: string, cpu: number, memory: number, spilled: number, running: number];

/** One line of the record of a launch: `at` is milliseconds since 1970, by rank 0's clock. */
export type RecordLine = { readonly at: number } & RecordEvent;

export type RecordEvent =
  | ({ readonly k: "launch" } & LaunchHead)
  | { readonly k: "ranks"; readonly host: string; readonly ranks: readonly number[] }
  | { readonly k: "python"; readonly host: string; readonly python: string; readonly dask: string }
  | { readonly k: "scheduler"; readonly host: string; readonly address: string }
  | {
      readonly k: "worker";
      readonly rank: number;
      readonly host: string;
      readonly name: string;
      readonly threads: number;
      /** Bytes; 0: none. */
      readonly limit: number;
      /** How long (ms) before `at` each step was. */
      readonly ages?: Readonly<Partial<Record<RankStep, number>>>;
    }
  | {
      readonly k: "lost";
      readonly rank: number;
      readonly host: string;
      readonly why: string;
      readonly restarting: boolean;
      readonly cause?: LossCause;
    }
  /** It left in order: retired, or its lifetime was over. */
  | { readonly k: "away"; readonly rank: number; readonly host: string; readonly why: string }
  | { readonly k: "script"; readonly host: string }
  | { readonly k: "script-over"; readonly code: number; readonly signal?: string }
  | { readonly k: "signal"; readonly signal: string }
  /** The job's time is nearly over. */
  | { readonly k: "leave" }
  /** A warning or failure, as people read it. */
  | { readonly k: "message"; readonly text: string }
  | {
      readonly k: "sample";
      readonly workers: readonly WorkerSample[];
      /** Results made since the start. */
      readonly finished: number;
      /** Seconds of workers' threads that nothing ran on, since the start. */
      readonly idle: number;
    }
  | { readonly k: "full" }
  | {
      readonly k: "end";
      readonly why: string;
      readonly ending?: Ending["kind"];
      readonly code: number;
      readonly usage?: Usage;
    };

/** What a launch is, from its start. */
export interface LaunchHead {
  readonly format: 1;
  readonly name: string;
  readonly launch: string;
  readonly version: string;
  /** When its first process started, milliseconds since 1970. */
  readonly started: number;
  readonly launcher: string;
  readonly size: number;
  readonly host: string;
  readonly schedulerRank?: number;
  readonly clientRank?: number;
  readonly workerRanks: readonly number[];
  readonly script?: string;
  readonly cwd: string;
  readonly python: string;
  /** Options that somebody has set: name, value, and where it was said. */
  readonly options: readonly (readonly [name: string, value: string, from: string])[];
  readonly job: { readonly system: string; readonly id?: string };
  /** When its job began, and when its time is over, seconds since 1970, as far as it was known at the start. */
  readonly jobStarted?: number;
  readonly ends?: number;
}

/** The file of the record, and Dask's own report beside it, in the folder of the launch's kept log. */
export const recordName = "launch.record";
export const daskPageName = "dask-report.html";
