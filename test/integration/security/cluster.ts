import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, command } from "../bed/command.ts";
import type { Hosts } from "../bed/hosts.ts";
import { availableLaunchers } from "../bed/launchers.ts";
import { type Clean, filesIn } from "../bed/left.ts";
import { python } from "../bed/pythons.ts";
import { environmentOf } from "../bed/processes.ts";
import { output, start, tell, type Running } from "../bed/run.ts";
import { program } from "../launch.ts";
import type { SchedulerFile } from "../../../src/dask/scheduler-file.ts";

/**
 * A cluster that runs while it is looked at; its script computes once a line is written into `go`, and ends with
 * `stop`.
 */
export interface SecureCluster extends AsyncDisposable {
  readonly running: Running;
  readonly clean: Clean;
  readonly file: SchedulerFile;
  /** The cluster folder. */
  readonly folder: string;
  readonly token: string;
  /** Computes on all workers, from the script that has run all the time; throws when that no longer works. */
  compute(): Promise<void>;
  /** Lets the script end, or shuts JupyterLab down as its page does, and waits for the launch's end. */
  stop(): Promise<void>;
}

const script = `
import pathlib, sys, time
from distributed import Client

if __name__ == "__main__":
    client = Client()
    client.wait_for_workers(2)
    print("ready", flush=True)
    asked = 0
    while True:
        time.sleep(0.05)
        if pathlib.Path("stop").exists():
            break
        if pathlib.Path("go%d" % asked).exists():
            print("computed", asked, sum(client.gather(client.map(lambda x: x + 1, range(100), pure=False))), flush=True)
            asked += 1
`;

export interface ClusterWords {
  /** Where the ranks run; all on this machine without it. */
  readonly hosts?: Hosts;
  /** Words for tsdask-mpi before the script. */
  readonly words?: readonly string[];
  /** JupyterLab instead of the script. */
  readonly jupyter?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** The most files that each process may have open. */
  readonly files?: number;
}

/** Whether the Python to test with has JupyterLab. */
export async function hasJupyter(): Promise<boolean> {
  return output(command(python().path, "-c", "import jupyterlab")).then(
    () => true,
    () => false,
  );
}

