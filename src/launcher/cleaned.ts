import { starters } from "./known.ts";
import { childrenOf, procStat } from "./proc-stat.ts";

/**
 * The launcher that did start this process, though none of its variables are here: the nearest one above it (proc(5),
 * `stat`). Undefined when there is none. `first` says whether this process speaks for all that the same one has
 * started, `speaker` is the process that does, or what it was started through. Never throws.
 */
export function startedBy(
  parent: number,
  own: number,
  proc = "/proc",
): { readonly name: string; readonly first: boolean; readonly speaker: number } | undefined {
  let child = own;
  for (let pid = parent; pid > 1; ) {
    const stat = procStat(pid, proc);
    if (stat === undefined) return undefined;
    const name = stat.command;
    if (starters.test(name)) {
      const children = childrenOf(pid, proc) ?? [];
      const speaker = children.length === 0 ? child : Math.min(...children);
      return { name, first: child === speaker, speaker };
    }
    child = pid;
    pid = stat.parent;
  }
  return undefined;
}
