const maxHosts = 100_000;

/**
 * The host names of a compressed list such as Slurm's `n[1-3,07],login1` or Flux's, in order.
 * Returns undefined for a text that is not such a list or names more than 100,000 hosts.
 */
export function expandHostlist(text: string): readonly string[] | undefined {
  const hosts: string[] = [];
  for (const part of splitOutsideBrackets(text)) {
    const expanded = expandPart(part);
    if (expanded === undefined || hosts.length + expanded.length > maxHosts) return undefined;
    hosts.push(...expanded);
  }
  return hosts;
}

function splitOutsideBrackets(text: string): readonly string[] {
  return text.split(/,(?![^[]*\])/).map((part) => part.trim()).filter((part) => part !== "");
}

function expandPart(part: string): readonly string[] | undefined {
  const bracket = /^([^[\]]*)\[([^[\]]+)\](.*)$/.exec(part);
  if (bracket === null) return /[[\]\s]/.test(part) ? undefined : [part];
  const [, head = "", ranges = "", rest = ""] = bracket;
  const tails = rest === "" ? [""] : expandPart(rest);
  const numbers = expandRanges(ranges);
  if (tails === undefined || numbers === undefined || numbers.length * tails.length > maxHosts) return undefined;
  return numbers.flatMap((number) => tails.map((tail) => `${head}${number}${tail}`));
}

function expandRanges(ranges: string): readonly string[] | undefined {
  const numbers: string[] = [];
  for (const range of ranges.split(",")) {
    const match = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(range);
    if (match === null) return undefined;
    const [, first = "", last = first] = match;
    if (Number(last) < Number(first) || Number(last) - Number(first) >= maxHosts) return undefined;
    for (let n = Number(first); n <= Number(last); n++) numbers.push(String(n).padStart(first.length, "0"));
  }
  return numbers;
}
