import {
  appendFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Availability, type Command, command, needs, projectRoot } from "./command.ts";
import { startHosts, hostsAvailable } from "./hosts.ts";
import { output, run, start, type Running } from "./run.ts";

/**
 * A real HTCondor pool: a host that is its manager and access point, and two that run jobs, each a slot of 8 cores and
 * 8 GiB that is divided as jobs ask.
 */
export interface HtCondor {
  /** As it says itself. */
  readonly version: string;
  /** A command of an ordinary user on the access point. */
  on(program: Command | readonly string[]): Command;
  /** `cluster.proc` of the jobs that wait, run or are held. */
  jobs(): Promise<string[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Unpacked by scripts/lib/bed.sh: programs of a newer Debian, with the C library and others that they need. */
const unpacked = join(projectRoot, ".tools", "htcondor");
const [manager, ...executing] = ["condor", "e1", "e2"];
/**
 * Root within a user namespace: files are root's for the machine, and this user's for the pool, which runs no job as
 * root.
 */
const user = { id: "1000", name: "ada" };

/** Whether HTCondor can be started here. */
export function htcondorAvailable(): Availability {
  const hosts = hostsAvailable();
  if (hosts !== true) return hosts;
  if (!existsSync(join(unpacked, "made"))) return { missing: "HTCondor of Debian in .tools/htcondor" };
  return needs(["unshare", "nsenter", "mount"], "util-linux, mount");
}

/** Starts a pool on three hosts of their own, in a private folder. */
export async function startHtcondor(): Promise<HtCondor> {
  const folder = mkdtempSync(join(tmpdir(), "bed-condor-"));
  const home = join(folder, "home");
  for (const name of [
    "home",
    "etc",
    ...[manager, ...executing].flatMap((host) => ["log", "spool", "execute", "run"].map((part) => `${host}/${part}`)),
  ])
    mkdirSync(join(folder, name), { recursive: true });
  for (const file of ["passwd", "group"]) accountFile(join(folder, "etc", file), file);
  const configuration = join(folder, "condor_config");
  writeFileSync(configuration, configurationText(folder));
  const newer = { "/usr": join(unpacked, "usr") };
  const hosts = await startHosts({
    names: [manager ?? "", ...executing],
    over: newer,
    bound: { "/etc/passwd": join(folder, "etc/passwd"), "/etc/group": join(folder, "etc/group") },
  });
  const env = { CONDOR_CONFIG: configuration, HOME: home, USER: user.name, LOGNAME: user.name };
  const masters: Running[] = [];
  const onHost = (host: string, { file, args, env: own }: Command): Command =>
    hosts.on(host, {
      ...command("unshare", "--user", `--map-user=${user.id}`, `--map-group=${user.id}`, file, ...args),
      env: { ...own, ...env },
    });
  const on = (program: Command | readonly string[]): Command =>
    onHost(manager ?? "", "file" in program ? program : command(program[0] ?? "true", ...program.slice(1)));
  const tell = (...words: string[]): Promise<string> => output(on(words), { folder, deadline: 30 });
  const dispose = async (): Promise<void> => {
    for (const master of masters) master.signal("SIGTERM");
    await Promise.all(masters.map((master) => Promise.race([master.finished, sleep(5_000)])));
    for (const master of masters) await master[Symbol.asyncDispose]();
    await hosts[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    for (const host of [manager ?? "", ...executing]) {
      const daemons = host === manager ? "COLLECTOR NEGOTIATOR SCHEDD" : "STARTD";
      const master = onHost(host, {
        ...command("condor_master", "-f"),
        env: { _CONDOR_DAEMON_LIST: `MASTER ${daemons}` },
      });
      masters.push(start(master, { folder, deadline: 3600 }));
    }
    const ready = async (): Promise<boolean> => {
      const machines = await run(on(["condor_status", "-af", "Machine"]), { folder, deadline: 30 });
      const queue = await run(on(["condor_q", "-totals"]), { folder, deadline: 30 });
      return queue.code === 0 && executing.every((host) => new RegExp(`^${host}\\b`, "m").test(machines.stdout));
    };
    const last = performance.now() + 60_000;
    while (!(await ready())) {
      if (performance.now() > last)
        throw new Error(
          `HTCondor did not start:\n${logsIn(folder)}${masters.map((master) => master.stderr()).join("")}`,
        );
      await sleep(200);
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  const version = /\$CondorVersion: (\S+)/.exec(await tell("condor_version"))?.[1];
  if (version === undefined) throw new Error("HTCondor does not say its version");
  return {
    version,
    on,
    async jobs() {
      return (await tell("condor_q", "-af:j", "JobStatus")).split("\n").flatMap((line) => line.split(" ")[0] || []);
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/** The machine's accounts with one more. */
function accountFile(path: string, file: string): void {
  const known = readFileSync(`/etc/${file}`, "utf8").split("\n");
  const fields = file === "passwd" ? `${user.id}:${user.id}::/:/bin/sh` : `${user.id}:`;
  const others = known.filter((line) => line.split(":")[2] !== user.id);
  writeFileSync(path, others.join("\n"));
  appendFileSync(path, `${user.name}:x:${fields}\n`);
}

function logsIn(folder: string): string {
  const logs = globSync("*/log/MasterLog", { cwd: folder }).map((name) => readFileSync(join(folder, name), "utf8"));
  return logs.map((text) => text.slice(-2000)).join("\n");
}

/**
 * Short intervals, so that a test waits for seconds and not for minutes; everybody on the hosts' network is trusted.
 */
function configurationText(folder: string): string {
  const values = {
    RELEASE_DIR: "/usr",
    LOCAL_DIR: `${folder}/$(HOSTNAME)`,
    LOG: "$(LOCAL_DIR)/log",
    SPOOL: "$(LOCAL_DIR)/spool",
    EXECUTE: "$(LOCAL_DIR)/execute",
    RUN: "$(LOCAL_DIR)/run",
    LOCK: "$(LOCAL_DIR)/run",
    LIBEXEC: "/usr/libexec/condor",
    CONDOR_HOST: manager,
    COLLECTOR_HOST: "$(CONDOR_HOST):9618",
    NETWORK_INTERFACE: "10.77.0.*",
    ENABLE_IPV6: "False",
    USE_SHARED_PORT: "False",
    UID_DOMAIN: "bed",
    FILESYSTEM_DOMAIN: "bed",
    SEC_DEFAULT_AUTHENTICATION: "OPTIONAL",
    SEC_DEFAULT_AUTHENTICATION_METHODS: "FS, CLAIMTOBE",
    SEC_CLIENT_AUTHENTICATION_METHODS: "FS, CLAIMTOBE",
    ...Object.fromEntries(
      ["READ", "WRITE", "ADMINISTRATOR", "DAEMON", "NEGOTIATOR"].map((who) => [`ALLOW_${who}`, "*"]),
    ),
    START: "True",
    SUSPEND: "False",
    PREEMPT: "False",
    KILL: "False",
    RUNBENCHMARKS: "False",
    NUM_CPUS: "8",
    MEMORY: "8192",
    NUM_SLOTS_TYPE_1: "1",
    SLOT_TYPE_1: "100%",
    SLOT_TYPE_1_PARTITIONABLE: "True",
    NEGOTIATOR_INTERVAL: "1",
    NEGOTIATOR_CYCLE_DELAY: "1",
    NEGOTIATOR_MIN_INTERVAL: "1",
    SCHEDD_INTERVAL: "1",
    UPDATE_INTERVAL: "2",
    STARTER_UPDATE_INTERVAL: "1",
    PROCD_MAX_SNAPSHOT_INTERVAL: "1",
    SHADOW_QUEUE_UPDATE_INTERVAL: "1",
  };
  const lines = Object.entries(values).map(([name, value]) => `${name} = ${value}`);
  return `${lines.join("\n")}\n`;
}
