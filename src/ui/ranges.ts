/**
 * Numbers as people write them: `[2, 3, 4, 7]` is `2-4,7`. Order and repeats in the input do not matter.
 */
export function numberRanges(numbers: readonly number[]): string {
  return ranges(numbers)
    .map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
    .join(",");
}

/**
 * Host names in the short form of the batch systems: `n001 n002 n003 login` is `n[001-003],login`.
 * Names keep the order of their first appearance; more than `limit` bracket groups are cut, with a count of what is
 * left out.
 */
export function hostList(hosts: readonly string[], limit = 8): string {
  const groups = groupHosts([...new Set(hosts)]);
  const shown = groups.slice(0, limit).map(groupText);
  const hidden = groups.slice(limit).reduce((sum, group) => sum + group.names.length, 0);
  return hidden === 0 ? shown.join(",") : `${shown.join(",")} and ${hidden} more`;
}

/** The first `most` of a list, and how many there are more: `a, b, 3 more`. */
export function firstOf(list: readonly string[], most: number): string {
  const more = list.length - most;
  return [...list.slice(0, most), ...(more > 0 ? [`${more} more`] : [])].join(", ");
}

/** `1 worker`, `2 workers`: a count with its noun. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

interface HostGroup {
  readonly prefix: string;
  readonly suffix: string;
  readonly width: number;
  readonly names: string[];
  readonly numbers: number[];
}

function groupHosts(hosts: readonly string[]): HostGroup[] {
  const groups = new Map<string, HostGroup>();
  for (const host of hosts) {
    const [, prefix = host, digits = "", suffix = ""] = /^(.*?)(\d{1,9})(\D*)$/.exec(host) ?? [];
    // `n8`..`n12` count without padding; `n08` and `n008` are different series.
    const padded = digits.length > 1 && digits.startsWith("0");
    const plain = `${prefix}\0${suffix}\0${digits === "" ? "name" : 0}`;
    const padKey = `${prefix}\0${suffix}\0${digits.length}`;
    const key = padded || groups.has(padKey) ? padKey : plain;
    const group = groups.get(key) ?? { prefix, suffix, width: padded ? digits.length : 0, names: [], numbers: [] };
    groups.set(key, group);
    group.names.push(host);
    if (digits !== "") group.numbers.push(Number(digits));
  }
  return [...groups.values()];
}

function groupText({ prefix, suffix, width, names, numbers }: HostGroup): string {
  const [only] = names;
  if (names.length === 1 && only !== undefined) return only;
  const pad = (value: number): string => String(value).padStart(width, "0");
  const inside = ranges(numbers)
    .map(([first, last]) => (first === last ? pad(first) : `${pad(first)}-${pad(last)}`))
    .join(",");
  return `${prefix}[${inside}]${suffix}`;
}

function ranges(numbers: readonly number[]): [number, number][] {
  const result: [number, number][] = [];
  for (const value of [...new Set(numbers)].sort((a, b) => a - b)) {
    const last = result.at(-1);
    if (last !== undefined && value === last[1] + 1) last[1] = value;
    else result.push([value, value]);
  }
  return result;
}
