const every = 60_000;

export interface Refusals {
  readonly count: (kind: string) => void;
  /** Says what has not been said yet. */
  readonly close: () => void;
}

/**
 * Counts refused connections by kind; `say` gets the numbers since the last time: at the first one, and then at most
 * once a minute, so that whoever is refused does not fill a log.
 */
export function countRefusals(say: (counts: Readonly<Record<string, number>>) => void): Refusals {
  const counts = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  const tell = (): void => {
    if (counts.size === 0) {
      timer = undefined;
      return;
    }
    const told = Object.fromEntries(counts);
    counts.clear();
    timer = setTimeout(tell, every).unref();
    say(told);
  };
  return {
    count: (kind) => {
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
      if (timer === undefined) tell();
    },
    close: () => {
      clearTimeout(timer);
      if (counts.size > 0) say(Object.fromEntries(counts));
      counts.clear();
    },
  };
}
