import { hostname } from "node:os";
import { describeJob, namedJob } from "../batch/job.ts";
import { groupWords } from "../config/groups.ts";
import type { Options, WorkerGroup } from "../config/options.ts";
import { VERSION } from "../config/version.ts";
import type { ClusterGroup, SchedulerFile } from "../dask/scheduler-file.ts";
import { manyWorkers } from "../dask/settings.ts";
import { publicName } from "../registry/names.ts";
import { loginHost } from "../net/tunnel.ts";
import { dashboardHost } from "./pages.ts";
import type { SchedulerFacts } from "./state.ts";

/** What `scheduler.json` says: Dask's own keys as the scheduler told them, and below `tsdask` the launch's. */
export function schedulerContent({
  scheduler,
  hosts,
  launch,
  options,
  env,
  folder,
  python,
  workers,
}: {
  readonly scheduler: SchedulerFacts;
  readonly hosts: readonly string[];
  readonly launch: string;
  readonly options: Options;
  readonly env: NodeJS.ProcessEnv;
  readonly folder: string;
  /** As rank 0's host names it. */
  readonly python: string;
  /** How many the launch is made for. */
  readonly workers: number;
}): SchedulerFile {
  const identity = scheduler.identity as Partial<SchedulerFile>;
  const job = describeJob(env);
  const known = publicName(options, launch);
  return {
    type: identity.type ?? "Scheduler",
    id: identity.id ?? "",
    address: scheduler.address,
    services: identity.services ?? {},
    started: identity.started,
    workers: identity.workers ?? {},
    tsdask: {
      version: VERSION,
      launch,
      pid: process.pid,
      host: hostname(),
      hub: { addresses: [], fingerprint: "" },
      folder,
      dashboard:
        scheduler.dashboard === null || !options.dashboard
          ? null
          : {
              host: dashboardHost(options, scheduler.address),
              port: scheduler.dashboard,
              node: scheduler.host,
              ...(scheduler.https === true ? { https: true } : {}),
            },
      jupyter: null,
      ...(options.jupyter === undefined || options.jupyter === "hub" ? {} : { jupyterComes: true }),
      tunnel: { kind: options.tunnel, login: loginHost({ option: options.loginHost, env }) },
      ...(known === undefined ? {} : { public: known }),
      hosts,
      ...(python.startsWith("/") ? { python } : {}),
      security: options.security,
      job: namedJob(job),
      ...(options.schedulerRestarts > 0 ? { schedulerReturns: true } : {}),
      ...(workers > manyWorkers ? { expects: workers } : {}),
      ...(options.group.length === 0 ? {} : { groups: options.group.map(published) }),
      started: Date.now() / 1000,
    },
  };
}

const published = ({ name, options }: WorkerGroup): ClusterGroup => ({
  name,
  resources: options.resources ?? {},
  options: groupWords(options),
});
