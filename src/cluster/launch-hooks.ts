import { hostname } from "node:os";
import { basename } from "node:path";
import type { Options } from "../config/options.ts";
import { hostPort } from "../dask/address.ts";
import { schedulerFiles, workersMeant } from "../dask/settings.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { checkPythons } from "../host/python.ts";
import { otherRanksStdin } from "../launcher/known.ts";
import type { World } from "../launcher/world.ts";
import { launchPort } from "../net/tunnel.ts";
import type { ClientStart, PythonReport } from "../protocol/messages.ts";
import type { Register } from "../registry/register.ts";
import { openFileLimit } from "../rendezvous/unproved.ts";
import { clientStart } from "./client-start.ts";
import type { Input } from "./input.ts";
import { otherVersions, schedulerBack } from "./join.ts";
import { launchBanner, together } from "./launch-banner.ts";
import type { LaunchReport } from "./launch-report.ts";
import type { LaunchHooks, Secrets } from "./launch.ts";
import { dashboardHost, pagesUrl } from "./pages.ts";
import type { Plan } from "./plan.ts";
import type { Publication } from "./publication.ts";
import type { RankZeroContext } from "./rank-zero-context.ts";
import type { RankZeroOutput } from "./rank-zero-output.ts";
import type { SchedulerFacts } from "./state.ts";
import type { UsageCollector } from "./usage.ts";
import { said } from "../ui/banner.ts";
import type { WorkerFacts } from "./rank-table.ts";
import { littleMemoryOf } from "../host/shares.ts";
import { bytesText } from "../ui/format.ts";
import { workerProgress, type Progress } from "../ui/progress.ts";
import { waitingText } from "../ui/waiting.ts";

/** What rank 0 has made ready for a launch, and what becomes known of it while it runs. */
export interface LaunchParts {
  readonly context: RankZeroContext;
  /** The launch's name, by which its files are known for its own. */
  readonly launch: string;
  readonly output: RankZeroOutput;
  readonly secrets: Promise<Secrets>;
  /** The cluster folder holds the credentials. */
  readonly credentialsWritten: Promise<void>;
  readonly publication: Publication;
  /** The launch's entry in the user's list; a launch that joins has none. */
  readonly register: Register | undefined;
  /** What its report is made of; a launch that joins has none. */
  readonly report: LaunchReport | undefined;
  readonly usage: UsageCollector;
  /** Ends the launch. */
  readonly fail: (failure: Failure) => void;
  readonly session: LaunchSession;
}

export interface LaunchSession {
  python?: { readonly version: string; readonly dask: string };
  progress?: Progress;
  /** Shows which workers are in, once the banner has been shown: workers of a quick host may be there before. */
  showWorkers?: () => void;
  bannerShown?: boolean;
  /** When the script was started, in ms of `performance.now()`. */
  scriptStarted?: number;
  /** When it ended, where that is not the launch's end: the report looks at the cluster then. */
  scriptOver?: number;
  memoryTold?: boolean;
  /** Stops what keeps Prometheus' list of targets, and removes the list. */
  stopTargets?: () => Promise<void>;
}

type StartHooks = Pick<
  LaunchHooks,
  "onScheduler" | "onSchedulerBack" | "onWorkers" | "onWaiting" | "onPythons" | "onFailure"
>;

