/** The numbers of signals on Linux. */
const numbers: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGXCPU: 24,
  SIGXFSZ: 25,
};

/** A second signal counts as one only after this long (ms): a terminal and a launcher may both deliver the first. */
export const secondSignalAfter = 300;

/**
 * The built-in launcher, which keeps a pipe open to each rank, counts the interrupts itself: it may be kept from the
 * processor for any time between a terminal's Ctrl-C, which its ranks have got, too, and its passing that on.
 */
const launcherCounts = /^\d+$/.test(process.env["TSDASK_PARENT_FD"] ?? "");

/** What the built-in launcher writes into its pipe to each rank when a Ctrl-C is not the first signal. */
export const secondInterrupt = "!";

/** Whether a signal that came `after` ms after the first one is a second one, and not that again. */
export function isSecondSignal(name: string, after: number, counted = launcherCounts): boolean {
  return after > secondSignalAfter && !(counted && name === "SIGINT");
}

/**
 * Set by `bin/tsdask-mpi` where this process was started to ignore SIGHUP, as `nohup` has it, since Node gives every
 * signal its default action at its start. Nothing but the built-in launcher's ranks inherits it.
 */
const underNohup = process.env["TSDASK_NOHUP"] !== undefined;
delete process.env["TSDASK_NOHUP"];

/** What tells a rank of the built-in launcher to ignore SIGHUP where this process does. */
export const nohupVariables: Readonly<Record<string, string>> = underNohup ? { TSDASK_NOHUP: "1" } : {};

/** These signals, without SIGHUP where this process was started to ignore it; it is ignored from then on. */
export function heardOf<Name extends NodeJS.Signals>(names: readonly Name[]): readonly Name[] {
  if (!underNohup) return names;
  if (process.listenerCount("SIGHUP") === 0) process.on("SIGHUP", () => undefined);
  return names.filter((name) => name !== "SIGHUP");
}

/** The number of a signal on Linux; 128 plus it is the exit code of what the signal ended. */
export function signalNumber(name: string): number {
  return numbers[name] ?? 15;
}

/** The name of a Linux signal number, such as `SIGKILL` for 9. */
export function signalName(number: number): string {
  return Object.keys(numbers).find((name) => numbers[name] === number) ?? `signal ${number}`;
}