/** Starts a secure cluster: on two of three hosts, or on this one by the first launcher there is. */
export async function startCluster(
  clean: Clean,
  { hosts, words = [], jupyter = false, env = {}, files }: ClusterWords = {},
): Promise<SecureCluster> {
  const file = clean.write("script.py", script);
  clean.allow(/^(go\d+|stop)$/);
  const line = program("--wait-workers", "all", ...words, ...(jupyter ? ["--jupyter", "lab"] : [file]));
  const launch = launchLine(hosts, line);
  const limited =
    files === undefined
      ? launch
      : {
          ...launch,
          file: "/bin/sh",
          args: ["-c", `ulimit -n ${files}; exec "$@"`, "sh", launch.file, ...launch.args],
        };
  const running = start(limited, { folder: clean.folder, env: { ...clean.env, ...env }, deadline: 280 });
  const content = await begun(running, join(clean.folder, "scheduler.json"), jupyter);
  const folder = content.tsdask?.folder ?? "";
  const token = content.tsdask?.security === "tls" ? readFileSync(join(folder, "token"), "utf8").trim() : "";
  let asked = 0;
  return {
    running,
    clean,
    file: content,
    folder,
    token,
    async compute() {
      clean.write(`go${asked}`, "");
      await running.says(new RegExp(`^computed ${asked} 5050$`, "m"), 60);
      asked += 1;
    },
    async stop() {
      if (jupyter) await shutDown(content, token, folder);
      else clean.write("stop", "");
      await running.finished;
    },
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

function launchLine(hosts: Hosts | undefined, words: readonly string[]): Command {
  if (hosts !== undefined)
    return hosts.mpirun(availableLaunchers("mpich4").length > 0 ? "mpich4" : "openmpi4", { h1: 3, h2: 2 }, words);
  const [first] = availableLaunchers("mpich4", "openmpi4", "local");
  if (first === undefined) throw new Error("There is no launcher");
  return first.command(4, words);
}

/**
 * Waits until the script, or JupyterLab, runs, and reads scheduler.json. Throws with all that was said when it does not
 * come to that.
 */
async function begun(running: Running, path: string, jupyter: boolean): Promise<SchedulerFile> {
  try {
    if (!jupyter) await running.says(/^ready$/m, 80);
    for (const until = performance.now() + 80_000; performance.now() < until; await sleep(50)) {
      if (!existsSync(path)) continue;
      const content = JSON.parse(readFileSync(path, "utf8")) as SchedulerFile;
      if (!jupyter || (content.tsdask?.jupyter ?? null) !== null) return content;
    }
    throw new Error(`${path} did not come to name JupyterLab`);
  } catch (error) {
    await running[Symbol.asyncDispose]();
    throw new Error(`${String(error)}\n${tell(await running.finished)}`, { cause: error });
  }
}

async function shutDown({ tsdask }: SchedulerFile, token: string, folder: string): Promise<void> {
  const { host = "", port = 0, https = false } = tsdask?.jupyter ?? {};
  const path = "/api/shutdown";
  const words = { host, port, path, method: "POST", headers: { Authorization: `token ${token}` } };
  const request = https ? httpsRequest({ ...words, ca: readFileSync(join(folder, "ca.pem")) }) : httpRequest(words);
  const [answer] = (await once(request.end(), "response")) as [IncomingMessage];
  answer.resume();
  if (answer.statusCode !== 200) throw new Error(`JupyterLab answered ${answer.statusCode}`);
}

/** A listening socket of the cluster's own, as `ss` shows it. */
export interface Port {
  readonly host: string;
  readonly port: number;
  readonly pids: readonly number[];
}

const launcherNames = /^(mpirun|mpiexec|orterun|prterun|orted|prted|hydra_pmi_proxy|srun|slurmstepd|slurmd)/;

/**
 * Every TCP port that the test's processes listen on, found with `ss` on one host; sockets that a launcher gave its
 * ranks are its own.
 */
export async function portsOf(
  clean: Clean,
  on: (words: readonly string[]) => Command = (words) => command(words[0] ?? "", ...words.slice(1)),
): Promise<Port[]> {
  const processes = new Map(clean.processes().map(({ pid, arguments: words }) => [pid, words]));
  const listing = await output(on(["ss", "-H", "-l", "-t", "-n", "-p"]));
  return listing.split("\n").flatMap((row) => {
    const [, , , local = ""] = row.trim().split(/\s+/);
    const pids = [...row.matchAll(/pid=(\d+)/g)].map(([, pid]) => Number(pid));
    const ours = pids.some((pid) => processes.has(pid));
    const launchers = pids.some((pid) => launcherNames.test(basename(processes.get(pid)?.[0] ?? "")));
    const at = local.lastIndexOf(":");
    return ours && !launchers
      ? [{ host: local.slice(0, at).replace(/^\[|\]$|%.*$/g, ""), port: Number(local.slice(at + 1)), pids }]
      : [];
  });
}

/** The pid of the process that is rank 0, which holds the hub. */
export function rankZero(clean: Clean): number {
  const names = ["PMI_RANK", "OMPI_COMM_WORLD_RANK", "TSDASK_RANK"];
  const found = clean
    .processes()
    .find(
      ({ pid, arguments: words }) =>
        words.some((word) => word.endsWith("/dist/main.js")) &&
        names.some((name) => environmentOf(pid).get(name) === "0"),
    );
  if (found === undefined) throw new Error("There is no rank 0");
  return found.pid;
}

/** Every file below some folders, absolute. */
export function filesBelow(...folders: readonly string[]): string[] {
  return folders.flatMap((folder) => filesIn(folder).map((path) => join(folder, path)));
}
