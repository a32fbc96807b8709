import { unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { describeJob } from "../batch/job.ts";
import { mayRun } from "../dask/claim-scheduler-file.ts";
import { publishSchedulerFile } from "../dask/publish.ts";
import {
  ownText,
  removeSchedulerFile,
  writeSchedulerFile,
  type ClusterRecord,
  type SchedulerFile,
} from "../dask/scheduler-file.ts";
import { workersMeant } from "../dask/settings.ts";
import { Failure } from "../errors/failure.ts";
import { shortName } from "../launcher/host-paths.ts";
import { clusterFiles } from "../security/cluster-folder.ts";
import { writePrivateFile } from "../security/private-files.ts";
import { said } from "../ui/banner.ts";
import { readByOwner, reachText } from "./connection-info.ts";
import { schedulerContent } from "./cluster-record.ts";
import type { Secrets } from "./launch.ts";
import type { RankZeroContext } from "./rank-zero-context.ts";
import type { RankZeroOutput } from "./rank-zero-output.ts";
import type { SchedulerFacts } from "./state.ts";

/** The files that say where a launch's cluster is, from the scheduler's first answer to the launch's end. */
export interface Publication {
  /** Writes Dask's configuration and `scheduler.json`. Throws TSD-025 for another live cluster's file, and TSD-072. */
  readonly publish: (scheduler: SchedulerFacts, hosts: readonly string[]) => Promise<void>;
  /** Has what was written tell of the scheduler that took the first one's place. Throws TSD-072. */
  readonly renew: (scheduler: SchedulerFacts) => Promise<void>;
  /** Where `scheduler.json` was written; undefined before, and where none is. */
  readonly schedulerFile: () => string | undefined;
  /** Shows how to reach the pages from a laptop; nothing before `publish`. */
  readonly showConnection: () => Promise<void>;
  /**
   * Tells where Jupyter serves, in every file and to people; rejects with TSD-072 when the connection file cannot be
   * written.
   */
  readonly addJupyter: (jupyter: NonNullable<ClusterRecord["jupyter"]>) => Promise<void>;
  /** What the `scheduler.json` said whose place ours has taken. */
  readonly replaced: () => string | undefined;
  /** Removes what was written, where it is still the launch's own. Throws TSD-072 when the system refuses. */
  readonly takeBack: () => Promise<void>;
}

export function openPublication({
  context,
  launch,
  secrets,
  output,
}: {
  readonly context: RankZeroContext;
  readonly launch: string;
  readonly secrets: Promise<Secrets>;
  readonly output: RankZeroOutput;
}): Publication {
  const { options, env, folder, python, plan } = context;
  const workers = workersMeant(plan.workerRanks.length, options);
  let place: string | undefined;
  let file: SchedulerFile | undefined;
  let record: ClusterRecord | undefined;
  let replaced: string | undefined;
  let adding: Promise<unknown> = Promise.resolve();

  const contentOf = (scheduler: SchedulerFacts, hosts: readonly string[]): SchedulerFile =>
    schedulerContent({ scheduler, hosts, launch, options, env, folder, python, workers });
  const showConnection = async (): Promise<void> => {
    if (record === undefined) return;
    const { token, credentials } = await secrets;
    const certificate = credentials?.cert;
    const schedulerFile = place ?? context.schedulerFile;
    output.show(
      reachText({ record, token, certificate, ownerReads: readByOwner(context.out.tty), schedulerFile, env }),
    );
  };

  const connect = async (jupyter: JupyterAddress): Promise<void> => {
    const path = options.connectionFile;
    if (path === undefined) return;
    // Before it is there: it holds the token, and must not outlive a rank 0 that is killed.
    void context.forkServer.then((server) => server.own({ file: path, launch }));
    const { token } = await secrets;
    await writePrivateFile(path, connectionText(jupyter, token, launch));
  };

  return {
    publish: async (scheduler, hosts) => {
      const { daskYaml } = await import("../dask/configuration.ts");
      await writePrivateFile(
        clusterFiles(folder).daskConfig,
        daskYaml({ address: scheduler.address, folder, security: options.security }),
      );
      file = contentOf(scheduler, hosts);
      record = file.tsdask;
      if (options.schedulerFile === undefined) return;
      const before = await textOf(context.schedulerFile);
      const path = await publishAs(context.schedulerFile, context, file, output.say);
      if (path === context.schedulerFile) replaced = before;
      await warnOfSharing(path, context, output);
      place = path;
      void context.forkServer.then((server) => server.own({ scheduler_file: path, launch }));
    },
    renew: async (scheduler) => {
      if (record === undefined) return;
      const renewed = contentOf(scheduler, record.hosts);
      record = { ...record, dashboard: renewed.tsdask?.dashboard ?? null };
      file = { ...renewed, tsdask: record };
      if (place !== undefined) await writeSchedulerFile(place, file);
    },
    schedulerFile: () => place,
    showConnection,
    addJupyter: async (jupyter) => {
      if (record === undefined || file === undefined) return;
      record = { ...record, jupyter };
      // Not worth the launch: `tsdask-mpi connect` shows the same.
      void showConnection().catch((error: unknown) =>
        output.log.warn("how to reach the pages was not shown", { problem: String(error) }),
      );
      const renewed =
        place === undefined
          ? Promise.resolve()
          : writeSchedulerFile(place, { ...file, tsdask: record }).catch((error: unknown) =>
              output.log.warn("scheduler.json was not renewed", { problem: String(error) }),
            );
      const connected = connect(jupyter);
      adding = Promise.allSettled([renewed, connected]);
      await connected;
    },
    replaced: () => replaced,
    takeBack: async () => {
      await adding;
      if (options.connectionFile !== undefined) await removeConnection(options.connectionFile, launch);
      if (place !== undefined) await removeSchedulerFile(place, launch);
    },
  };
}

/**
 * Says once that the folder of scheduler.json is one that others can change: whoever joins through it must say that he
 * trusts them.
 */
async function warnOfSharing(path: string, { options }: RankZeroContext, output: RankZeroOutput): Promise<void> {
  if (options.trustSharedFolder) return;
  const { refuseReplaceable } = await import("../security/trusted-file.ts");
  try {
    refuseReplaceable(path);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const facts = { folder: dirname(path), problem: String(error.facts["problem"]) };
    output.failures.add({ code: "TSD-122", facts });
  }
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await ownText(path);
  } catch {
    // Usually there is none; one that cannot be read is found out by whoever publishes.
    return undefined;
  }
}

