const maxHosts = 100_000;
/** No machine numbers its hosts in more dimensions. */
const maxBrackets = 8;

/**
 * The host names of a compressed list such as Slurm's `n[1-3,07],login1` or Flux's, in order.
 * Returns undefined for a text that is not such a list or names more than 100,000 hosts.
 */
export function expandHostlist(text: string): readonly string[] | undefined {
  const hosts: string[] = [];
  for (const part of splitOutsideBrackets(text)) {
    const expanded = expandPart(part);
    if (expanded === undefined || hosts.length + expanded.length > maxHosts) return undefined;
    for (const host of expanded) hosts.push(host);
  }
  return hosts;
}

/** The parts between commas that stand in no brackets; one pass, whatever the text. */
function splitOutsideBrackets(text: string): readonly string[] {
  const parts: string[] = [];
  let inside = false;
  let from = 0;
  for (let at = 0; at <= text.length; at += 1) {
    const character = text[at];
    if (character === "[") inside = true;
    else if (character === "]") inside = false;
    else if (character === undefined || (character === "," && !inside)) {
      const part = text.slice(from, at).trim();
      if (part !== "") parts.push(part);
      from = at + 1;
    }
  }
  return parts;
}

function expandPart(part: string, left = maxBrackets): readonly string[] | undefined {
  const bracket = /^([^[\]]*)\[([^[\]]+)\](.*)$/.exec(part);
  if (bracket === null) return /[[\]\s]/.test(part) ? undefined : [part];
  const [, head = "", ranges = "", rest = ""] = bracket;
  if (left === 0) return undefined;
  const tails = rest === "" ? [""] : expandPart(rest, left - 1);
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
