import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import type { Options } from "../config/options.ts";
import { VERSION } from "../config/version.ts";
import { channelPair, type Channel } from "../protocol/channel.ts";
import type { ClientStart, FromLeader, ToLeader } from "../protocol/messages.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { checkPythons } from "../host/python.ts";
import type { ForkServer } from "../host/fork-server.ts";
import { shortName } from "../launcher/host-paths.ts";
import type { World } from "../launcher/world.ts";
import { launchPort, loginHost } from "../net/tunnel.ts";
import type { Plan } from "./plan.ts";
import { writeClusterCredentials, clusterFiles } from "../security/cluster-folder.ts";
import { writePrivateFile } from "../security/private-files.ts";
import { banner, dashboardText, said } from "../ui/banner.ts";
import { collectFailures, wantsColour, type FailureCollector } from "../ui/failure-text.ts";
import { endText, howItEnded, type Ending } from "../ui/end.ts";
import { usageText, type Usage } from "../ui/usage.ts";
import { bytesText } from "../ui/format.ts";
import { openLog, type Log } from "../ui/log.ts";
import type { Out } from "../ui/out.ts";
import { workerProgress, type Progress } from "../ui/progress.ts";
import { count } from "../ui/ranges.ts";
import { waitingText } from "../ui/waiting.ts";
import { hostPort } from "../dask/address.ts";
import { publishSchedulerFile } from "../dask/publish.ts";
import {
  ownText,
  removeSchedulerFile,
  writeSchedulerFile,
  type ClusterRecord,
  type SchedulerFile,
} from "../dask/scheduler-file.ts";
import { clientStart } from "./client-start.ts";
import { dashboardHost, pagesUrl } from "./pages.ts";
import { removeConnection, writeConnection } from "./connection-file.ts";
import { endWorkerJobs } from "../batch/end-jobs.ts";
import { describeJob } from "../batch/job.ts";
import { hostGrants } from "./granted.ts";
import { deadClusterFolders, removeClusterFolder, removeFolder, takeClusterFolder, takenFolder } from "./folder.ts";
import { hubLog, keptLogFolder, type HubLog } from "./hub-log.ts";
import { registerLaunch } from "./register-launch.ts";
import type { Input } from "./input.ts";
import { otherVersions, type JoinedCluster } from "./join.ts";
import { collectUsage } from "./usage.ts";
import { namedByRank } from "./rank-names.ts";
import { openSummary } from "./summary.ts";
import { createLaunch, type Launch } from "./launch.ts";
import type { WorkerFacts } from "./rank-table.ts";
import type { SchedulerFacts } from "./state.ts";
import { readByOwner, reachText } from "./connection-info.ts";
import { launcherTitle } from "../launcher/known.ts";
import { watchWalltime } from "./walltime.ts";
import { makeSecrets, type LaunchSecrets } from "./secrets.ts";

export interface RankZeroContext {
  readonly world: World;
  readonly options: Options;
  readonly plan: Plan;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly out: Out;
  readonly python: string;
  readonly pythonRoot: string;
  /** The key that all hosts share, and the cluster folder that follows from it. */
  readonly key: string;
  readonly folder: string;
  readonly schedulerFile: string;
  readonly schedulerFileIsDefault: boolean;
  readonly multiHost: boolean;
  /** The user has said how workers are called. */
  readonly workersAreNamed: boolean;
  readonly addresses: readonly string[];
  readonly forkServer: Promise<ForkServer>;
  /** The cluster that this launch joins instead of starting one. */
  readonly join: Promise<JoinedCluster> | undefined;
  readonly prompt: boolean;
  readonly started: number;
  readonly finished: (code: number) => void;
}

export interface RankZero {
  readonly launch: Launch;
  readonly up: Channel<FromLeader, ToLeader>;
  readonly secrets: Promise<LaunchSecrets>;
  readonly log: Log;
  /** Shows a message that the launch survives. */
  readonly warn: (failure: Failure) => void;
  /** What the world below needs of the Python, once the fork server has told. */
  readonly pythonKnown: (python: { readonly version: string; readonly dask: string }) => void;
}

