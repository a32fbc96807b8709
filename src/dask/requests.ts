import type { SchedulerParams, WorkerParams } from "../protocol/fork-server.ts";
import type { SchedulerRequest, WorkerRequest } from "../protocol/messages.ts";
import type { Options } from "../config/options.ts";
import { settingValues, type LaunchSize } from "./settings.ts";

/** Paths of this host's copies of the launch's credentials; all files of mode 0600 in a private folder. */
export interface HostSecrets {
  readonly security: { readonly ca: string; readonly cert: string; readonly key: string } | null;
  readonly tokenFile: string | null;
}

/** A worker's part of its host. */
export interface Share {
  readonly nthreads: number;
  /** Bytes; 0 for no limit. */
  readonly memoryLimit: number;
  /** Cores that the rank can use at most, for Dask's own `CPU_COUNT`. */
  readonly cpus: number;
}

export interface RequestInput {
  readonly options: Options;
  readonly rank: number;
  readonly secrets: HostSecrets;
  /** The address of this host that the others reach, for Dask's listeners; undefined: Dask chooses. */
  readonly address: string | undefined;
  /** Folder of the script, first on the path of modules: a worker imports what lies beside the script. */
  readonly scriptFolder: string | undefined;
  /** Folders in which modules are looked for last. */
  readonly laterFolders: readonly string[];
  /**
   * Where scheduler and workers keep local files, and what they spill, when neither option nor Dask's configuration
   * says.
   */
  readonly scratch: string;
  readonly hostMemory: number;
  /** This host's name. */
  readonly host: string;
  readonly size: LaunchSize;
}

/**
 * What the fork server is asked for on the scheduler's rank; keyword arguments are those of `distributed.Scheduler`.
 */
export function schedulerRequest(input: RequestInput, cpus: number): SchedulerRequest {
  const { options } = input;
  const kwargs = {
    ...listen(input, options.schedulerPort === 0 ? undefined : options.schedulerPort),
    // A tunnel that ends on the node itself needs no port that anybody else can reach.
    dashboard_address:
      options.tunnel !== "direct" && options.dashboardAddress.startsWith(":")
        ? `127.0.0.1${options.dashboardAddress}`
        : options.dashboardAddress,
    // To Dask a cluster whose user reads, or computes in a kernel, is idle: with Jupyter its server keeps the time.
    ...given("idle_timeout", options.jupyter === undefined ? options.idleTimeout : undefined),
  };
  return {
    kind: "scheduler",
    cpu_count: cpus,
    memory_limit: input.hostMemory,
    sys_path: input.scriptFolder === undefined ? [] : [input.scriptFolder],
    params: {
      ...common(input),
      kwargs,
      user_kwargs: options.schedulerOptions,
      dashboard: options.dashboard,
      launched: performance.timeOrigin / 1000,
      worker_prefix: options.name,
      ...(options.schedulerRestarts > 0 ? { returns: true } : {}),
    },
  };
}

/**
 * What the fork server is asked for on a worker's rank; keyword arguments are those of `distributed.Worker` (or Nanny).
 */
export function workerRequest(
  input: RequestInput,
  share: Share,
  name: string | number,
  scheduler: string | null,
): WorkerRequest {
  const { options } = input;
  const port = options.workerPort;
  const kwargs = {
    ...listen(
      input,
      port === undefined ? undefined : port.first === port.last ? port.first : `${port.first}:${port.last}`,
    ),
    name,
    nthreads: share.nthreads,
    memory_limit: share.memoryLimit,
    // A worker's own pages import Bokeh, as much again as Dask itself, in every worker: for those who ask for them.
    dashboard: options.workerDashboardAddress !== undefined && options.dashboard,
    dashboard_address: options.workerDashboardAddress ?? ":0",
    ...given("local_directory", options.localDirectory),
    ...given("listen_address", options.listenAddress),
    ...given("contact_address", options.contactAddress),
    ...given("death_timeout", options.deathTimeout),
    ...given("lifetime", options.lifetime),
    ...given("lifetime_stagger", options.lifetimeStagger),
    ...(options.lifetimeRestart ? { lifetime_restart: true } : {}),
    ...(Object.keys(options.resources).length === 0 ? {} : { resources: options.resources }),
  };
  return {
    kind: "worker",
    cpu_count: share.cpus,
    memory_limit: input.hostMemory,
    sys_path: input.scriptFolder === undefined ? [] : [input.scriptFolder],
    params: {
      ...common(input),
      kwargs,
      user_kwargs: options.workerOptions,
      worker_class: options.workerClass,
      scheduler,
      preload_nanny: options.preloadNanny,
    },
  };
}

function common({ options, secrets, host, scratch, size, laterFolders }: RequestInput): SchedulerParams & WorkerParams {
  return {
    security: secrets.security,
    token_file: secrets.tokenFile,
    preload: options.preload,
    log_level: options.logLevel,
    config: pagesConfig(options, secrets),
    derived: settingValues(size),
    scratch,
    ...(laterFolders.length === 0 ? {} : { later_path: [...laterFolders] }),
    ...(options.contact === "hostname" ? { contact_host: host } : {}),
  };
}

/** Dask's settings for the TLS of its pages (distributed/node.py start_http_server, in scheduler and workers alike). */
function pagesConfig({ https }: Options, { security }: HostSecrets): Readonly<Record<string, unknown>> {
  if (https === "off") return { "distributed.scheduler.dashboard.tls.cert": null };
  if (https === "auto" || security === null) return {};
  return {
    "distributed.scheduler.dashboard.tls.cert": security.cert,
    "distributed.scheduler.dashboard.tls.key": security.key,
    "distributed.scheduler.dashboard.tls.ca-file": null,
  };
}

function listen(
  { options, address, secrets }: RequestInput,
  port: number | string | undefined,
): Readonly<Record<string, unknown>> {
  const protocol = options.protocol ?? (secrets.security === null ? "tcp" : "tls");
  const host = options.host ?? (options.interface === undefined ? address : undefined);
  // Dask wants an IPv6 address in brackets.
  const bracketed = host?.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  return { protocol, ...given("interface", options.interface), ...given("host", bracketed), ...given("port", port) };
}

function given(name: string, value: unknown): Readonly<Record<string, unknown>> {
  return value === undefined ? {} : { [name]: value };
}
