import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { afterEach, beforeEach, expect, it } from "vitest";

import type { Granted } from "../../src/batch/granted.ts";
import { affinityOf, hostGrant, parseCpuList, type Grant } from "../../src/host/grant.ts";

const gigabyte = 1024 ** 3;
/** A host of 8 cores and 32 GiB, without limits. */
const host = {
  "proc/self/status": "Name:\tnode\nCpus_allowed:\tff\nCpus_allowed_list:\t0-7\nMems_allowed_list:\t0\n",
  "proc/meminfo": `MemTotal:       ${32 * 1024 ** 2} kB\nMemFree:  1 kB\n`,
};
const unlimited = "9223372036854771712\n";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tsdask-grant-"));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

function grant(files: Record<string, string>, env: Record<string, string> = {}, granted?: Granted): Grant {
  for (const [path, text] of Object.entries({ ...host, ...files })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return hostGrant({ env, root, host: "node2.cluster.example", ...(granted === undefined ? {} : { granted }) });
}

it("is the whole host where nothing limits it", () => {
  expect(grant({})).toEqual({
    cpus: 8,
    cpuList: [0, 1, 2, 3, 4, 5, 6, 7],
    memory: 32 * gigabyte,
    why: { cpus: "this process's CPU affinity", memory: "the host's memory" },
  });
});

it("follows the process's affinity", () => {
  expect(grant({ "proc/self/status": "Cpus_allowed_list:\t2-3,6\n" })).toMatchObject({ cpus: 3, cpuList: [2, 3, 6] });
});

it("takes the least of all version 2 groups up to the top", () => {
  const got = grant({
    "proc/self/cgroup": "0::/system.slice/slurmstepd.scope/job_7/step_0/user/task_0\n",
    "sys/fs/cgroup/system.slice/slurmstepd.scope/job_7/memory.max": `${8 * gigabyte}\n`,
    "sys/fs/cgroup/system.slice/slurmstepd.scope/job_7/memory.high": "max\n",
    "sys/fs/cgroup/system.slice/slurmstepd.scope/job_7/step_0/memory.max": "max\n",
    "sys/fs/cgroup/system.slice/slurmstepd.scope/job_7/step_0/memory.high": `${6 * gigabyte}\n`,
    "sys/fs/cgroup/system.slice/slurmstepd.scope/cpu.max": "max 100000\n",
    "sys/fs/cgroup/system.slice/cpu.max": "350000 100000\n",
  });
  expect(got).toMatchObject({ cpus: 4, limit: 4, memory: 6 * gigabyte });
  expect(got.why.cpus).toContain("/sys/fs/cgroup/system.slice/cpu.max");
  expect(got.why.memory).toContain("step_0/memory.high");
});

it("reads a container's own top group when its path is not to be seen", () => {
  for (const path of ["/", "/docker/4f2a", "/../../outside"]) {
    const files = {
      "proc/self/cgroup": `0::${path}\n`,
      "sys/fs/cgroup/cpu.max": "200000 100000\n",
      "sys/fs/cgroup/memory.max": "1073741824\n",
    };
    expect(grant(files)).toMatchObject({ cpus: 2, memory: gigabyte });
  }
});

it("takes version 1 groups, whose controllers have folders of their own", () => {
  const got = grant({
    "proc/self/cgroup":
      "11:memory:/slurm/uid_1000/job_3\n5:cpuset:/slurm\n4:cpu,cpuacct:/slurm/uid_1000\n1:name=systemd:/\n",
    "sys/fs/cgroup/memory/slurm/uid_1000/job_3/memory.limit_in_bytes": `${4 * gigabyte}\n`,
    "sys/fs/cgroup/memory/slurm/uid_1000/memory.limit_in_bytes": unlimited,
    "sys/fs/cgroup/memory/memory.limit_in_bytes": unlimited,
    "sys/fs/cgroup/cpu,cpuacct/slurm/uid_1000/cpu.cfs_quota_us": "-1\n",
    "sys/fs/cgroup/cpu,cpuacct/slurm/uid_1000/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_quota_us": "150000\n",
    "sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_period_us": "100000\n",
  });
  expect(got).toMatchObject({ cpus: 2, limit: 2, memory: 4 * gigabyte });
});

it("takes both versions at once, each for what it controls", () => {
  const memoryInOne = grant({
    "proc/self/cgroup": "4:memory:/a\n1:name=systemd:/\n0::/b\n",
    "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "1073741824\n",
    "sys/fs/cgroup/unified/b/memory.max": "5\n",
    "sys/fs/cgroup/unified/b/cpu.max": "100000 100000\n",
  });
  expect(memoryInOne).toMatchObject({ cpus: 1, memory: gigabyte });
});

it("is not misled by groups without limits, nor by files that make no sense", () => {
  const files = {
    "proc/self/cgroup": "4:memory:/\n1:cpu:/\n0::/\nnonsense\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": unlimited,
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "many\n",
  };
  expect(grant(files)).toMatchObject({ cpus: 8, memory: 32 * gigabyte });
  expect(grant(files).limit).toBeUndefined();
});

it.each<[string, Record<string, string>, Record<string, string>, Partial<Grant>]>([
  [
    "Slurm's cores and memory of a node",
    { SLURM_CPUS_ON_NODE: "4", SLURM_MEM_PER_NODE: "2048" },
    {},
    { cpus: 4, limit: 4, memory: 2 * gigabyte },
  ],
  [
    "Slurm's memory of a core",
    { SLURM_CPUS_ON_NODE: "4", SLURM_MEM_PER_CPU: "512" },
    {},
    { cpus: 4, memory: 2 * gigabyte },
  ],
  ["Slurm's 0 for all memory", { SLURM_CPUS_ON_NODE: "4", SLURM_MEM_PER_NODE: "0" }, {}, { memory: 32 * gigabyte }],
  ["Slurm's cores of a task", { SLURM_CPUS_PER_TASK: "2", SLURM_TASKS_PER_NODE: "3(x2)" }, {}, { cpus: 6 }],
  [
    "Slurm's uneven tasks, which tell nothing",
    { SLURM_CPUS_PER_TASK: "2", SLURM_TASKS_PER_NODE: "3,1" },
    {},
    { cpus: 8 },
  ],
])("takes %s", (_, variables, files, expected) => {
  expect(grant(files, { SLURM_JOB_ID: "1", ...variables })).toMatchObject(expected);
});

const nodes =
  "node1.cluster.example\nnode2.cluster.example\nnode2.cluster.example\nnode2.cluster.example\nnode2.cluster.example\n";

it.each<[string, Record<string, string>, Partial<Grant>]>([
  ["PBS's chunk of four cores for four ranks", { PBS_JOBID: "1.pbs", NCPUS: "4", PBS_NODEFILE: "/nodes" }, { cpus: 4 }],
  [
    "PBS's chunk of one thread for each of four ranks",
    { PBS_JOBID: "1.pbs", NCPUS: "1", PBS_NODEFILE: "/nodes" },
    { cpus: 4 },
  ],
  [
    "PBS's chunk of two threads for each of four ranks",
    { PBS_JOBID: "1.pbs", NCPUS: "2", PBS_NODEFILE: "/nodes" },
    { cpus: 8 },
  ],
  ["PBS's cores without a node file", { PBS_JOBID: "1.pbs", NCPUS: "3" }, { cpus: 3 }],
  ["TORQUE's cores of a node", { PBS_JOBID: "1", PBS_NUM_PPN: "5", PBS_NODEFILE: "/nodes" }, { cpus: 5 }],
  ["LSF's slots on this host", { LSB_JOBID: "1", LSB_MCPU_HOSTS: "node1 8 node2 3" }, { cpus: 3 }],
  ["LSF's slots elsewhere, which tell nothing", { LSB_JOBID: "1", LSB_MCPU_HOSTS: "node1 4" }, { cpus: 8 }],
  ["the cores of HTCondor's slot", { _CONDOR_MACHINE_AD: "/machine.ad" }, { cpus: 4, memory: 2 * gigabyte }],
  ["Grid Engine's slots of one host", { JOB_SCRIPT: "x", NSLOTS: "2" }, { cpus: 2 }],
  ["Grid Engine's slots on this host", { JOB_SCRIPT: "x", NSLOTS: "9", NHOSTS: "2", PE_HOSTFILE: "/pe" }, { cpus: 4 }],
])("takes %s", (_, env, expected) => {
  const machine = 'Arch = "X86_64"\nCpus = 4\nTotalSlotCpus = 4\nMemory = 2048\nTotalMemory = 65536\n';
  const files = { nodes, "machine.ad": machine, pe: "node1 5 all.q@node1 <NULL>\nnode2 4 all.q@node2 <NULL>\n" };
  expect(grant(files, env)).toMatchObject(expected);
});

it("takes PBS's memory on the job's first node from the limit of resident memory, and says so", () => {
  const limits = (value: string) =>
    `Limit                     Soft Limit           Hard Limit           Units\nMax resident set          ${value} ${value} bytes\n`;
  const env = { PBS_JOBID: "1.pbs", NCPUS: "4" };
  expect(grant({ "proc/self/limits": limits(`${8 * gigabyte}          `) }, env)).toMatchObject({
    memory: 8 * gigabyte,
    why: { memory: "PBS's mem (the limit of resident memory)" },
  });
  expect(grant({ "proc/self/limits": limits("unlimited           ") }, env).memory).toBe(32 * gigabyte);
  expect(grant({ "proc/self/limits": limits(`${8 * gigabyte}          `) }).memory).toBe(32 * gigabyte);
});

it("takes Grid Engine's memory from the limit of address space, and says so", () => {
  const files = {
    "proc/self/limits": `Max address space         ${4 * gigabyte}           ${4 * gigabyte}           bytes\n`,
  };
  expect(grant(files, { JOB_SCRIPT: "x", NSLOTS: "4" })).toMatchObject({
    memory: 4 * gigabyte,
    why: { memory: "Grid Engine's h_vmem (the limit of address space)" },
  });
});

it("takes what rank 0 says the job was granted here, where this host has no variables of the job", () => {
  const granted = { cpus: 2, memory: 4 * gigabyte, why: "exec_vnode of PBS" };
  expect(grant({}, {}, granted)).toMatchObject({
    cpus: 2,
    limit: 2,
    memory: 4 * gigabyte,
    why: { cpus: "exec_vnode of PBS", memory: "exec_vnode of PBS" },
  });
  // NCPUS of the first host, which some launchers take along; a part of a Slurm job, which its step knows better
  expect(grant({}, { PBS_JOBID: "1.pbs", NCPUS: "1" }, granted).cpus).toBe(2);
  expect(grant({}, { SLURM_JOB_ID: "1", SLURM_CPUS_ON_NODE: "1" }, granted).cpus).toBe(1);
});

it("never grants more than the affinity, however much the batch system says", () => {
  expect(grant({}, { SLURM_JOB_ID: "1", SLURM_CPUS_ON_NODE: "64", SLURM_MEM_PER_NODE: "999999" })).toMatchObject({
    cpus: 8,
    limit: 64,
    memory: 32 * gigabyte,
  });
});

it("reads this machine", () => {
  const own = hostGrant({ env: {} });
  expect(own.cpus).toBeGreaterThan(0);
  expect(own.memory).toBeGreaterThan(gigabyte / 8);
  expect(affinityOf(process.pid)).toEqual(own.cpuList);
  expect(affinityOf(2 ** 22 + 1)).toBeUndefined();
});

it("reads lists of cores", () => {
  expect(parseCpuList("0-2,5,7-7")).toEqual([0, 1, 2, 5, 7]);
  expect(parseCpuList("")).toEqual([]);
});
