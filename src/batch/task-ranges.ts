/** Numbers of an array's tasks as batch systems write them: `1-3,7`. Pure. */
export function rangesText(numbers: readonly number[]): string {
  const runs: [first: number, last: number][] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const run = runs.at(-1);
    if (run !== undefined && number <= run[1] + 1) run[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(",");
}

/** The numbers of `1-5:2,8`, which is how Grid Engine writes tasks that wait; no more than there may be. Pure. */
export function rangeNumbers(text: string): readonly number[] {
  return text.split(",").flatMap((part) => {
    const [, first, last = first, step = "1"] = /^(\d+)(?:-(\d+))?(?::(\d+))?$/.exec(part.trim()) ?? [];
    const [from, to, by] = [Number(first), Number(last), Number(step)];
    if (first === undefined || by < 1 || to - from > mostTasks) return [];
    return Array.from({ length: Math.floor((to - from) / by) + 1 }, (_, i) => from + i * by);
  });
}

/** No batch system has arrays as large. */
const mostTasks = 1_000_000;