/**
 * Sets up what only rank 0 has: the cluster folder, the secrets, the launch's state, what people see, and `scheduler.json`.
 * Throws TSD-025 (another live cluster's file), TSD-035, TSD-071, TSD-072, TSD-115.
 */
export async function startRankZero(context: RankZeroContext): Promise<RankZero> {
  const { options, plan, out, folder } = context;
  const launchName = `${shortName(context.key)}.${Date.now().toString(36)}`;
  const say = (text: string): void => {
    for (const line of text.trimEnd().split("\n")) log.info(line.replace(/^tsdask-mpi: /, ""));
    show(text);
  };
  const show = (text: string): void => {
    if (!options.quiet) out.write(text);
  };
  const summary = options.jsonSummary === undefined ? undefined : await openSummary(options.jsonSummary, launchName);
  // A folder that the user named is kept, and so is opened at once: a launch that fails at its start is what it is for.
  const kept =
    options.logDir === undefined
      ? undefined
      : await openLog({
          folder: options.logDir,
          name: `tsdask-${shortName(context.key)}-hub`,
          base: { rank: 0, host: hostname() },
        });
  await takeClusterFolder(folder, hostname(), (left) => endWorkerJobs(left, context.env));
  void context.forkServer.then((server) => server.own({ paths: [folder], identities: [takenFolder(folder)] }));
  let schedulerFile = context.schedulerFile;
  const secrets = makeSecrets({
    options,
    launch: launchName,
    hub: context.multiHost,
    host: hostname(),
    addresses: context.addresses,
    join: context.join,
  });
  secrets.catch(() => undefined);
  const credentialsWritten = secrets.then(async ({ credentials, token }) => {
    // A cluster that is joined keeps its own in its own folder.
    if (context.join !== undefined) return;
    if (credentials !== null) await writeClusterCredentials(folder, credentials);
    if (token !== null) await writePrivateFile(clusterFiles(folder).token, `${token}\n`);
  });
  credentialsWritten.catch(() => undefined);
  const log: HubLog =
    kept ??
    hubLog({
      folder: () => keptLogFolder({ env: context.env, launch: launchName, otherwise: join(folder, "log") }),
      name: "hub",
      base: { rank: 0, host: hostname() },
      onProblem: (problem) => say(said(`the log could not be opened: ${problem}`)),
    });
  const failures = collectFailures({
    show: (text) => {
      log.warn(
        stripVTControlCharacters(text)
          .replaceAll(/^tsdask-mpi: /gm, "")
          .trimEnd(),
      );
      out.write(text);
    },
    colour: wantsColour({ tty: out.tty, noColor: context.env["NO_COLOR"] }),
  });
  let progress: Progress | undefined;
  let python: { readonly version: string; readonly dask: string } | undefined;
  let published = false;
  /** What the scheduler.json said whose place ours has taken. */
  let replaced: string | undefined;
  let scriptStarted: number | undefined;
  /** This rank's standard input, from when a script on another rank asks for it. */
  let input: Promise<Input | undefined> | undefined;
  const openInput = async (): Promise<Input | undefined> => (await import("./input.ts")).openInput();

  const usage = collectUsage();
  const register =
    context.join === undefined ? registerLaunch(launchName, context, (failure) => failures.add(failure)) : undefined;

  let file: SchedulerFile | undefined;
  let record: ClusterRecord | undefined;
  const showConnection = async (): Promise<void> => {
    if (record === undefined) return;
    const { token, credentials } = await secrets;
    // Not through the log: it may show the token.
    show(reachText({ record, token, certificate: credentials?.cert, ownerReads: readByOwner(out.tty), schedulerFile }));
  };

  let stopTargets: (() => Promise<void>) | undefined;
  const keepLaunchTargets = async (scheduler: SchedulerFacts): Promise<typeof stopTargets> => {
    if (options.prometheusTargets === undefined || register === undefined || scheduler.dashboard === null)
      return undefined;
    const [{ keepTargets }, { credentials, token }] = await Promise.all([import("./prometheus-targets.ts"), secrets]);
    return keepTargets({
      folder: options.prometheusTargets,
      name: register.name,
      launch: launchName,
      pages: hostPort(dashboardHost(options, scheduler.address), scheduler.dashboard),
      https: scheduler.https === true,
      token: options.security === "none" ? null : token,
      scheduler: { address: scheduler.address, tls: credentials ?? undefined },
      onFile: (path) => void context.forkServer.then((server) => server.own({ file: path, launch: launchName })),
      onProblem: (problem, path) => failures.add({ code: "TSD-152", facts: { problem, path } }),
    });
  };

  const tellUsage = async (ending: Ending, code: number, seconds: number, used: Usage): Promise<void> => {
    const text = usageText(used, ending);
    if (text !== "") say(text);
    try {
      await summary?.end({
        ending,
        code,
        seconds,
        usage: used,
        ...(options.logDir === undefined ? {} : { log: options.logDir }),
      });
    } catch (error) {
      const problem =
        error instanceof Failure
          ? error
          : new Failure("TSD-116", { path: options.jsonSummary, problem: String(error) });
      failures.add({
        code: "TSD-116",
        facts: { path: options.jsonSummary, problem: String(problem.facts["problem"]) },
      });
      failures.flush();
    }
  };

  const launch = createLaunch({
    plan,
    folder,
    schedulerFile,
    secrets,
    granted: hostGrants({
      env: context.env,
      multiHost: context.multiHost,
      warn: ({ code, facts }) => failures.add({ code, facts }),
    }),
    waitWorkers: options.waitWorkers,
    namedByRank: !context.workersAreNamed && namedByRank(options, context.cwd),
    startTimeout: options.startTimeout,
    grace: options.grace,
    // Behind initialize() and execute(), what is run here only stands for the script.
    scriptName: context.env["TSDASK_SCRIPT_NAME"] ?? scriptName(options),
    jupyter: options.jupyter !== undefined,
    prompt: context.prompt,
    idleTimeout: options.idleTimeout,
    join: context.join?.then(({ scheduler }) => scheduler),
    log,
    hooks: {
      onScheduler: async (scheduler, hosts) => {
        await credentialsWritten;
        // The launcher's pipe fills while the launch starts; once it serves, nothing that comes is a script any more.
        if (
          plan.clientRank === undefined &&
          context.world.launcher !== "tsdask" &&
          (await import("./input.ts")).inputWaits()
        )
          throw new Failure("TSD-112");
        if (context.join === undefined) {
          const { daskYaml } = await import("../dask/configuration.ts");
          await writePrivateFile(
            clusterFiles(folder).daskConfig,
            daskYaml({ address: scheduler.address, folder, security: options.security }),
          );
          file = schedulerContent(scheduler, hosts, launchName, context);
          record = file.tsdask;
          if (options.schedulerFile !== undefined) {
            const before = await textOf(schedulerFile);
            const place = await publish(schedulerFile, context, file, say);
            if (place === schedulerFile) replaced = before;
            await warnOfSharing(place, options, failures);
            schedulerFile = place;
            published = true;
            void context.forkServer.then((server) => server.own({ scheduler_file: schedulerFile, launch: launchName }));
          }
        }
        stopTargets = await keepLaunchTargets(scheduler);
        register?.running({
          hosts,
          scheduler: {
            address: scheduler.address,
            id: String(scheduler.identity["id"] ?? ""),
            rank: plan.schedulerRank ?? 0,
          },
          ...(published ? { schedulerFile } : {}),
        });
        say(
          banner({
            version: VERSION,
            ...(register === undefined ? {} : { name: register.name }),
            launcher: launcherTitle(context.world.launcher),
            size: context.world.size,
            hosts,
            roles: rolesShown(plan),
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
            ...(published ? { schedulerFile } : {}),
          }),
        );
        if (plan.clientRank === undefined && context.join === undefined) await showConnection();
      },
      onWorkers: (workers, expected, missing) => {
        progress ??= workerProgress({ out, started: context.started, write: say });
        if (options.quiet) return;
        progress.update({
          registered: workers.size,
          expected,
          get missing() {
            return missing();
          },
          get together() {
            return together(workers);
          },
        });
      },
      onWaiting: (waiting) => say(waitingText({ ...waiting, seconds: (performance.now() - context.started) / 1000 })),
      client: (scheduler, sameHost) =>
        clientStart({
          options,
          stdin: stdinFor(context.world, plan),
          python: context.python,
          pythonRoot: context.pythonRoot,
          cwd: context.cwd,
          folder,
          schedulerFile: published ? schedulerFile : undefined,
          scheduler,
          secrets,
          pages: pagesUrl({ options, scheduler, sameHost }),
          dashboardLink: `http${scheduler.https === true ? "s" : ""}://127.0.0.1:${launchPort(launchName, "dashboard")}/status`,
          workers: plan.workerRanks.length,
        }),
      onClient: () => {
        scriptStarted = performance.now();
        out.release();
      },
      onStdin: async () => {
        input ??= openInput();
        const bytes = await (await input)?.next();
        return bytes === undefined ? null : bytes.toString("base64");
      },
      onJupyter: (jupyter) => {
        if (record === undefined) return;
        record = { ...record, jupyter };
        if (options.connectionFile !== undefined)
          void writeConnection(options.connectionFile, jupyter, secrets).catch((error: unknown) =>
            launch.fail(error as Failure),
          );
        void showConnection();
        if (published && file !== undefined)
          void writeSchedulerFile(schedulerFile, { ...file, tsdask: record }).catch((error: unknown) =>
            log.warn("scheduler.json was not renewed", { problem: String(error) }),
          );
      },
      onFailure: (report) => failures.add(report),
      onPythons: (reports) => {
        void context.join?.then(({ versions }) => {
          const problem = versions === undefined ? undefined : otherVersions(versions, reports);
          if (problem !== undefined) launch.fail(new Failure("TSD-157", { problem }));
        }, ignored);
        if (reports.length < 2) return;
        const { trouble, warnings } = checkPythons(reports);
        if (trouble !== undefined) throw new Failure(trouble.code, trouble.facts);
        for (const warning of warnings) log.warn("packages differ between hosts", { warning });
      },
      retire: async (addresses) => {
        const { retireWorkers } = await import("../dask/rpc.ts");
        const scheduler = await context.join;
        if (scheduler === undefined) return;
        await retireWorkers(
          { address: scheduler.scheduler.address, tls: scheduler.credentials ?? undefined },
          { workers: addresses },
          { deadline: deadlines.retire },
        );
      },
      onUsage: usage.add,
      onEnd: async (ending, facts) => {
        const told = usage.whenTold(facts, deadlines.usage);
        stopWatching();
        progress?.stop();
        failures.flush();
        const seconds = (performance.now() - (scriptStarted ?? context.started)) / 1000;
        say(
          endText(ending, {
            seconds,
            workers: facts.workers,
            ...(options.logDir === undefined ? {} : { log: options.logDir }),
          }),
        );
        await stopTargets?.();
        if (published) await removeSchedulerFile(schedulerFile, launchName);
        if (options.connectionFile !== undefined)
          await removeConnection(options.connectionFile, record?.jupyter ?? null);
        await tellUsage(ending, facts.code, seconds, await told);
        await register?.ended(howItEnded(ending), facts.code);
        if (facts.code !== 0) await log.keep?.();
        // A log in that folder goes with it, and must not be opened after it.
        if (kept === undefined) log.close();
        const problem = await endWorkerJobs(folder, context.env);
        if (problem !== undefined)
          say(said(`the jobs that scale or adapt submitted could not all be cancelled: ${problem}`));
        await removeClusterFolder(folder);
        for (const dead of deadClusterFolders(folder, replaced)) {
          await endWorkerJobs(dead.path, context.env);
          await removeFolder(dead);
        }
      },
      finished: (code) => {
        log.close();
        context.finished(code);
      },
    },
  });
  const stopWatching = watchWalltime({
    options,
    env: context.env,
    leave: launch.leave,
    joined: context.join !== undefined,
    log,
    warn: (failure) => failures.add({ code: failure.code, facts: failure.facts }),
  });
  const [toLaunch, toLeader] = channelPair<FromLeader, ToLeader>();
  launch.attach(toLeader, hostname(), 0);
  return {
    launch,
    up: toLaunch,
    secrets,
    log,
    warn: (failure) => failures.add({ code: failure.code, facts: failure.facts }),
    pythonKnown: (known) => {
      python = known;
    },
  };
}