/**
 * Writes `scheduler.json`; where the default name belongs to another cluster that runs, or may, a name of this launch's
 * own is taken instead.
 */
async function publishAs(
  path: string,
  context: RankZeroContext,
  content: SchedulerFile,
  say: (text: string) => void,
): Promise<string> {
  const judging = { isOver: (cluster: ClusterRecord) => isOver(cluster, context.env) };
  try {
    await publishSchedulerFile(path, content, judging);
    return path;
  } catch (error) {
    if (!context.schedulerFileIsDefault || !(error instanceof Failure) || error.code !== "TSD-025") throw error;
    const own = join(dirname(path), `${basename(path, ".json")}-${shortName(context.key).slice(0, 8)}.json`);
    const unknown = error.facts["runs"] === mayRun;
    const whose = unknown
      ? `a cluster on ${String(error.facts["host"])} that cannot be reached from here`
      : "another running cluster";
    const cure = unknown ? ". Remove the former if that cluster has ended" : "";
    say(said(`${path} belongs to ${whose} and is left alone; this one's is ${own}${cure}`));
    await publishSchedulerFile(own, content, judging);
    return own;
  }
}

/**
 * Whether a cluster that cannot be reached has ended for certain: in a former run of this very job, or by the user's
 * list, for which its batch system is asked.
 */
export async function isOver({ launch, job, started }: ClusterRecord, env: NodeJS.ProcessEnv): Promise<boolean> {
  const own = describeJob(env);
  const sameJob = job?.id !== undefined && job.id === own.jobId && job.system === own.system;
  if (sameJob && (own.requeues ?? 0) > 0 && started < (own.startTime ?? 0)) return true;
  const { listClusters } = await import("../registry/find.ts");
  const [listed] = await listClusters(env, (one) => one.launch === launch);
  return listed?.state === "ended";
}

type JupyterAddress = NonNullable<ClusterRecord["jupyter"]>;

/**
 * Where Jupyter is and its token for a portal that leads there (Open OnDemand's connection.yml), and by which launch a
 * comment says whose the file is.
 */
function connectionText({ node, host, port }: JupyterAddress, token: string | null, launch: string): string {
  const place = `host: ${JSON.stringify(node ?? host)}\nport: ${port}\n`;
  return `${place}password: ${JSON.stringify(token ?? "")}\n${ownerLine(launch)}`;
}

/** Removes the file if it still is what this launch wrote: a session that has ended shows no way in. */
async function removeConnection(path: string, launch: string): Promise<void> {
  const text = await ownText(path).catch(() => undefined);
  if (text?.endsWith(ownerLine(launch)) === true) await unlink(path).catch(() => undefined);
}

const ownerLine = (launch: string): string => `# launch ${launch}\n`;
