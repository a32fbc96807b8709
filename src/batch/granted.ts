import { noAnswer, notUnderstood } from "./answers.ts";
import { expandHostlist } from "./hostlist.ts";
import { wholeNumber } from "./describe.ts";
import { describeJob } from "./job.ts";
import { parseQstat } from "./pbs.ts";
import type { Granted } from "../protocol/messages.ts";
import type { Shell } from "./system.ts";

export type { Granted } from "../protocol/messages.ts";

/** The grant of each host of a job, by the host's short name. */
export type Grants = ReadonlyMap<string, Granted>;

/**
 * What telling the grants may take: the job's environment, files of its first host, and the batch system's commands.
 */
export interface GrantSource {
  readonly env: NodeJS.ProcessEnv;
  readonly read: (path: string) => string | undefined;
  readonly shell: () => Promise<Shell>;
}

/**
 * What the job of this environment was granted on each of its hosts, known on the host that has the job's variables.
 * Only PBS must be asked for it. Throws Failure TSD-091 to TSD-094 when PBS's command is missing or its answer none.
 * Empty outside of a job.
 */
export async function jobGrants({ env, read, shell }: GrantSource): Promise<Grants> {
  const { system, jobId } = describeJob(env);
  if (system === "slurm") return slurmGrants(env);
  if (system === "sge") return sgeGrants(read(env["PE_HOSTFILE"] ?? "") ?? "");
  if (system === "lsf") return lsfGrants(env["LSB_MCPU_HOSTS"] ?? "");
  if (system !== "pbs" || jobId === undefined) return new Map();
  const ran = await (await shell()).run("qstat", ["-f", jobId]);
  if (ran.code !== 0) throw noAnswer("pbs", "qstat", ran);
  const grants = pbsGrants(ran.stdout);
  if (grants.size === 0) throw notUnderstood("pbs", "qstat", ran.stdout);
  return grants;
}

/**
 * A host's name without its domain: batch systems, launchers and hosts themselves do not agree on whether it has one.
 */
export function shortHost(name: string): string {
  return name.split(".")[0] ?? name;
}

/**
 * PBS: `exec_host` has a `host/slot*cores` for each chunk, `exec_vnode` at the same place the chunk's virtual nodes in
 * parentheses, `(n1:ncpus=4:mem=8388608kb+n1[1]:ncpus=2)`: PBS Reference Guide, "Job Attributes". TORQUE has only
 * `exec_host`, `n1/0-3+n2/0+n2/1`.
 */
