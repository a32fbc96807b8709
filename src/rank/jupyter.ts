import { hostname } from "node:os";
import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { ClientStart, RankEvent } from "../protocol/messages.ts";
import { deadlines } from "../deadlines.ts";
import { freePort, requirePort } from "../net/ports.ts";

/** Jupyter's own first port, from which it looks for a free one, and how many it looks at. */
const firstPort = 8888;
const portsTried = 200;
const askEvery = 100;

export interface JupyterStart {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /**
   * Reports where the page is when the server itself has written that it listens. Resolves when it has, or when `over`
   * says that Jupyter has ended. `pid` is the process that was started.
   */
  readonly announce: (pid: number | undefined, over: () => boolean) => Promise<void>;
}

/**
 * Prepares JupyterLab on this rank's host: a runtime folder of its own, and the command line that listens on one
 * address and nowhere else. Jupyter chooses its port by taking it. The token travels in the environment, which only the
 * same user reads. Throws TSD-028 for a port that is taken, TSD-170 to TSD-172 where a JupyterHub should have started
 * it.
 */
export async function prepareJupyter({
  start,
  env,
  address,
  folder,
  pythonRoot,
  cwd,
  report,
}: {
  readonly start: ClientStart;
  /** The environment of the server to be started. */
  readonly env: Readonly<Record<string, string>>;
  /** This host's address that others reach. */
  readonly address: string;
  /** The launch's private folder on this host (0700), which goes with the launch. */
  readonly folder: string;
  readonly pythonRoot: string;
  /** The folder that Jupyter shows. */
  readonly cwd: string;
  readonly report: (event: RankEvent) => void;
}): Promise<JupyterStart> {
  const host = start.jupyter?.loopback === true ? "127.0.0.1" : address;
  const { hub } = start.jupyter ?? {};
  const ofHub = hub === true ? await (await import("./hub-server.ts")).prepareHubServer(env) : {};
  const { prefix } = start.jupyter ?? {};
  // A path that names the port must be known before the port is opened.
  const named = prefix?.includes("{port}") === true ? await freePort(host) : undefined;
  const wanted = start.jupyter?.port ?? named;
  if (wanted !== undefined) await requirePort(host, wanted, "--jupyter-port");
  const runtime = `${folder}/jupyter`;
  mkdirSync(runtime, { mode: 0o700, recursive: true });
  const [module = "", ...args] = start.args;
  const retries = wanted === undefined ? portsTried : 0;
  return {
    file: start.file,
    args: [
      `${pythonRoot}/tsdask_mpi/serve_jupyter.py`,
      module,
      cwd,
      ...args,
      // A Hub says itself where its server is to listen.
      ...(hub === true ? [] : [`--ip=${host}`, `--port=${wanted ?? firstPort}`, `--ServerApp.port_retries=${retries}`]),
      ...(prefix === undefined ? [] : [`--ServerApp.base_url=${filled(prefix, wanted)}`]),
    ],
    env: { JUPYTER_RUNTIME_DIR: runtime, ...(prefix === undefined ? {} : { TSDASK_BEHIND_PROXY: "1" }), ...ofHub },
    announce: async (pid, over) => {
      const seconds = start.jupyter?.patience ?? deadlines.jupyter / 1000;
      const until = performance.now() + seconds * 1000;
      while (!over()) {
        const found = ignoreGone(() => serverIn(runtime, pid));
        if (found !== undefined) {
          const { port, base, https } = found;
          const dashboard = ignoreGone(() => readFileSync(`${runtime}/dashboard`, "utf8"));
          // The server's root leads to the first page of whatever it is.
          const path = `${base}${module === "jupyterlab" ? "lab" : ""}`;
          report({ k: "jupyter-ready", host, port, path, dashboard, hub, ...(https ? { https } : {}) });
          return;
        }
        if (performance.now() > until) {
          report({ k: "failure", code: "TSD-062", facts: { host, seconds }, exit: 69 });
          return;
        }
        await pause(askEvery);
      }
    },
  };
}

/**
 * The port, whether it speaks TLS, and the path that all others begin with, that Jupyter wrote when it had opened the
 * port: `jpserver-<pid>.json` (jupyter_server's ServerApp.write_server_info_file; notebook 6 calls it `nbserver-…`) in
 * a folder that nobody else writes in. The started process's own file counts; the only one there does too, because a
 * `--python` that is a container's wrapper has another number inside. Undefined while there is none that is whole.
 */
function serverIn(runtime: string, pid: number | undefined): ServerInfo | undefined {
  const names = readdirSync(runtime).filter((name) => /^(?:jp|nb)server-\d+\.json$/.test(name));
  const name = names.find((one) => one.includes(`-${pid}.`)) ?? (names.length === 1 ? names[0] : undefined);
  if (name === undefined) return undefined;
  const found = serverInfo(readFileSync(`${runtime}/${name}`, "utf8"));
  return found !== undefined && name.includes(`-${found.pid}.`) ? found : undefined;
}

/** The path below which the pages are, with this host's name and the port in their places. */
function filled(prefix: string, port: number | undefined): string {
  return prefix.replaceAll("{host}", hostname()).replaceAll("{port}", String(port ?? ""));
}

/**
 * What `look` finds; undefined when a file or folder went away meanwhile, as at the end of Jupyter or of the launch.
 */
function ignoreGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

interface ServerInfo {
  readonly pid: number;
  readonly port: number;
  readonly https: boolean;
  readonly base: string;
}

function serverInfo(text: string): ServerInfo | undefined {
  try {
    const { pid, port, secure, base_url: base } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (typeof pid !== "number" || typeof port !== "number" || port <= 0 || port >= 65536) return undefined;
    return { pid, port, https: secure === true, base: typeof base === "string" ? base : "/" };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // It is still being written.
    throw error;
  }
}