/** What is done and told while the cluster comes up. */
export function startHooks(parts: LaunchParts): StartHooks {
  const { context, output, publication, register, session } = parts;
  const { options, plan } = context;
  return {
    onScheduler: async (scheduler, hosts) => {
      await parts.credentialsWritten;
      if (plan.clientRank === undefined) {
        await refusePipedScript(context);
        // Whoever waits for scheduler.json finds the cluster in the list.
        await enter(parts, scheduler, hosts);
      }
      if (context.join === undefined) await publication.publish(scheduler, hosts);
      const stopTargets = await keepLaunchTargets(parts, scheduler);
      if (stopTargets !== undefined) session.stopTargets = stopTargets;
      void enter(parts, scheduler, hosts);
      parts.report?.answers({ address: scheduler.address, tls: (await parts.secrets).credentials ?? undefined });
      const schedulerFile = publication.schedulerFile();
      output.say(
        launchBanner({ context, name: register?.name, python: session.python, scheduler, hosts, schedulerFile }),
      );
      session.bannerShown = true;
      warnOfFewFiles(parts);
      session.showWorkers?.();
      if (plan.clientRank === undefined && context.join === undefined) await publication.showConnection();
    },
    onSchedulerBack: async (scheduler, hosts) => {
      await publication.renew(scheduler);
      void enter(parts, scheduler, hosts);
      // The message of its death waits for others of its kind.
      output.failures.flush();
      output.say(said("the scheduler answers again; workers and clients come back to it"));
    },
    onWorkers: (workers, expected, missing) => {
      if (workers.size >= expected) warnOfLittleMemory(parts, workers);
      session.progress ??= workerProgress({ out: context.out, started: context.started, write: output.say });
      const { progress } = session;
      if (options.quiet) return;
      session.showWorkers = () =>
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
      if (session.bannerShown === true) session.showWorkers();
    },
    onWaiting: (waiting) =>
      output.say(waitingText({ ...waiting, seconds: (performance.now() - context.started) / 1000 })),
    onPythons: (reports) => {
      parts.report?.pythons(reports);
      comparePythons(parts, reports);
    },
    onFailure: (report) => output.failures.add(report),
  };
}

/** Enters the launch into the user's list as one that runs. */
async function enter(
  { context: { plan }, register, publication }: LaunchParts,
  { address, identity }: SchedulerFacts,
  hosts: readonly string[],
): Promise<void> {
  const schedulerFile = publication.schedulerFile();
  await register?.running({
    hosts,
    scheduler: { address, id: String(identity["id"] ?? ""), rank: plan.schedulerRank ?? 0 },
    ...(schedulerFile === undefined ? {} : { schedulerFile }),
  });
}

type RunHooks = Pick<LaunchHooks, "seek" | "client" | "onClient" | "onStdin" | "onJupyter" | "retire" | "onUsage">;

/** What is done for the script or Jupyter, and for workers that leave a cluster that goes on. */
export function runHooks(parts: LaunchParts): RunHooks {
  const { context, launch, secrets, publication, session } = parts;
  const { options, plan, out } = context;
  /** This rank's standard input, from when a script on another rank asks for it. */
  let input: Promise<Input | undefined> | undefined;
  const openInput = async (): Promise<Input | undefined> => (await import("./input.ts")).openInput();
  return {
    client: (scheduler, sameHost) =>
      clientStart({
        options,
        stdin: stdinFor(context.world, plan),
        python: context.python,
        pythonRoot: context.pythonRoot,
        cwd: context.cwd,
        folder: context.folder,
        schedulerFile: publication.schedulerFile(),
        scheduler,
        secrets,
        pages: pagesUrl({ options, scheduler, sameHost }),
        dashboardLink: `http${scheduler.https === true ? "s" : ""}://127.0.0.1:${launchPort(launch, "dashboard")}/status`,
        workers: plan.workerRanks.length,
      }),
    onClient: () => {
      session.scriptStarted = performance.now();
      out.release();
    },
    onStdin: async () => {
      input ??= openInput();
      const bytes = await (await input)?.next();
      return bytes === undefined ? null : bytes.toString("base64");
    },
    onJupyter: (jupyter) => void publication.addJupyter(jupyter).catch(parts.fail),
    retire: async (addresses) => {
      const { retireWorkers } = await import("../dask/rpc.ts");
      const joined = await context.join;
      if (joined === undefined) return;
      const scheduler = { address: joined.scheduler.address, tls: joined.credentials ?? undefined };
      await retireWorkers(scheduler, { workers: addresses }, { deadline: deadlines.retire });
    },
    seek: async () => {
      const cluster = await context.join;
      if (cluster === undefined) return undefined;
      parts.output.say(said("the cluster's scheduler is lost; the workers wait for the next one"));
      return schedulerBack(cluster, options, context.schedulerFile);
    },
    onUsage: parts.usage.add,
  };
}

