/** How often (ms) a cluster that is up is looked at. */
const whileUp = 10_000;
/** The same of one that is not, by how long (ms) it has been as it is: its job waits, or it starts. */
const steps = [
  { until: 60_000, every: 2_000 },
  { until: 600_000, every: 10_000 },
  { until: Number.POSITIVE_INFINITY, every: 30_000 },
] as const;
/** A batch system that has just taken a job (ms) does not know yet why it waits; then that is asked so often. */
const reasonSettles = 10_000;
const reasonEvery = 60_000;

/**
 * When to look at a cluster the next time, and when to ask why its job waits: a queue may take hours, and the batch
 * system answers all of its users. Has no clock: all times are given, in ms.
 */
export class Pace {
  #state = "";
  #since = 0;
  #asked: number | undefined;

  /** It was looked at, and is this. */
  looked(now: number, state: string): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#since = now;
    this.#asked = undefined;
  }

  /** Whether to ask why it waits; counts as asked then. */
  asks(now: number): boolean {
    const again = now - this.#since < reasonSettles || now - (this.#asked ?? -reasonEvery) >= reasonEvery;
    if (again) this.#asked = now;
    return again;
  }

  /** How long to wait before the next look. */
  next(now: number, up: boolean): number {
    if (up) return whileUp;
    return steps.find(({ until }) => now - this.#since < until)?.every ?? whileUp;
  }
}