/** The launch tells of its failure itself. */
function ignored(): void {}

/** Says once that the folder of scheduler.json is one that others can change: whoever joins through it must say that he trusts them. */
async function warnOfSharing(path: string, options: Options, failures: FailureCollector): Promise<void> {
  if (options.trustSharedFolder) return;
  const { refuseReplaceable } = await import("../security/trusted-file.ts");
  try {
    refuseReplaceable(path);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    failures.add({ code: "TSD-122", facts: { folder: dirname(path), problem: String(error.facts["problem"]) } });
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

/** Writes `scheduler.json`; where the default name belongs to another live cluster, a name of this launch's own is taken instead. */
async function publish(
  path: string,
  context: RankZeroContext,
  content: SchedulerFile,
  say: (text: string) => void,
): Promise<string> {
  try {
    await publishSchedulerFile(path, content);
    return path;
  } catch (error) {
    if (!context.schedulerFileIsDefault || !(error instanceof Failure) || error.code !== "TSD-025") throw error;
    const own = join(dirname(path), `${basename(path, ".json")}-${shortName(context.key).slice(0, 8)}.json`);
    say(said(`${path} belongs to another running cluster and is left alone; this one's is ${own}`));
    await publishSchedulerFile(own, content);
    return own;
  }
}

function schedulerContent(
  scheduler: SchedulerFacts,
  hosts: readonly string[],
  launch: string,
  context: RankZeroContext,
): SchedulerFile {
  const identity = scheduler.identity as Partial<SchedulerFile>;
  const job = describeJob(context.env);
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
      folder: context.folder,
      dashboard:
        scheduler.dashboard === null || !context.options.dashboard
          ? null
          : {
              host: dashboardHost(context.options, scheduler.address),
              port: scheduler.dashboard,
              node: scheduler.host,
              ...(scheduler.https === true ? { https: true } : {}),
            },
      jupyter: null,
      tunnel: {
        kind: context.options.tunnel,
        login: loginHost({ option: context.options.loginHost, env: context.env }),
      },
      hosts,
      security: context.options.security,
      job: { system: job.system, ...(job.jobId === undefined ? {} : { id: job.jobId }) },
      started: Date.now() / 1000,
    },
  };
}

