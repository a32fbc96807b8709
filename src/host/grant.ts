import { readFileSync } from "node:fs";
import { hostname } from "node:os";

import type { Granted } from "../batch/granted.ts";
import { batchLimits, least, type Limit } from "./batch-limits.ts";

/** What this host really grants, whatever it has. */
export interface Grant {
  /** Cores that this process may use: its affinity, and no more than `limit`. */
  readonly cpus: number;
  /** This process's own affinity: core numbers, ascending. */
  readonly cpuList: readonly number[];
  /**
   * Cores that all processes of the job on this host may keep busy together, where a cgroup or the batch system says
   * so.
   */
  readonly limit?: number;
  /** Bytes, for all processes of the job on this host together. */
  readonly memory: number;
  /** What set `cpus` and `memory`, for people to read. */
  readonly why: { readonly cpus: string; readonly memory: string };
}

/**
 * Reads what this host grants: CPU affinity, cgroup limits (versions 1, 2 and both at once), and the batch system's
 * variables; the least of all counts. Opens three small files and up to three for each level of this process's cgroup.
 * `root` stands before every path (tests); never throws.
 */
export function hostGrant({
  env,
  root = "",
  host = hostname(),
  granted,
}: {
  readonly env: NodeJS.ProcessEnv;
  readonly root?: string;
  readonly host?: string;
  /** What rank 0 says that the job was granted here. */
  readonly granted?: Granted;
}): Grant {
  const read = (path: string): string | undefined => readText(root + path);
  const status = read("/proc/self/status") ?? "";
  const cpuList = parseCpuList(/^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1] ?? "0");
  const total = Number(/^MemTotal:\s*(\d+) kB$/m.exec(read("/proc/meminfo") ?? "")?.[1] ?? 0) * 1024;

  const groups = controlGroups(read("/proc/self/cgroup") ?? "", read);
  const batch = batchLimits(env, host, read, granted);
  const limit = least([groups.cpus, batch.cpus]);
  const affinity = { value: cpuList.length, why: "this process's CPU affinity" };
  const cpus = least([affinity, limit]) ?? affinity;
  const memory = least([{ value: total, why: "the host's memory" }, groups.memory, batch.memory]);
  return {
    cpus: Math.max(1, cpus.value),
    cpuList,
    ...(limit === undefined ? {} : { limit: Math.max(1, limit.value) }),
    memory: memory?.value ?? 0,
    why: { cpus: cpus.why, memory: memory?.why ?? "unknown" },
  };
}

/** The core numbers in a list such as `0-3,8,10-11` (cpuset(7), "List format"), ascending. */
export function parseCpuList(text: string): number[] {
  return text.split(",").flatMap((part) => {
    const [, first, last = first] = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part) ?? [];
    if (first === undefined) return [];
    return Array.from({ length: Number(last) - Number(first) + 1 }, (_, index) => Number(first) + index);
  });
}

/** The affinity of another process of this user; `undefined` when it is gone or /proc hides it. */
export function affinityOf(pid: number, root = ""): number[] | undefined {
  const list = /^Cpus_allowed_list:\s*(.*)$/m.exec(readText(`${root}/proc/${pid}/status`) ?? "")?.[1];
  return list === undefined ? undefined : parseCpuList(list);
}

interface Limits {
  readonly cpus: Limit | undefined;
  readonly memory: Limit | undefined;
}

/**
 * The limits of this process's control groups and of every group above them: cgroups(7). A line `4:memory:/path` is a
 * version 1 hierarchy, `0::/path` the version 2 one, which serves what no version 1 hierarchy has. A path that is not
 * there (a container sees its own part only) counts from where it is.
 */
function controlGroups(membership: string, read: (path: string) => string | undefined): Limits {
  const lines = membership.split("\n").map((line) => /^(\d+):([^:]*):(.*)$/.exec(line));
  const old = (controller: string): { folder: string; path: string } | undefined => {
    const line = lines.find((found) => found?.[2]?.split(",").includes(controller));
    return line?.[2] === undefined ? undefined : { folder: `/sys/fs/cgroup/${line[2]}`, path: line[3] ?? "/" };
  };
  const unifiedPath = lines.find((line) => line?.[2] === "")?.[3];
  const hybrid = lines.some((line) => line?.[2] !== undefined && line[2] !== "");
  const unified =
    unifiedPath === undefined
      ? undefined
      : { folder: hybrid ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup", path: unifiedPath };

  const walk = (
    group: { folder: string; path: string } | undefined,
    limitOf: (folder: string) => Limit | undefined,
  ): Limit | undefined =>
    group === undefined ? undefined : least(upwards(group.path).map((path) => limitOf(group.folder + path)));
  const [cpu, memory] = [old("cpu"), old("memory")];
  return {
    cpus:
      cpu === undefined
        ? walk(unified, (folder) => quota(folder, read))
        : walk(cpu, (folder) => oldQuota(folder, read)),
    memory:
      memory === undefined
        ? walk(unified, (folder) => least(["memory.max", "memory.high"].map((name) => bytes(folder, name, read))))
        : walk(memory, (folder) => bytes(folder, "memory.limit_in_bytes", read)),
  };
}

/** `/a/b` → `/a/b`, `/a`, and the top. */
function upwards(path: string): string[] {
  const names = path.split("/").filter((name) => name !== "");
  if (names.includes("..")) return [""]; // outside this cgroup namespace
  return Array.from({ length: names.length + 1 }, (_, drop) =>
    names
      .slice(0, names.length - drop)
      .map((name) => `/${name}`)
      .join(""),
  );
}

function quota(folder: string, read: (path: string) => string | undefined): Limit | undefined {
  const [most, period] = (read(`${folder}/cpu.max`) ?? "").trim().split(" ");
  return cores(Number(most), Number(period), `${folder}/cpu.max`);
}

function oldQuota(folder: string, read: (path: string) => string | undefined): Limit | undefined {
  const most = Number(read(`${folder}/cpu.cfs_quota_us`) ?? -1);
  return most > 0 ? cores(most, Number(read(`${folder}/cpu.cfs_period_us`)), `${folder}/cpu.cfs_quota_us`) : undefined;
}

/** Part of a core counts as one, as in Dask's own reading. */
function cores(most: number, period: number, file: string): Limit | undefined {
  return most > 0 && period > 0 ? { value: Math.ceil(most / period), why: `the cgroup limit in ${file}` } : undefined;
}

function bytes(folder: string, name: string, read: (path: string) => string | undefined): Limit | undefined {
  const value = Number(read(`${folder}/${name}`)?.trim() || NaN);
  // version 1 writes "no limit" as a number near 2^63
  return value > 0 && value < 2 ** 60 ? { value, why: `the cgroup limit in ${folder}/${name}` } : undefined;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // not there, or not for us to read: no limit is told
  }
}
