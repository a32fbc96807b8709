import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Availability, command, isRoot, needs, which } from "./command.ts";
import { freePorts } from "./ports.ts";
import { environmentOf, isAlive, processes, signalAll } from "./processes.ts";
import { output, run } from "./run.ts";

/** A real Slurm of two nodes on this machine. As root each node has its own hostname, n1 and n2. */
export interface Slurm {
  readonly folder: string;
  /** SLURM_CONF, for sbatch, srun, squeue and the like. */
  readonly env: Readonly<Record<string, string>>;
  readonly nodes: readonly ["n1", "n2"];
}

/** CPUs that each node claims, whatever the machine has. */
const cpusPerNode = 16;
/** Seconds between SIGTERM and SIGKILL for a cancelled job: Slurm's own. */
const killWait = 30;

/**
 * Each run of the tests has a Slurm of its own, named after the process that owns it: the test runner, else this
 * process.
 */
const prefix = `bed-slurm-${userInfo().uid}-`;
const folder = join(tmpdir(), `${prefix}${process.env["BED_OWNER"] ?? process.pid}`);
const configuration = join(folder, "slurm.conf");
const slurm: Slurm = { folder, env: { SLURM_CONF: configuration }, nodes: ["n1", "n2"] };

/** Whether Slurm, and optionally its PMIx plugin, can be started here. */
export function slurmAvailable(plugin?: "pmix"): Availability {
  const programs = needs(["munged", "slurmctld", "slurmd", "srun", "sbatch"], "slurm-wlm, munge");
  if (programs !== true || plugin === undefined) return programs;
  // Debian's plugin opens libpmix.so by its bare name, which only the development package brings.
  const there = ["/usr/lib", ...readdirSync("/usr/lib").map((name) => `/usr/lib/${name}`)].some((path) =>
    existsSync(join(path, "pmix2/lib/libpmix.so")),
  );
  return there || { missing: "libpmix.so (Debian: libpmix-dev)" };
}

/** What a command needs in its environment to talk to this Slurm; valid before and after it is started. */
export function slurmEnvironment(): Readonly<Record<string, string>> {
  return slurm.env;
}

/**
 * Starts munged, slurmctld and two slurmd, or finds them running; both nodes are idle when it returns.
 * It stays up for the process `BED_OWNER` (the test runner's; by default this process) until that calls `stopSlurm`.
 */
export function startSlurm(): Promise<Slurm> {
  // Tests that run at once ask at once.
  starting ??= startOrFind().finally(() => {
    starting = undefined;
  });
  return starting;
}

let starting: Promise<Slurm> | undefined;

async function startOrFind(): Promise<Slurm> {
  const available = slurmAvailable();
  if (available !== true) throw new Error(`Slurm cannot be started: ${available.missing}`);
  if (daemons(folder).length === 4) return slurm;
  await removeOrphans();
  await stopDaemons(folder);
  await startDaemons();
  return slurm;
}

/** Stops all daemons and whatever their jobs still run, and removes their folder. */
export async function stopSlurm(): Promise<void> {
  if (!existsSync(folder)) return;
  if (daemons(folder).length === 4)
    await run(command("scancel", "--user", userInfo().username), { env: slurm.env, deadline: 10 });
  await stopDaemons(folder);
}

/** A run of the tests that was killed leaves its Slurm behind: the next one ends it. */
async function removeOrphans(): Promise<void> {
  const others = readdirSync(tmpdir()).filter((name) => name.startsWith(prefix));
  for (const name of others) if (!isAlive(Number(name.slice(prefix.length)))) await stopDaemons(join(tmpdir(), name));
}

/** The version of the controller that runs, as it says itself. */
export async function slurmVersion(): Promise<string> {
  const said = await output(command("scontrol", "show", "config"), { env: slurm.env, deadline: 100 });
  const version = /^SLURM_VERSION\s*=\s*(\S+)/m.exec(said)?.[1];
  if (version === undefined) throw new Error("Slurm's controller does not say its version");
  return version;
}

/** Ids of the jobs that are in the queue, whatever their state. */
export async function queuedJobs(): Promise<string[]> {
  const text = await output(command("squeue", "--noheader", "--format=%i"), { env: slurm.env, deadline: 100 });
  return text.split("\n").filter((line) => line !== "");
}

/**
 * The state of a job, as Slurm spells it: PENDING, RUNNING, COMPLETED, CANCELLED, TIMEOUT, …; undefined when it is
 * forgotten.
 */
export async function jobState(id: string): Promise<string | undefined> {
  const { stdout } = await run(command("scontrol", "show", "job", id), { env: slurm.env, deadline: 100 });
  return /JobState=(\w+)/.exec(stdout)?.[1];
}

