import { expect, it } from "vitest";
import { jobGrants, type Granted } from "../../src/batch/granted.ts";
import type { Ran } from "../../src/batch/system.ts";
import { hostGrants } from "../../src/cluster/granted.ts";
import type { Failure } from "../../src/errors/failure.ts";
import { covers } from "./covers.ts";
import { recordedShell } from "./recorded.ts";

const gib = 1024 ** 3;

async function grants(
  env: Record<string, string>,
  { files = {}, qstat = {} }: { readonly files?: Record<string, string>; readonly qstat?: Partial<Ran> } = {},
): Promise<Record<string, Omit<Granted, "why">>> {
  const shell = recordedShell([[/^qstat -f 12\.pbs01$/, qstat]]);
  const found = await jobGrants({ env, read: (path) => files[path], shell: async () => shell });
  return Object.fromEntries([...found].map(([host, { why: _, ...granted }]) => [host, granted]));
}

const job = { PBS_JOBID: "12.pbs01" };
const answer = (...fields: string[]): { readonly qstat: Partial<Ran> } => ({
  qstat: { stdout: `Job Id: 12.pbs01\n${fields.map((field) => `    ${field}\n`).join("")}\n` },
});

// exec_vnode as OpenPBS 23.06 wrote it for two chunks, and forms of the PBS Reference Guide.
it.each<[string, string[], Record<string, Omit<Granted, "why">>]>([
  [
    "a chunk on each of two nodes",
    ["exec_host = n1/0*4+n2/0", "exec_vnode = (n1:ncpus=4:mem=8388608kb)+(n2:ncpus=1:mem=2gb)"],
    { n1: { cpus: 4, memory: 8 * gib }, n2: { cpus: 1, memory: 2 * gib } },
  ],
  [
    "several chunks on a node, in a line that is broken",
    ["exec_host = n1/0*2+n1/1*2", "exec_vnode = (n1:ncpus=2:mem=1gb)+(n1:ncpus\n\t=2:mem=1gb)"],
    { n1: { cpus: 4, memory: 2 * gib } },
  ],
  [
    "chunks of several virtual nodes of a host, with GPUs",
    ["exec_host = big.site.org/0*6", "exec_vnode = (big[0]:ncpus=4:mem=4gb:ngpus=1+big[1]:ncpus=2:mem=2gb)"],
    { big: { cpus: 6, memory: 6 * gib } },
  ],
  [
    "a chunk without memory, which leaves the host's unknown",
    ["exec_host = n1/0*2+n1/1*2", "exec_vnode = (n1:ncpus=2:mem=1gb)+(n1:ncpus=2)"],
    { n1: { cpus: 4 } },
  ],
  ["TORQUE's slots", ["exec_host = n1/0-3,5+n2/0+n2/1"], { n1: { cpus: 5 }, n2: { cpus: 2 } }],
])("reads what PBS granted each host: %s", async (_, fields, expected) => {
  expect(await grants(job, answer(...fields))).toEqual(expected);
  covers("pbs", ["limits"]);
});

it("does not take an answer without hosts, or none, for one", async () => {
  await expect(grants(job, answer("job_state = R"))).rejects.toMatchObject({ code: "TSD-093" });
  const busy = { qstat: { code: 1, stderr: "qstat: Connection timed out" } };
  await expect(grants(job, busy)).rejects.toMatchObject({ code: "TSD-094" });
});

it.each<[string, Record<string, string>, Record<string, Omit<Granted, "why">>]>([
  [
    "memory of a node",
    { SLURM_JOB_NODELIST: "n[1-2],g7", SLURM_JOB_CPUS_PER_NODE: "4(x2),16", SLURM_MEM_PER_NODE: "2048" },
    {
      n1: { cpus: 4, memory: 2 * gib },
      n2: { cpus: 4, memory: 2 * gib },
      g7: { cpus: 16, memory: 2 * gib },
    },
  ],
  [
    "memory of a core",
    { SLURM_JOB_NODELIST: "n1,n2", SLURM_JOB_CPUS_PER_NODE: "4,2", SLURM_MEM_PER_CPU: "512" },
    { n1: { cpus: 4, memory: 2 * gib }, n2: { cpus: 2, memory: gib } },
  ],
  [
    "all of a node's memory",
    { SLURM_JOB_NODELIST: "n1", SLURM_JOB_CPUS_PER_NODE: "4", SLURM_MEM_PER_NODE: "0" },
    { n1: { cpus: 4 } },
  ],
  [
    "a heterogeneous job",
    {
      SLURM_HET_SIZE: "2",
      SLURM_JOB_NODELIST: "n1",
      SLURM_JOB_NODELIST_HET_GROUP_0: "n1",
      SLURM_JOB_CPUS_PER_NODE_HET_GROUP_0: "2",
      SLURM_JOB_NODELIST_HET_GROUP_1: "n[1,3]",
      SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1: "1,8",
    },
    { n1: { cpus: 3 }, n3: { cpus: 8 } },
  ],
  ["lists that do not fit", { SLURM_JOB_NODELIST: "n[1-3]", SLURM_JOB_CPUS_PER_NODE: "4,2" }, {}],
])("reads what Slurm granted each host: %s", async (_, env, expected) => {
  expect(await grants({ SLURM_JOB_ID: "12", ...env })).toEqual(expected);
  covers("slurm", ["limits"]);
});

it("reads the slots that Grid Engine and LSF granted each host", async () => {
  const files = { "/pe": "n1.site 5 all.q@n1.site <NULL>\nn2 4 all.q@n2 <NULL>\nn2 1 b.q@n2 <NULL>\n" };
  const sge = { JOB_ID: "12", SGE_O_HOST: "login", PE_HOSTFILE: "/pe" };
  expect(await grants(sge, { files })).toEqual({ n1: { cpus: 5 }, n2: { cpus: 5 } });
  expect(await grants({ LSB_JOBID: "12", LSB_MCPU_HOSTS: "n1 4 n2.site 8 " })).toEqual({
    n1: { cpus: 4 },
    n2: { cpus: 8 },
  });
  covers("sge", ["limits"]);
  covers("lsf", ["limits"]);
});

it("knows nothing outside of a job, and warns of a batch system that cannot be asked", async () => {
  expect(await grants({})).toEqual({});
  const warned: Failure[] = [];
  const warn = (failure: Failure): void => void warned.push(failure);
  const env = { ...job, PATH: "/nowhere" };
  expect((await hostGrants({ env, multiHost: true, warn }))("n1")).toBeUndefined();
  expect(warned.map(({ code }) => code)).toEqual(["TSD-140"]);
  expect((await hostGrants({ env, multiHost: false, warn }))("n1")).toBeUndefined();
  expect(warned).toHaveLength(1);
});
