import { readFileSync } from "node:fs";
import { deadlines } from "../deadlines.ts";

/** A connection that has not proved yet that it belongs to the launch. */
export interface Guest {
  /** Where it comes from, as `sourceOf` says. */
  readonly source: string;
  /** Whether it has sent a single byte. */
  readonly heard: () => boolean;
  /** Whether it has sent its proof and waits for our answer: then it is not late. */
  readonly answered: () => boolean;
  /** Ends it at once. */
  readonly end: () => void;
}

/** Why a connection was ended: it said nothing in time, it did not prove itself in time, or others needed its place. */
export type Dismissal = "silent" | "late" | "crowded";

export interface Unproved<G extends Guest> {
  readonly enter: (guest: G) => void;
  /** It has proved itself, or is gone. */
  readonly leave: (guest: G) => void;
  readonly size: () => number;
  readonly close: () => void;
}

const sweepEvery = 250;

/**
 * Holds the connections that are not proved yet, `most` in all and `mostOfSource` of one source. Nobody new is turned
 * away: where there is no place, the longest-waiting of the source that holds most goes, those first that have not said
 * a word, so that strangers crowd out one another and not a leader. One that is silent for `deadlines.hubFirstWord` or
 * unproved for `deadlines.hubProof` ms goes as well.
 */
export function holdUnproved<G extends Guest>({
  most,
  mostOfSource,
  onEnd,
  now = () => performance.now(),
}: {
  readonly most: number;
  readonly mostOfSource: number;
  readonly onEnd: (why: Dismissal) => void;
  /** Milliseconds. */
  readonly now?: () => number;
}): Unproved<G> {
  // Insertion order is the order of age.
  const since = new Map<G, number>();
  const bySource = new Map<string, Set<G>>();
  let timer: NodeJS.Timeout | undefined;
  const leave = (guest: G): void => {
    if (!since.delete(guest)) return;
    const others = bySource.get(guest.source);
    others?.delete(guest);
    if (others?.size === 0) bySource.delete(guest.source);
    if (since.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
  const dismiss = (guest: G, why: Dismissal): void => {
    leave(guest);
    onEnd(why);
    guest.end();
  };
  const makeRoom = (among: Iterable<G>): void => {
    let oldest: G | undefined;
    for (const guest of among) {
      oldest ??= guest;
      if (guest.heard()) continue;
      dismiss(guest, "crowded");
      return;
    }
    if (oldest !== undefined) dismiss(oldest, "crowded");
  };
  const sweep = (): void => {
    const time = now();
    for (const [guest, from] of since) {
      if (time - from < deadlines.hubFirstWord) return;
      if (guest.answered()) continue;
      if (time - from >= deadlines.hubProof) dismiss(guest, "late");
      else if (!guest.heard()) dismiss(guest, "silent");
    }
  };
  return {
    enter: (guest) => {
      const others = bySource.get(guest.source) ?? new Set();
      if (others.size >= mostOfSource) makeRoom(others);
      else if (since.size >= most) makeRoom([...bySource.values()].reduce((a, b) => (b.size > a.size ? b : a)));
      since.set(guest, now());
      bySource.set(guest.source, others.add(guest));
      // What has arrived meanwhile is read before anybody is called silent.
      timer ??= setInterval(() => setImmediate(sweep), sweepEvery).unref();
    },
    leave,
    size: () => since.size,
    close: () => clearInterval(timer),
  };
}

/**
 * The source that an address counts for: an IPv4 address itself, an IPv6 address its network of 64 bits, within which
 * everybody has all.
 */
export function sourceOf(address: string | undefined): string {
  const plain = (address ?? "").replace(/^::ffff:(?=\d+\.)/, "").replace(/%.*$/, "");
  if (!plain.includes(":")) return plain;
  const [head = "", tail] = plain.split("::");
  const left = head.split(":").filter((group) => group !== "");
  const right = (tail ?? "").split(":").filter((group) => group !== "");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  return [...left, ...Array.from({ length: zeros }, () => "0"), ...right].slice(0, 4).join(":");
}

/**
 * How many files this process may have open, as the kernel says (proc(5), `/proc/pid/limits`); 1024 where it does not.
 */
export function openFileLimit(limits = "/proc/self/limits"): number {
  try {
    const found = /^Max open files\s+(\d+)/m.exec(readFileSync(limits, "utf8"))?.[1];
    return found === undefined ? 1024 : Number(found);
  } catch {
    // No /proc: the usual limit.
    return 1024;
  }
}
