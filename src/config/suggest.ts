/**
 * The name nearest to `word` among `names` (edits of one letter, neighbours swapped), or `undefined` when none is near.
 */
export function nearest(word: string, names: readonly string[]): string | undefined {
  const short = word.slice(0, 64).toLowerCase();
  const allowed = Math.max(1, Math.floor(short.length / 3));
  const scored = names
    .map((name) => ({ name, edits: edits(short, name.toLowerCase()) }))
    .filter((candidate) => candidate.edits <= Math.min(allowed, 4))
    .sort((a, b) => a.edits - b.edits);
  return (
    scored[0]?.name ?? (short.length >= 3 ? names.find((name) => name.toLowerCase().startsWith(short)) : undefined)
  );
}

/** How many letters must be changed, added, dropped or swapped with their neighbour to turn `a` into `b`. */
export function edits(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (beforeLast[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      );
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
