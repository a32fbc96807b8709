import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";

/** What a figure depends on, to be kept beside it. */
export interface Machine {
  readonly date: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  /** Load averages of the last 1, 5 and 15 minutes: other work on the machine. */
  readonly load: readonly number[];
}

/** The machine as it is now. */
export function machine(): Machine {
  return {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.versions.node,
    load: loadavg().map((value) => Number(value.toFixed(2))),
  };
}

/** One line about the machine, and a warning when others use it, too. */
export function machineLine({ cpu, cores, memoryGiB, kernel, load }: Machine): string {
  const busy = (load[0] ?? 0) > 0.5 ? " (not quiet: the absolute times below are too high)" : "";
  return `${cores} cores (${cpu}), ${memoryGiB} GiB, Linux ${kernel}, load ${load.join(" ")}${busy}`;
}
