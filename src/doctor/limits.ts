import { readFileSync } from "node:fs";
import { planFor, rolesOf } from "../cluster/plan.ts";
import { optionsOf } from "../config/groups.ts";
import type { Options } from "../config/options.ts";
import { schedulerFiles } from "../dask/settings.ts";
import { hostGrant, type Grant } from "../host/grant.ts";
import { fairShares, littleMemoryOf } from "../host/shares.ts";
import { bytesText } from "../ui/format.ts";
import { count } from "../ui/ranges.ts";
import { fine, message, type Row } from "./row.ts";
import type { DoctorContext } from "./context.ts";

/** Soft limits of this process as the system has them; undefined: none. */
export interface Limits {
  readonly files: number | undefined;
  readonly processes: number | undefined;
  /** Bytes. */
  readonly addressSpace: number | undefined;
}

/** As bin/tsdask-mpi has them. */
const leastProcesses = 48;
const leastAddressSpace = 1_500_000_000;
/** A scheduler has a connection or two for each worker and client. */
const leastFiles = 1024;

/** What this host grants, and the limits that a launch would meet. */
export function limitRows({ env, host, uid, options, world }: DoctorContext): Row[] {
  const grant = hostGrant({ env, host });
  const cpus = grant.limit === undefined ? grant.cpus : Math.min(grant.cpus, grant.limit);
  return [
    fine("limits", "cores", `${count(cpus, "core")} (${grant.why.cpus})`),
    fine("limits", "memory", `${bytesText(grant.memory)} (${grant.why.memory})`),
    ...shareRows(grant, options, world ?? { rank: 0, size: options.np ?? 0, localSize: options.np }),
    ...rowsOfLimits(readLimits(), { host, root: uid === 0, workers: options.expectedWorkers }),
  ];
}

/**
 * What each worker of this host would get, where it is known how many ranks it has; launchers give a host's ranks
 * numbers in a row, as a rule. Pure.
 */
export function shareRows(
  grant: Grant,
  options: Options,
  { rank, size, localSize }: { readonly rank: number; readonly size: number; readonly localSize?: number | undefined },
): Row[] {
  if (localSize === undefined || size < 2) return [];
  const plan = planFor(options, size);
  const ranks = Array.from({ length: Math.min(localSize, size - rank) }, (_, index) => rank + index);
  const sharers = ranks.flatMap((one) => rolesOf(one, plan).map((role) => ({ rank: one, role })));
  const shares = [...fairShares(grant, sharers, (one) => optionsOf(options, one)).values()];
  if (shares.length === 0) return [fine("limits", "each worker", "none is on this host")];
  const threads = shares.map(({ nthreads }) => nthreads);
  const memory = shares.map(({ memoryLimit }) => memoryLimit);
  const least = Math.min(...memory);
  const little = littleMemoryOf(memory);
  if (little !== undefined) {
    const facts = { memory: bytesText(little.least), few: little.few, workers: shares.length };
    return [message("limits", "each worker", "TSD-198", facts)];
  }
  const range = (low: string, high: string): string => (low === high ? low : `${low} to ${high}`);
  const cores = range(String(Math.min(...threads)), String(Math.max(...threads)));
  const bytes = least === 0 ? "no limit of memory" : range(bytesText(least), bytesText(Math.max(...memory)));
  const text = `${cores} ${cores === "1" ? "thread" : "threads"} and ${bytes} for ${shares.length === 1 ? "its worker" : `each of ${shares.length} workers`}`;
  return [fine("limits", "each worker", text)];
}

/** The rows of a process's limits; pure. */
export function rowsOfLimits(
  { files, processes, addressSpace }: Limits,
  { host, root, workers }: { readonly host: string; readonly root: boolean; readonly workers: number },
): Row[] {
  const rows: Row[] = [];
  const needed = schedulerFiles(workers);
  if (files !== undefined && files < leastFiles)
    rows.push({
      group: "limits",
      name: "open files",
      state: "warning",
      text: `${files} files may be open at once`,
      cause: "`ulimit -n` says so. The scheduler needs a few for each worker, and each worker some for the others.",
      cure: "`ulimit -n 65536` in the job's script before the launcher; the hard limit is the site's.",
      code: "TSD-051",
    });
  else if (files !== undefined && files < needed)
    rows.push(message("limits", "open files", "TSD-194", { host, files, needed, workers }));
  else rows.push(fine("limits", "open files", amount(files)));
  const facts = { host, kind: "processes", limit: processes, letter: "u", enough: "4096" };
  if (processes !== undefined && processes < leastProcesses && !root)
    rows.push(message("limits", "processes", "TSD-156", { ...facts, needed: "ten or so, threads included" }));
  else rows.push(fine("limits", "processes", amount(processes)));
  if (addressSpace !== undefined && addressSpace < leastAddressSpace)
    rows.push(
      message("limits", "address space", "TSD-156", {
        host,
        kind: "address space",
        limit: bytesText(addressSpace),
        letter: "v",
        enough: "unlimited",
        needed: "about 1.5 GiB of it",
      }),
    );
  else rows.push(fine("limits", "address space", addressSpace === undefined ? "no limit" : bytesText(addressSpace)));
  return rows;
}

const amount = (limit: number | undefined): string => (limit === undefined ? "no limit" : String(limit));

function readLimits(): Limits {
  const text = readFileSync("/proc/self/limits", "latin1");
  const soft = (name: string): number | undefined => {
    const value = new RegExp(`^${name} +(\\S+)`, "m").exec(text)?.[1];
    return value === undefined || value === "unlimited" ? undefined : Number(value);
  };
  return { files: soft("Max open files"), processes: soft("Max processes"), addressSpace: soft("Max address space") };
}
