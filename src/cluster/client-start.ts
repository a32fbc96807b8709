import { jupyterModules } from "./jupyter-modules.ts";
import { readNotebook } from "../config/notebook-options.ts";
import type { JupyterKind, Options } from "../config/options.ts";
import type { ClientStart, ToRank } from "../protocol/messages.ts";
import { clientEnvironment } from "../dask/configuration.ts";
import { settingValues, workersMeant } from "../dask/settings.ts";
import { deadlines } from "../deadlines.ts";
import { render } from "../errors/failure.ts";
import { clusterFiles } from "../security/cluster-folder.ts";
import type { Secrets } from "./launch.ts";
import type { SchedulerFacts } from "./state.ts";

/**
 * What the client's rank starts: the script with the cluster's Python, a notebook executed cell by cell, or a command
 * as it is. Its environment connects a plain `Client()`; secrets are named by file only.
 */
export async function clientStart({
  options,
  python,
  pythonRoot,
  cwd,
  folder,
  schedulerFile,
  scheduler,
  secrets,
  pages,
  dashboardLink,
  stdin,
  workers,
}: {
  readonly options: Options;
  readonly python: string;
  /** The folder that holds our own Python modules, and the one that the launch was started in. */
  readonly pythonRoot: string;
  readonly cwd: string;
  readonly folder: string;
  readonly schedulerFile: string | undefined;
  readonly scheduler: SchedulerFacts;
  readonly secrets: Promise<Secrets>;
  /** Where the client's host reaches the scheduler's pages: Jupyter shows them as its own. */
  readonly pages: string | undefined;
  /**
   * The dashboard's link as the user's laptop opens it where Jupyter does not show it: what `Client` shows in a
   * notebook.
   */
  readonly dashboardLink: string;
  readonly stdin: ClientStart["stdin"];
  /** How many workers the launch was started with. */
  readonly workers: number;
}): Promise<Extract<ToRank, { t: "client" }>> {
  const { token } = await secrets;
  const access = clientEnvironment({
    address: scheduler.address,
    folder,
    security: options.security,
    ...(schedulerFile === undefined ? {} : { schedulerFile }),
    ...(options.tls === undefined ? {} : { files: options.tls }),
  });
  const env = {
    ...access,
    // The link that a plain `Client` shows has the scheme of its own process's configuration otherwise.
    ...(scheduler.https === true ? { DASK_DISTRIBUTED__DASHBOARD__LINK: "https://{host}:{port}/status" } : {}),
    ...clustersVariable(options, workers),
  };
  if (options.jupyter === undefined)
    return {
      t: "client",
      ...command(options, python, pythonRoot, cwd),
      python,
      env,
      grace: options.grace,
      ...(stdin === undefined ? {} : { stdin }),
    };
  return {
    t: "client",
    file: python,
    python,
    args: jupyterArgs(options.jupyter, options, folder),
    env: {
      ...env,
      // A Hub has logins of its own.
      ...(token === null || options.jupyter === "hub" ? {} : { JUPYTER_TOKEN: token }),
      DASK_DISTRIBUTED__DASHBOARD__LINK: dashboardLink,
      ...(pages === undefined ? {} : { TSDASK_PAGES: pages }),
      ...(pages?.startsWith("https:") === true ? { TSDASK_PAGES_CA_FILE: clusterFiles(folder).ca } : {}),
      // Without security the scheduler's pages have no gate that could prove itself by the token.
      ...(pages === undefined || token === null || options.security === "none"
        ? {}
        : { TSDASK_PAGES_TOKEN_FILE: clusterFiles(folder).token }),
    },
    // A tunnel that ends on the node itself needs no port that anybody else can reach.
    jupyter: {
      ...(options.jupyterPort === undefined ? {} : { port: options.jupyterPort }),
      loopback: options.tunnel !== "direct",
      patience: Math.max(options.startTimeout, deadlines.jupyter / 1000),
      ...(options.jupyter === "hub" ? { hub: true } : {}),
      ...(options.jupyterPrefix === undefined ? {} : { prefix: options.jupyterPrefix }),
    },
    grace: options.grace,
  };
}