/** Waits until the queue is empty; throws with what is in it after `seconds`. */
export async function queueEmpty(seconds = 150): Promise<void> {
  const until = performance.now() + seconds * 1000;
  for (;;) {
    const jobs = await queuedJobs();
    if (jobs.length === 0) return;
    if (performance.now() > until) throw new Error(`Still in the queue after ${seconds} s: ${jobs.join(", ")}`);
    await sleep(200);
  }
}

async function startDaemons(): Promise<void> {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  for (const name of ["munge", "state", "n1/tmp", "n2/tmp"])
    mkdirSync(join(folder, name), { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, "munge", "key"), randomBytes(32), { mode: 0o600 });
  // Each node finds itself and the other by name, and everything on loopback.
  writeFileSync(join(folder, "hosts"), `${readFileSync("/etc/hosts", "utf8")}\n127.0.0.1 n1 n2\n`);
  writeFileSync(configuration, await configurationText());

  const inMunge = (name: string): string => join(folder, "munge", name);
  const munged = [
    "--force",
    `--key-file=${inMunge("key")}`,
    `--socket=${inMunge("socket")}`,
    `--pid-file=${inMunge("pid")}`,
  ];
  const files = [`--log-file=${inMunge("log")}`, `--seed-file=${inMunge("seed")}`];
  const start = async (file: string, ...args: string[]): Promise<void> => {
    await output(command(which(file) ?? file, ...args), { env: { ...slurm.env, TMPDIR: "/tmp" }, deadline: 100 });
  };
  await start("munged", ...munged, ...files);
  await start("slurmctld", "-f", configuration);
  for (const node of slurm.nodes) {
    const slurmd = [which("slurmd") ?? "slurmd", "-f", configuration, "-N", node];
    if (isRoot) {
      const script = 'mount --bind "$0/hosts" /etc/hosts && hostname "$1" && shift && exec "$@"';
      await start("unshare", "--uts", "--mount", "sh", "-c", script, folder, node, ...slurmd);
    } else {
      await start("slurmd", ...slurmd.slice(1));
    }
  }
  const until = performance.now() + 150_000;
  for (;;) {
    const { stdout } = await run(command("sinfo", "--noheader", "--Node", "--states=idle", "--partition=main"), {
      env: slurm.env,
      deadline: 100,
    });
    if (stdout.trim().split("\n").filter(Boolean).length === slurm.nodes.length) return;
    if (performance.now() > until) throw new Error(`Slurm's nodes did not become idle; see the logs in ${folder}`);
    await sleep(100);
  }
}

async function configurationText(): Promise<string> {
  const [controller, n1, n2] = await freePorts(3);
  const user = userInfo().username;
  const node = `CPUs=${cpusPerNode} RealMemory=8000 State=UNKNOWN NodeAddr=127.0.0.1`;
  const nodeName = (name: string): string => (isRoot ? name : hostname());
  return `ClusterName=bed
SlurmctldHost=${hostname()}(127.0.0.1)
SlurmctldPort=${controller}
SlurmUser=${user}
SlurmdUser=${user}
AuthType=auth/munge
AuthInfo=socket=${folder}/munge/socket
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/%n/spool
TmpFS=${folder}/%n/tmp
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/%n/pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdLogFile=${folder}/%n/log
ProctrackType=proctrack/linuxproc
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=pmi2
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,bf_interval=1
KillWait=${killWait}
MessageTimeout=60
BatchStartTimeout=100
MinJobAge=300
JobRequeue=1
PropagateResourceLimits=NONE
NodeName=n1 NodeHostname=${nodeName("n1")} Port=${n1} ${node}
NodeName=n2 NodeHostname=${nodeName("n2")} Port=${n2} ${node}
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
PartitionName=short Nodes=n1,n2 MaxTime=1 State=UP
`;
}

/** The pids of those daemons of a folder that live. */
function daemons(place: string): number[] {
  return ["munge/pid", "slurmctld.pid", "n1/pid", "n2/pid"].flatMap((name) => {
    const path = join(place, name);
    const pid = existsSync(path) ? Number(readFileSync(path, "utf8")) : 0;
    return processes().some(
      (process) => process.pid === pid && process.arguments.some((word) => word.includes(`${place}/`)),
    )
      ? [pid]
      : [];
  });
}

async function stopDaemons(place: string): Promise<void> {
  const stopping = daemons(place);
  signalAll(stopping, "SIGTERM");
  for (let round = 0; round < 60 && stopping.some(isAlive); round += 1) await sleep(50);
  // Step daemons outlive their slurmd by design.
  const steps = processes().filter(({ pid, arguments: words }) => {
    if (pid === process.pid || !/slurm(stepd|d|ctld|scriptd)/.test(words.join(" "))) return false;
    return words.join(" ").includes(`${place}/`) || environmentOf(pid).get("SLURM_CONF") === join(place, "slurm.conf");
  });
  signalAll([...stopping.filter(isAlive), ...steps.map(({ pid }) => pid)], "SIGKILL");
  rmSync(place, { recursive: true, force: true, maxRetries: 5 });
}
