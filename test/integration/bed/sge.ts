import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Availability, Command } from "./command.ts";
import { startHosts, hostsAvailable } from "./hosts.ts";
import { isAlive, signalAll } from "./processes.ts";
import { output, run } from "./run.ts";

/** A real Grid Engine of one host with 16 slots, a queue `main.q` and a parallel environment `mpi`. */
export interface Sge {
  readonly host: string;
  /** As its queue master says itself. */
  readonly version: string;
  /** SGE_ROOT, SGE_CELL and the ports, for qsub and its like; they answer on the host only. */
  readonly env: Readonly<Record<string, string>>;
  /** A command on the host, with the variables that qsub needs. */
  on(program: Command | readonly string[]): Command;
  /** Ids of the jobs that wait or run. */
  jobs(): Promise<string[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

const lib = "/usr/lib/gridengine";
const share = "/usr/share/gridengine";

/** Whether Grid Engine can be started here. */
export function sgeAvailable(): Availability {
  const hosts = hostsAvailable();
  if (hosts !== true) return hosts;
  const there = ["sge_qmaster", "sge_execd", "qsub"].every((name) => existsSync(join(lib, name)));
  return (
    there || { missing: "sge_qmaster, sge_execd, qsub (Debian: gridengine-master, gridengine-exec, gridengine-client)" }
  );
}

/** Starts qmaster and execd on a host of their own, in a private folder. */
export async function startSge(): Promise<Sge> {
  const folder = mkdtempSync(join(tmpdir(), "bed-sge-"));
  const inFolder = (name: string): string => join(folder, name);
  const host = "sge";
  const hosts = await startHosts({ names: [host] });
  const env = {
    SGE_ROOT: inFolder("root"),
    SGE_CELL: "default",
    SGE_ARCH: "lx-amd64",
    SGE_QMASTER_PORT: "6444",
    SGE_EXECD_PORT: "6445",
  };
  const on = (program: Command | readonly string[]): Command => {
    const placed = hosts.on(host, program);
    return { ...placed, env: { ...placed.env, ...env } };
  };
  const tell = (...words: string[]): Promise<string> => output(on(words), { folder, deadline: 100 });
  const configure = (option: string, name: string, text: string): Promise<string> => {
    writeFileSync(inFolder(name), text);
    return tell("qconf", option, inFolder(name));
  };
  const daemons = ["qmaster/qmaster.pid", `execd/${host}/execd.pid`];
  const pids = (): number[] =>
    daemons.map(inFolder).flatMap((path) => (existsSync(path) ? [Number(readFileSync(path, "utf8"))] : []));

  const dispose = async (): Promise<void> => {
    signalAll(pids(), "SIGTERM");
    for (let round = 0; round < 60 && pids().some(isAlive); round += 1) await sleep(50);
    signalAll(pids().filter(isAlive), "SIGKILL");
    await hosts[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    layOut(folder, env.SGE_ROOT, host);
    await tell(join(lib, "spoolinit"), "berkeleydb", "libspoolb", inFolder("spooldb"), "init");
    await tell(join(lib, "spooldefaults"), "configuration", inFolder("configuration"));
    await tell(join(lib, "spooldefaults"), "complexes", join(share, "util/resources/centry"));
    await tell(join(lib, "spooldefaults"), "usersets", join(share, "util/resources/usersets"));
    await tell(join(lib, "spooldefaults"), "managers", "root");
    await tell(join(lib, "sge_qmaster"));
    await until("qmaster answers", async () => (await run(on(["qconf", "-sh"]), { folder, deadline: 100 })).code === 0);
    await tell("qconf", "-as", host);
    await configure("-Ae", "host", hostText(host));
    await configure("-Ap", "pe", parallelEnvironmentText());
    await configure("-Aq", "queue", queueText(host));
    const scheduling = await tell("qconf", "-ssconf");
    const quick = { schedule_interval: "0:0:1", flush_submit_sec: "1", flush_finish_sec: "1" };
    await configure("-Msconf", "scheduling", replaced(scheduling, quick));
    await tell(join(lib, "sge_execd"));
    await until("the queue is up", async () =>
      /main\.q@\S+ +\S+ +0\/0\/16 +[\d.]+ +\S+ *$/m.test(await tell("qstat", "-f")),
    );
  } catch (error) {
    await dispose();
    throw error;
  }
  const version = /starting up SGE (\S+)/.exec(readFileSync(inFolder("qmaster/messages"), "utf8"))?.[1];
  if (version === undefined) throw new Error("Grid Engine's queue master does not say its version");
  return {
    host,
    version,
    env,
    on,
    async jobs() {
      return [...(await tell("qstat", "-u", "*")).matchAll(/^ *(\d+) /gm)].map((match) => match[1] ?? "");
    },
    [Symbol.asyncDispose]: dispose,
  };
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const last = performance.now() + 150_000;
  while (!(await holds())) {
    if (performance.now() > last) throw new Error(`Grid Engine did not start: waited 150 s until ${what}`);
    await sleep(100);
  }
}

/**
 * The folders and files of a Grid Engine cell, as Debian's own set-up script lays them out, but in a folder of ours and
 * for root.
 */
function layOut(folder: string, root: string, host: string): void {
  const common = join(root, "default", "common");
  for (const path of [
    common,
    join(root, "bin"),
    join(root, "utilbin"),
    ...["qmaster/job_scripts", "spooldb", "execd"].map((name) => join(folder, name)),
  ]) {
    mkdirSync(path, { recursive: true });
  }
  symlinkSync(join(share, "util"), join(root, "util"));
  for (const name of ["bin", "utilbin"]) symlinkSync(lib, join(root, name, "lx-amd64"));
  const bootstrap = readFileSync(join(share, "default-bootstrap"), "utf8");
  const places = {
    admin_user: "root",
    ignore_fqdn: "true",
    spooling_params: join(folder, "spooldb"),
    qmaster_spool_dir: join(folder, "qmaster"),
  };
  writeFileSync(join(common, "bootstrap"), replaced(bootstrap, places));
  writeFileSync(join(common, "act_qmaster"), `${host}\n`);
  writeFileSync(join(common, "cluster_name"), "bed\n");
  const configuration = readFileSync(join(share, "default-configuration"), "utf8");
  const forRoot = {
    execd_spool_dir: join(folder, "execd"),
    min_uid: "0",
    min_gid: "0",
    load_report_time: "00:00:01",
    mailer: "/bin/true",
    reporting_params: "accounting=true reporting=false flush_time=00:00:01 accounting_flush_time=00:00:00 joblog=false",
  };
  writeFileSync(join(folder, "configuration"), replaced(configuration, forRoot));
}

/** A file of "name value" lines with some values replaced. */
function replaced(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/^(\w+)[ \t]+.*$/gm, (line, name: string) =>
    values[name] === undefined ? line : `${name} ${values[name]}`,
  );
}

function lines(values: Readonly<Record<string, string>>, none: string): string {
  return `${[...Object.entries(values), ...none.split(" ").map((name) => [name, "NONE"])].map((pair) => pair.join(" ")).join("\n")}\n`;
}

function hostText(hostname: string): string {
  return lines(
    { hostname },
    "load_scaling complex_values user_lists xuser_lists projects xprojects usage_scaling report_variables",
  );
}

function parallelEnvironmentText(): string {
  const yes = { control_slaves: "TRUE", job_is_first_task: "FALSE", accounting_summary: "FALSE", urgency_slots: "min" };
  const values = { pe_name: "mpi", slots: "64", allocation_rule: "$fill_up", ...yes };
  return lines(values, "user_lists xuser_lists start_proc_args stop_proc_args qsort_args");
}

function queueText(host: string): string {
  const unlimited = "rt cpu fsize data stack core rss vmem".split(" ").flatMap((name) => [`s_${name}`, `h_${name}`]);
  return lines(
    {
      qname: "main.q",
      hostlist: host,
      slots: "16",
      pe_list: "mpi",
      qtype: "BATCH INTERACTIVE",
      shell: "/bin/sh",
      shell_start_mode: "unix_behavior",
      tmpdir: "/tmp",
      rerun: "FALSE",
      seq_no: "0",
      priority: "0",
      nsuspend: "1",
      processors: "UNDEFINED",
      initial_state: "default",
      suspend_interval: "00:05:00",
      min_cpu_interval: "00:05:00",
      notify: "00:00:60",
      ...Object.fromEntries(unlimited.map((name) => [name, "INFINITY"])),
    },
    "load_thresholds suspend_thresholds ckpt_list prolog epilog starter_method suspend_method resume_method terminate_method owner_list user_lists xuser_lists subordinate_list complex_values projects xprojects calendar",
  );
}