/** What `python/tsdask_mpi/adopt` does in the script's process; without the variable, nothing. */
function clustersVariable(options: Options, workers: number): Record<string, string> {
  const mode = options.ownClusters ?? (options.script?.kind === "command" ? "warn" : "adopt");
  if (mode === "allow") return {};
  const size = { workers: workersMeant(workers, options), here: 1, cores: 1 };
  const connect = settingValues(size)["distributed.comm.timeouts.connect"];
  const words = [
    mode,
    // The scheduler of a large launch greets its workers while the script's client waits its turn.
    ...(connect === undefined ? [] : [`connect=${connect}`]),
    // A launch that joins another's cluster does not know how many workers that has.
    ...(options.scheduler ? [`workers=${workers}`] : []),
    ...(options.scriptScale === 0 ? [] : [`script-scale=${options.scriptScale}`]),
    ...resourceWords(options),
    ...(options.preload.length === 0 ? [] : ["preload"]),
    ...(/cuda/i.test(options.workerClass) ? ["cuda"] : []),
    ...(options.quiet ? ["quiet"] : []),
  ];
  return { TSDASK_CLUSTERS: words.join(",") };
}

/** The most that any worker of the launch has of each of Dask's resources, those of groups to come included. */
function resourceWords({ resources, workerOptions, group }: Options): readonly string[] {
  const all = [workerOptions["resources"], resources, ...group.map(({ options }) => options.resources)];
  const most = new Map<string, number>();
  for (const [name, amount] of all.flatMap((one) => Object.entries(one ?? {})))
    if (typeof amount === "number") most.set(name, Math.max(amount, most.get(name) ?? 0));
  const words = [...most].map(([name, amount]) => `${encodeURIComponent(name)}:${String(amount).replace("+", "")}`);
  return words.length === 0 ? [] : [`resources=${words.join("+")}`];
}

/**
 * A Jupyter server's module and its arguments (jupyter_server's ServerApp), for `serve_jupyter.py` to run.
 * `idleTimeout` in seconds: kernels without work are ended after it, and the server after them; `afterNotebook`: only
 * the server, when no kernel is left.
 */
function jupyterArgs(kind: JupyterKind, { idleTimeout, afterNotebook, https }: Options, folder: string): string[] {
  const { cert, key } = clusterFiles(folder);
  // A Hub has certificates of its own, or none.
  const pages = kind === "hub" || https === "auto" ? [] : https === "on" ? [cert, key] : ["", ""];
  const tls = pages.length === 0 ? [] : [`--certfile=${pages[0]}`, `--keyfile=${pages[1]}`];
  const unused = Math.min(idleTimeout ?? Number.POSITIVE_INFINITY, afterNotebook ?? Number.POSITIVE_INFINITY);
  const idle = [
    ...(Number.isFinite(unused) ? [`--ServerApp.shutdown_no_activity_timeout=${Math.ceil(unused)}`] : []),
    ...(idleTimeout === undefined ? [] : [`--MappingKernelManager.cull_idle_timeout=${Math.ceil(idleTimeout)}`]),
  ];
  const root = process.getuid?.() === 0 ? ["--allow-root"] : [];
  return [jupyterModules[kind], "--no-browser", ...idle, ...tls, ...root];
}

function command(
  { script, grace, startTimeout }: Options,
  python: string,
  pythonRoot: string,
  cwd: string,
): { readonly file: string; readonly args: readonly string[] } {
  const words = script?.words ?? [];
  const [first = "", ...rest] = words;
  switch (script?.kind) {
    case "notebook": {
      const { notebook, output, parameters, raw, kernel, allowErrors } = readNotebook(words, cwd);
      const request = {
        notebook,
        output,
        parameters,
        raw,
        kernel: kernel ?? null,
        allow_errors: allowErrors,
        grace,
        start_timeout: startTimeout,
        messages: {
          missing: render("TSD-108", { python, problem: "{problem}" }),
          unusable: render("TSD-109", { file: notebook, problem: "{problem}" }),
          kernel: render("TSD-110", { file: notebook, problem: "{problem}", output }),
        },
      };
      return { file: python, args: [`${pythonRoot}/tsdask_mpi/notebook.py`, JSON.stringify(request)] };
    }
    case "command":
      return { file: first, args: rest };
    default:
      return { file: python, args: words };
  }
}