function pbsGrants(qstat: string): Grants {
  const fields = parseQstat(qstat)[0]?.fields;
  const hosts = (fields?.get("exec_host") ?? "").split("+").filter((part) => part !== "");
  const chunks = [...(fields?.get("exec_vnode") ?? "").matchAll(/\(([^()]*)\)/g)].map((match) => match[1] ?? "");
  if (chunks.length === 0)
    return sumByHost(
      hosts.map((part) => [part.split("/")[0] ?? "", { cpus: slotsOf(part) }]),
      "exec_host of PBS",
    );
  const nameOf = (index: number): string =>
    (hosts.length === chunks.length ? hosts[index]?.split("/")[0] : undefined) ??
    (chunks[index] ?? "").replace(/[:[].*$/s, "");
  return sumByHost(
    chunks.map((chunk, index) => [
      nameOf(index),
      { cpus: sumOf(chunk, /:ncpus=(\d+)(?=[:+]|$)/g, Number), memory: sumOf(chunk, /:mem=(\w+)/g, pbsBytes) },
    ]),
    "exec_vnode of PBS",
  );
}

/**
 * Slurm: a list of hosts and, in their order, `4(x2),2` cores; memory is the same on each, or goes with the cores.
 * sbatch(1), "OUTPUT ENVIRONMENT VARIABLES".
 */
function slurmGrants(env: NodeJS.ProcessEnv): Grants {
  const groups = Array.from({ length: wholeNumber(env["SLURM_HET_SIZE"]) ?? 0 }, (_, n) => `_HET_GROUP_${n}`);
  const shares = (groups.length === 0 ? [""] : groups).flatMap((group) => {
    const hosts = expandHostlist(env[`SLURM_JOB_NODELIST${group}`] ?? "") ?? [];
    const cores = repeated(env[`SLURM_JOB_CPUS_PER_NODE${group}`] ?? "");
    // 0 stands for all that a node has.
    const perNode = wholeNumber(env[`SLURM_MEM_PER_NODE${group}`]) || undefined;
    const perCpu = wholeNumber(env[`SLURM_MEM_PER_CPU${group}`]) || undefined;
    if (cores.length !== hosts.length) return [];
    return hosts.map((host, index): [string, PartialGrant] => {
      const cpus = cores[index] ?? 0;
      const mebibytes = perNode ?? (perCpu === undefined ? undefined : perCpu * cpus);
      return [host, { cpus, memory: mebibytes === undefined ? undefined : mebibytes * mebi }];
    });
  });
  return sumByHost(shares, "Slurm's SLURM_JOB_CPUS_PER_NODE");
}

/**
 * Grid Engine: `host slots queue processors` lines of the file PE_HOSTFILE, which only the job's first host has:
 * sge_pe(5).
 */
function sgeGrants(file: string): Grants {
  const rows = file.split("\n").map((line) => line.trim().split(/\s+/));
  return sumByHost(
    rows.map(([host = "", slots]): [string, PartialGrant] => [host, { cpus: wholeNumber(slots) }]),
    "Grid Engine's PE_HOSTFILE",
  );
}

/** LSF: `host1 4 host2 8`. */
function lsfGrants(list: string): Grants {
  const words = list.trim().split(/\s+/);
  const hosts = words.filter((_, index) => index % 2 === 0);
  return sumByHost(
    hosts.map((host, index): [string, PartialGrant] => [host, { cpus: wholeNumber(words[2 * index + 1]) }]),
    "LSF's LSB_MCPU_HOSTS",
  );
}

/** What one line of a batch system grants on a host. */
interface PartialGrant {
  readonly cpus: number | undefined;
  readonly memory?: number | undefined;
}

const mebi = 1024 ** 2;

/**
 * The grants of each host together. One without a number makes that host's sum unknown, for a part of it is not the
 * whole.
 */
function sumByHost(grants: readonly (readonly [host: string, grant: PartialGrant])[], why: string): Grants {
  const sums = new Map<string, { cpus: number; memory: number }>();
  for (const [name, { cpus, memory }] of grants) {
    if (name === "") continue;
    const before = sums.get(shortHost(name)) ?? { cpus: 0, memory: 0 };
    sums.set(shortHost(name), { cpus: before.cpus + (cpus ?? NaN), memory: before.memory + (memory ?? NaN) });
  }
  return new Map(
    [...sums].map(([host, { cpus, memory }]) => [
      host,
      { ...(cpus > 0 ? { cpus } : {}), ...(memory > 0 ? { memory } : {}), why },
    ]),
  );
}

/** The numbers of `4(x2),2` → 4, 4, 2; none when there are more than any machine has nodes. */
function repeated(list: string): readonly number[] {
  const parts = list.split(",").map((part) => /^(\d{1,6})(?:\(x(\d{1,6})\))?$/.exec(part.trim()));
  const total = parts.reduce((sum, part) => sum + Number(part?.[2] ?? 1), 0);
  if (total > 1_000_000 || parts.includes(null)) return [];
  return parts.flatMap((part) => Array.from({ length: Number(part?.[2] ?? 1) }, () => Number(part?.[1])));
}

/** The slots of TORQUE's `n1/0-3,5` (5) and of PBS's `n1/0*4` (4) and `n1/0` (1). */
function slotsOf(part: string): number | undefined {
  const [, slots = ""] = part.split("/");
  const many = /^\d+\*(\d+)$/.exec(slots)?.[1];
  if (many !== undefined) return Number(many);
  const counts = slots.split(",").map((range) => {
    const [, first, last = first] = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(range) ?? [];
    return first === undefined ? NaN : Number(last) - Number(first) + 1;
  });
  const sum = counts.reduce((all, more) => all + more, 0);
  return Number.isNaN(sum) ? undefined : sum;
}

/** The sum of what a pattern finds in a chunk; undefined for nothing. */
function sumOf(chunk: string, pattern: RegExp, value: (text: string) => number): number | undefined {
  const found = [...chunk.matchAll(pattern)].map((match) => value(match[1] ?? ""));
  return found.length === 0 ? undefined : found.reduce((sum, more) => sum + more, 0);
}

/**
 * Bytes of PBS's sizes, such as `8388608kb`, `8gb`, `1024` (bytes) and `10mw` (words of 8 bytes): PBS Reference Guide,
 * "Resource Formats".
 */
function pbsBytes(size: string): number {
  const [, count, unit = "", kind] = /^(\d+)([kmgtp]?)([bw]?)$/i.exec(size) ?? [];
  if (count === undefined) return NaN;
  return Number(count) * 1024 ** " kmgtp".indexOf(unit.toLowerCase() || " ") * (kind?.toLowerCase() === "w" ? 8 : 1);
}
