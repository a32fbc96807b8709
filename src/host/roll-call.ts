/** How often (ms) the ranks of a host that have not met their leader yet are looked for. */
const every = 1_000;

/**
 * Watches, until all ranks of a host have met their leader, for those that died before they could: `dead` is called once for
 * each. A rank is taken for dead when two looks in a row find neither it nor its process; where `living` cannot tell, nobody is.
 */
export function callRoll({ localSize, size, met, living, dead }: {
  /** Ranks on this host. */
  readonly localSize: number;
  readonly size: number;
  readonly met: () => ReadonlySet<number>;
  /** The ranks whose processes live on this host; undefined where that cannot be told. */
  readonly living: () => Promise<ReadonlySet<number> | undefined>;
  readonly dead: (rank: number) => void;
}): { readonly stop: () => void } {
  // Which ranks a host of several has is known only from those that were seen.
  const known = new Set(localSize === size ? Array.from({ length: size }, (_, rank) => rank) : []);
  let absentBefore = new Set<number>();
  const look = async (): Promise<void> => {
    if (met().size >= localSize) {
      clearInterval(timer);
      return;
    }
    const found = await living();
    if (found === undefined) return;
    for (const rank of found) known.add(rank);
    const absent = new Set([...known].filter((rank) => !found.has(rank) && !met().has(rank)));
    for (const rank of absent) {
      if (!absentBefore.has(rank)) continue;
      known.delete(rank);
      dead(rank);
    }
    absentBefore = absent;
  };
  const timer = setInterval(() => void look(), every);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
