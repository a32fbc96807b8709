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

/** The number of a signal on Linux; 128 plus it is the exit code of what the signal ended. */
export function signalNumber(name: string): number {
  return numbers[name] ?? 15;
}

/** The name of a Linux signal number, such as `SIGKILL` for 9. */
export function signalName(number: number): string {
  return Object.keys(numbers).find((name) => numbers[name] === number) ?? `signal ${number}`;
}
