import type { BedLauncher } from "../integration/bed/launchers.ts";
import { randomFrom } from "../integration/bed/random.ts";
import type { Part } from "../integration/faults/cast.ts";

/** The launchers of a storm, by the names that its command line has for them. */
export const stormLaunchers = {
  openmpi: "openmpi4",
  mpich: "mpich4",
  srun: "srun-pmi2",
  local: "local",
} as const satisfies Readonly<Record<string, BedLauncher>>;

export type StormLauncher = keyof typeof stormLaunchers;

export const signals = ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGSEGV", "SIGSTOP"] as const;
/** A part of a launch, or any of its processes: its launcher's own, or one that Python started. */
export type Target = Part | "any process";
const parts: readonly Target[] = [
  "any process",
  "launcher",
  "rank 0",
  "client's rank",
  "worker's rank",
  "scheduler",
  "worker",
  "script",
  "fork server",
];

/** What befalls a launch; `lasts` is in ms, after which what can be undone is. */
export type Fault =
  /** `pick`, from 0 to 1: which of the processes, or of the files, that are there. */
  | {
      readonly kind: "signal";
      readonly part: Target;
      readonly pick?: number;
      readonly signal: (typeof signals)[number];
      readonly lasts: number;
    }
  | { readonly kind: "remove"; readonly place: "cwd" | "tmp"; readonly pick: number }
  | { readonly kind: "read-only" | "full"; readonly place: "cwd" | "tmp"; readonly lasts: number }
  | { readonly kind: "cut"; readonly lasts: number };

export const scripts = ["steady", "plain", "saving", "deaf", "served"] as const;

/** One launch and what befalls it; the same seed and number give the same round. */
export interface Round {
  readonly seed: number;
  readonly number: number;
  readonly launcher: StormLauncher;
  readonly ranks: number;
  /** `ready` is for rounds that tests choose: it says that it runs when all workers have come. */
  readonly script: (typeof scripts)[number] | "ready";
  /** The script's exit code, and how long it works (s). */
  readonly code: number;
  readonly seconds: number;
  /** The moment: so long (ms) after the launcher was started, or after the script has said that it runs. */
  readonly after: "start" | "running";
  readonly wait: number;
  readonly faults: readonly Fault[];
}

/** What a machine can do beside signals and removed files. */
export interface Means {
  /** Mounts, for a folder that is read-only or full. */
  readonly mounts: boolean;
  /** Hosts of their own network, for a cable that is cut. */
  readonly hosts: boolean;
}

/** The round of this number. */
export function planRound(seed: number, number: number, launchers: readonly StormLauncher[], means: Means): Round {
  const random = randomFrom(seed * 100_003 + number);
  const whole = (least: number, most: number): number => least + Math.floor(random() * (most - least + 1));
  const one = <T>(list: readonly T[]): T => list[whole(0, list.length - 1)] as T;

  const launcher = one(launchers);
  const fault = (): Fault => {
    const kind = random();
    const place = one(["cwd", "tmp"] as const);
    const lasts = whole(50, 2_500);
    // Slurm's daemons do not see what is mounted here later, and the hosts are those of mpirun.
    if (kind > 0.94 && means.hosts && (launcher === "openmpi" || launcher === "mpich")) return { kind: "cut", lasts };
    if (kind > 0.86 && means.mounts && launcher !== "srun")
      return { kind: random() < 0.5 ? "full" : "read-only", place, lasts };
    if (kind > 0.78) return { kind: "remove", place, pick: random() };
    return { kind: "signal", part: one(parts), pick: random(), signal: one(signals), lasts };
  };
  const script = one(scripts);
  const after = random() < 0.4 || script === "served" ? "start" : "running";
  return {
    seed,
    number,
    launcher,
    ranks: whole(3, 7),
    script,
    code: one([0, 0, 7]),
    seconds: whole(0, 20) / 10,
    after,
    wait: after === "start" ? whole(0, 2_500) : whole(0, 1_000),
    faults: random() < 0.3 ? [fault(), fault()] : [fault()],
  };
}

/** A fault in a few words. */
function named(fault: Fault): string {
  switch (fault.kind) {
    case "signal":
      return `${fault.signal} to ${fault.part === "any process" ? "" : "the "}${fault.part}${fault.signal === "SIGSTOP" ? `, SIGCONT after ${fault.lasts} ms` : ""}`;
    case "remove":
      return `a file of ${fault.place} removed`;
    case "cut":
      return `a host cut off for ${fault.lasts} ms`;
    default:
      return `${fault.place} ${fault.kind} for ${fault.lasts} ms`;
  }
}

/** A round in a line. */
export function describeRound(round: Round): string {
  const { launcher, ranks, script, code, seconds, after, wait, faults } = round;
  const what = script === "served" ? "no script" : `${script} ${seconds} s, exit ${code}`;
  return `${launcher}, ${ranks} ranks, ${what}; ${wait} ms after ${after}: ${faults.map(named).join(" and ")}`;
}

/** Whether the launch is to go on as if nothing had happened, to the script's own end. */
export function isHarmless(fault: Fault): boolean {
  if (fault.kind === "signal") return fault.part === "worker" || fault.signal === "SIGSTOP";
  return fault.kind === "cut";
}
