import type { Granted } from "../batch/granted.ts";

/** A limit and who set it, for people to read. */
export interface Limit {
  readonly value: number;
  readonly why: string;
}

type Env = NodeJS.ProcessEnv;
type Read = (path: string) => string | undefined;

/** What one batch system's variables say of this host's part of the job: cores, and bytes. */
interface System {
  readonly here: string;
  readonly cpus?: (env: Env, host: string, read: Read) => Limit | undefined;
  readonly memory?: (env: Env, read: Read) => Limit | undefined;
}

const systems: readonly System[] = [
  {
    // sbatch(1), srun(1): per node, whatever the step; 0 means all of the node's memory
    here: "SLURM_JOB_ID",
    cpus: (env) => limit(env["SLURM_CPUS_ON_NODE"], "SLURM_CPUS_ON_NODE") ?? perTask(env),
    memory: (env) =>
      limit(env["SLURM_MEM_PER_NODE"], "SLURM_MEM_PER_NODE", mebi) ??
      limit(env["SLURM_MEM_PER_CPU"], "SLURM_MEM_PER_CPU", mebi * (whole(env["SLURM_CPUS_ON_NODE"]) ?? 0)),
  },
  {
    here: "PBS_JOBID",
    cpus: (env, host, read) => limit(env["PBS_NUM_PPN"], "PBS_NUM_PPN") ?? pbsCpus(env, host, read),
    // What `mem=` of the chunk became on the job's first node: the limit of resident memory, which Linux itself does
    // not enforce (getrlimit(2), RLIMIT_RSS; proc(5), `limits`). In bytes.
    memory: (_, read) =>
      limit(
        /^Max resident set\s+(\d+)\s/m.exec(read("/proc/self/limits") ?? "")?.[1],
        "PBS's mem (the limit of resident memory)",
      ),
  },
  {
    // "host1 4 host2 8"
    here: "LSB_JOBID",
    cpus: (env, host) => {
      const words = (env["LSB_MCPU_HOSTS"] ?? "").trim().split(/\s+/);
      const slots = words.find((_, index) => index % 2 === 1 && sameHost(words[index - 1], host));
      return limit(slots, "LSB_MCPU_HOSTS");
    },
  },
  {
    // sge_pe(5): "host slots queue processors" lines; without a parallel environment the slots are all here
    here: "JOB_SCRIPT",
    cpus: (env, host, read) => {
      const file = env["PE_HOSTFILE"];
      if (file === undefined) return limit(env["NSLOTS"], "NSLOTS");
      const lines = (read(file) ?? "").split("\n").map((line) => line.split(/\s+/));
      const here = lines.filter(([name]) => sameHost(name, host)).map(([, slots]) => whole(slots) ?? 0);
      const slots = here.reduce((sum, more) => sum + more, 0);
      return (
        limit(String(slots), "PE_HOSTFILE") ?? (env["NHOSTS"] === "1" ? limit(env["NSLOTS"], "NSLOTS") : undefined)
      );
    },
    // What `h_vmem` times this host's slots became: queue_conf(5), sge_execd(8). In bytes.
    memory: (_, read) =>
      limit(
        /^Max address space\s+(\d+)\s/m.exec(read("/proc/self/limits") ?? "")?.[1],
        "Grid Engine's h_vmem (the limit of address space)",
      ),
  },
  {
    // The slot's ClassAd as lines `Cpus = 4` and `Memory = 8192` (MiB): HTCondor's manual, "Environment and services
    // for a running job". Every job has its own.
    here: "_CONDOR_MACHINE_AD",
    cpus: (env, _, read) => limit(attribute(env, read, "Cpus"), "HTCondor's request_cpus"),
    memory: (env, read) => limit(attribute(env, read, "Memory"), "HTCondor's request_memory", mebi),
  },
];

const mebi = 1024 ** 2;

/**
 * The limits that this job's batch system tells for this host; `read` gives a file's text or `undefined`. Of the
 * variables here and of what rank 0 was told the less counts, since a step may have a part of the job only; but PBS's
 * variables are those of the first host wherever a launcher takes them.
 */
export function batchLimits(
  env: Env,
  host: string,
  read: Read,
  granted?: Granted,
): { readonly cpus: Limit | undefined; readonly memory: Limit | undefined } {
  const system = systems.find(({ here }) => env[here] !== undefined);
  const own = { cpus: system?.cpus?.(env, host, read), memory: system?.memory?.(env, read) };
  const told = (value: number | undefined): Limit | undefined =>
    value === undefined || granted === undefined ? undefined : { value, why: granted.why };
  const cpus = told(granted?.cpus);
  return {
    cpus: system?.here === "PBS_JOBID" ? (cpus ?? own.cpus) : least([own.cpus, cpus]),
    memory: least([own.memory, told(granted?.memory)]),
  };
}

/** The limit with the lowest value; the first of equals. */
export function least(limits: readonly (Limit | undefined)[]): Limit | undefined {
  return limits.reduce(
    (best, one) => (one !== undefined && (best === undefined || one.value < best.value) ? one : best),
    undefined,
  );
}

function limit(text: string | undefined, why: string, unit = 1): Limit | undefined {
  const value = (whole(text) ?? 0) * unit;
  return value > 0 ? { value, why } : undefined;
}

function whole(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/**
 * An old Slurm without SLURM_CPUS_ON_NODE: cores of a task times this node's tasks, where both are alike on all nodes.
 */
function perTask(env: Env): Limit | undefined {
  const tasks = whole(/^(\d+)(?:\(x\d+\))?$/.exec(env["SLURM_TASKS_PER_NODE"] ?? "")?.[1]);
  return limit(env["SLURM_CPUS_PER_TASK"], "SLURM_CPUS_PER_TASK", tasks ?? 0);
}

/**
 * PBS sets NCPUS to the chunk's `ompthreads`, or to its `ncpus` when that was not asked for; a host has one line in
 * PBS_NODEFILE for each of its `mpiprocs`. With fewer threads than lines, each line stands for NCPUS cores; otherwise
 * the chunk's cores are NCPUS.
 */
function pbsCpus(env: Env, host: string, read: Read): Limit | undefined {
  const threads = whole(env["NCPUS"]);
  if (threads === undefined || env["PBS_NODEFILE"] === undefined) return limit(env["NCPUS"], "NCPUS");
  const lines = (read(env["PBS_NODEFILE"]) ?? "").split("\n").filter((line) => sameHost(line.trim(), host)).length;
  return limit(env["NCPUS"], "NCPUS", threads < lines ? lines : 1);
}

/** A whole number of the slot's ClassAd. */
function attribute(env: Env, read: Read, name: string): string | undefined {
  return new RegExp(`^${name}\\s*=\\s*(\\d+)\\s*$`, "im").exec(read(env["_CONDOR_MACHINE_AD"] ?? "") ?? "")?.[1];
}

function sameHost(name: string | undefined, host: string): boolean {
  return name !== undefined && name !== "" && name.split(".")[0] === host.split(".")[0];
}