/** Says once that the workers have too little memory to do much. */
function warnOfLittleMemory({ output, session }: LaunchParts, workers: ReadonlyMap<number, WorkerFacts>): void {
  if (session.memoryTold === true) return;
  session.memoryTold = true;
  const little = littleMemoryOf([...workers.values()].map(({ memoryLimit }) => memoryLimit));
  if (little === undefined) return;
  const facts = { memory: bytesText(little.least), few: little.few, workers: workers.size };
  output.failures.add({ code: "TSD-198", facts });
}

/**
 * Says that the scheduler may open too few files for its workers; Node has raised its own limit to the hard one, and
 * the scheduler does the same.
 */
function warnOfFewFiles({ context: { plan, options, join }, output }: LaunchParts): void {
  const workers = workersMeant(plan.workerRanks.length, options);
  const files = openFileLimit();
  const needed = schedulerFiles(workers);
  if (join === undefined && plan.schedulerRank === 0 && files < needed)
    output.failures.add({ code: "TSD-194", facts: { host: hostname(), files, needed, workers } });
}

/**
 * The launcher's pipe fills while the launch starts; once it serves, nothing that comes is a script any more. Throws
 * TSD-112.
 */
async function refusePipedScript({ world }: RankZeroContext): Promise<void> {
  if (world.launcher !== "tsdask" && (await import("./input.ts")).inputWaits()) throw new Failure("TSD-112");
}

async function keepLaunchTargets(
  { context, launch, secrets, register, output }: LaunchParts,
  scheduler: SchedulerFacts,
): Promise<LaunchSession["stopTargets"]> {
  const { options } = context;
  if (options.prometheusTargets === undefined || register === undefined || scheduler.dashboard === null)
    return undefined;
  const [{ keepTargets }, { credentials, token }] = await Promise.all([import("./prometheus-targets.ts"), secrets]);
  return keepTargets({
    folder: options.prometheusTargets,
    name: register.name,
    launch,
    pages: hostPort(dashboardHost(options, scheduler.address), scheduler.dashboard),
    https: scheduler.https === true,
    token: options.security === "none" ? null : token,
    scheduler: { address: scheduler.address, tls: credentials ?? undefined },
    onFile: (path) => void context.forkServer.then((server) => server.own({ file: path, launch })),
    onProblem: (problem, path) => output.failures.add({ code: "TSD-152", facts: { problem, path } }),
  });
}

/**
 * Compares the Pythons of all hosts so far, and with those of a cluster to join. Throws what differs too much between
 * the hosts.
 */
function comparePythons({ context, output, fail }: LaunchParts, reports: readonly PythonReport[]): void {
  context.join?.then(
    ({ versions }) => {
      const problem = versions === undefined ? undefined : otherVersions(versions, reports);
      if (problem !== undefined) fail(new Failure("TSD-157", { problem }));
    },
    () => undefined, // The launch tells of its failure itself.
  );
  if (reports.length < 2) return;
  const { trouble, warnings } = checkPythons(reports);
  if (trouble !== undefined) throw new Failure(trouble.code, trouble.facts);
  for (const warning of warnings) output.log.warn("packages differ between hosts", { warning });
}

/** Which launchers leave a script on another rank than 0 without input, and how its rank sees that. */
function stdinFor({ launcher }: World, { clientRank }: Plan): ClientStart["stdin"] {
  const there = otherRanksStdin(launcher);
  if (clientRank === 0 || there === "own") return undefined;
  return there === "silent" ? "relay" : "relay-if-null";
}

/** What people call the script. Behind initialize() and execute(), what is run here only stands for it. */
export function scriptName(options: Options, env: NodeJS.ProcessEnv): string {
  const { script } = options;
  return (
    env["TSDASK_SCRIPT_NAME"] ??
    (script?.kind === "stdin" ? "the script on standard input" : basename(script?.words[0] ?? "the script"))
  );
}
