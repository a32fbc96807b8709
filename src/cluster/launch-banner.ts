import { VERSION } from "../config/version.ts";
import type { WorkerGroup } from "../config/options.ts";
import { launcherTitle } from "../launcher/known.ts";
import { banner, dashboardText } from "../ui/banner.ts";
import { bytesText } from "../ui/format.ts";
import { count } from "../ui/ranges.ts";
import { dashboardHost } from "./pages.ts";
import type { Plan } from "./plan.ts";
import type { WorkerFacts } from "./rank-table.ts";
import type { RankZeroContext } from "./rank-zero-context.ts";
import type { SchedulerFacts } from "./state.ts";

/** The first lines of a launch: what runs where, and where its scheduler and its pages are. */
export function launchBanner({
  context,
  name,
  python,
  scheduler,
  hosts,
  schedulerFile,
}: {
  readonly context: RankZeroContext;
  /** The cluster's name in the user's list; a launch that joins has none. */
  readonly name: string | undefined;
  readonly python: { readonly version: string; readonly dask: string } | undefined;
  readonly scheduler: SchedulerFacts;
  readonly hosts: readonly string[];
  readonly schedulerFile: string | undefined;
}): string {
  const { options, plan, world } = context;
  return banner({
    version: VERSION,
    ...(name === undefined ? {} : { name }),
    launcher: launcherTitle(world.launcher),
    size: world.size,
    hosts,
    roles: rolesShown(plan, options.group),
    ...(python === undefined ? {} : { python: python.version, pythonPath: context.python, dask: python.dask }),
    scheduler: scheduler.address,
    ...(scheduler.dashboard === null || !options.dashboard
      ? {}
      : {
          dashboard: dashboardText({
            host: dashboardHost(options, scheduler.address),
            port: scheduler.dashboard,
            asked: options.dashboardAddress,
            https: scheduler.https === true,
          }),
        }),
    ...(schedulerFile === undefined ? {} : { schedulerFile }),
  });
}

/** What the registered workers have together, as people say it. */
export function together(workers: ReadonlyMap<number, WorkerFacts>): string {
  const all = [...workers.values()];
  const threads = all.reduce((sum, { nthreads }) => sum + nthreads, 0);
  const memory = all.some(({ memoryLimit }) => memoryLimit === 0)
    ? "no limit of memory"
    : bytesText(all.reduce((sum, { memoryLimit }) => sum + memoryLimit, 0));
  return `${count(threads, "thread")}, ${memory}`;
}

function rolesShown(
  plan: Plan,
  groups: readonly WorkerGroup[],
): { readonly role: string; readonly ranks: readonly number[] }[] {
  const grouped = new Set(groups.flatMap(({ ranks }) => ranks));
  const alike = plan.workerRanks.filter((rank) => !grouped.has(rank));
  return [
    ...(plan.schedulerRank === undefined ? [] : [{ role: "scheduler", ranks: [plan.schedulerRank] }]),
    ...(plan.clientRank === undefined ? [] : [{ role: "client", ranks: [plan.clientRank] }]),
    ...(alike.length === 0 && grouped.size > 0
      ? []
      : [{ role: alike.length === 1 ? "worker" : "workers", ranks: alike }]),
    ...groups
      .filter(({ ranks }) => ranks.length > 0)
      .map(({ name, ranks }) => ({ role: `${name} (${ranks.length === 1 ? "worker" : "workers"})`, ranks })),
  ];
}