/** What the registered workers have together, as people say it. */
function together(workers: ReadonlyMap<number, WorkerFacts>): string {
  const all = [...workers.values()];
  const threads = all.reduce((sum, { nthreads }) => sum + nthreads, 0);
  const memory = all.some(({ memoryLimit }) => memoryLimit === 0)
    ? "no limit of memory"
    : bytesText(all.reduce((sum, { memoryLimit }) => sum + memoryLimit, 0));
  return `${count(threads, "thread")}, ${memory}`;
}

function rolesShown(plan: Plan): { readonly role: string; readonly ranks: readonly number[] }[] {
  return [
    ...(plan.schedulerRank === undefined ? [] : [{ role: "scheduler", ranks: [plan.schedulerRank] }]),
    ...(plan.clientRank === undefined ? [] : [{ role: "client", ranks: [plan.clientRank] }]),
    { role: plan.workerRanks.length === 1 ? "worker" : "workers", ranks: plan.workerRanks },
  ];
}

/** Which launchers leave a script on another rank than 0 without input, and how its rank sees that. */
function stdinFor({ launcher }: World, { clientRank }: Plan): ClientStart["stdin"] {
  if (clientRank === 0 || launcher === "tsdask" || launcher === "generic") return undefined;
  // Hydra and its kin give the other ranks a pipe that nobody writes to.
  return launcher === "hydra" || launcher === "mvapich2" ? "relay" : "relay-if-null";
}

function scriptName(options: Options): string {
  if (options.script?.kind === "stdin") return "the script on standard input";
  return basename(options.script?.words[0] ?? "the script");
}
