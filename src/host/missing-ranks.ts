/**
 * Whether no rank of a host comes any more that has not met its agent: all were started, and those that live have met
 * it. Before they have traps, the shells of `bin/tsdask-mpi` die of the signal that ends their launch. False where it
 * cannot be told.
 */
export async function nobodyComes({
  met,
  living,
  allStarted,
}: {
  readonly met: () => ReadonlySet<number>;
  readonly living: () => Promise<ReadonlySet<number> | undefined>;
  readonly allStarted: () => boolean;
}): Promise<boolean> {
  const found = allStarted() ? await living() : undefined;
  if (found === undefined) return false;
  const here = met();
  return [...found].every((rank) => here.has(rank));
}

/** How often (ms) the ranks of a host that have not met their leader yet are looked for. */
const every = 1_000;

/**
 * Watches, until all ranks of a host have met their leader, for those that died before they could: `dead` is called
 * once for each. A rank can only be dead when it was started: it was seen, or one with a higher number was (launchers
 * start the ranks of a host in their order), or the launcher has said that it has started all. A busy launcher needs a
 * minute for hundreds of ranks, and those that it has not started yet are waited for. A started rank is taken for dead
 * when two looks in a row find neither it nor its process; where `living` cannot tell, nobody is.
 */
export function watchMissingRanks({
  localSize,
  size,
  met,
  living,
  allStarted,
  dead,
}: {
  /** Ranks on this host. */
  readonly localSize: number;
  readonly size: number;
  readonly met: () => ReadonlySet<number>;
  /** The ranks whose processes live on this host; undefined where that cannot be told. */
  readonly living: () => Promise<ReadonlySet<number> | undefined>;
  readonly allStarted: () => boolean;
  readonly dead: (rank: number) => void;
}): { readonly stop: () => void } {
  const seen = new Set<number>();
  const told = new Set<number>();
  let absentBefore: ReadonlySet<number> = new Set();
  /**
   * The ranks that were started, as far as can be told; which ranks a host of several has is known only from those that
   * were seen.
   */
  const started = (): ReadonlySet<number> => {
    if (localSize !== size) return seen;
    return new Set(Array.from({ length: allStarted() ? size : Math.max(-1, ...seen) + 1 }, (_, rank) => rank));
  };
  const look = async (): Promise<void> => {
    if (met().size >= localSize) {
      clearInterval(timer);
      return;
    }
    const found = await living();
    if (found === undefined) return;
    // Asked after the processes were looked at: a rank that meets its leader and ends in between has not died unseen.
    const here = met();
    for (const rank of [...found, ...here]) seen.add(rank);
    const absent = new Set([...started()].filter((rank) => !found.has(rank) && !here.has(rank) && !told.has(rank)));
    for (const rank of absent) {
      if (!absentBefore.has(rank)) continue;
      told.add(rank);
      dead(rank);
    }
    absentBefore = absent;
  };
  const timer = setInterval(() => void look(), every);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
