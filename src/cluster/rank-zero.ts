import { hostname } from "node:os";
import { endWorkerJobs } from "../batch/end-jobs.ts";
import { describeJob } from "../batch/job.ts";
import { Failure } from "../errors/failure.ts";
import { shortName } from "../launcher/host-paths.ts";
import { killTimeout } from "../launcher/known.ts";
import type { LauncherName } from "../launcher/world.ts";
import { channelPair, type Channel } from "../protocol/channel.ts";
import type { FromLeader, ToLeader } from "../protocol/messages.ts";
import { clusterFiles, writeClusterCredentials } from "../security/cluster-folder.ts";
import { writePrivateFile } from "../security/private-files.ts";
import type { Log } from "../ui/log.ts";
import { takeClusterFolder, takenFolder } from "./folder.ts";
import { hostGrants } from "./granted.ts";
import { endHooks } from "./launch-end.ts";
import { openLaunchReport, reportHooks, type LaunchReport } from "./launch-report.ts";
import { runHooks, scriptName, startHooks, type LaunchParts } from "./launch-hooks.ts";
import { createLaunch, type Launch, type Secrets } from "./launch.ts";
import { openPublication } from "./publication.ts";
import { namedByRank } from "./rank-names.ts";
import { openRankZeroOutput } from "./rank-zero-output.ts";
import type { RankZeroContext } from "./rank-zero-context.ts";
import { registerLaunch } from "./register-launch.ts";
import { makeSecrets, type HubCertificate } from "./secrets.ts";
import { openSummary } from "./summary.ts";
import { collectUsage } from "./usage.ts";
import { watchWalltime } from "./walltime.ts";

export interface RankZero {
  readonly launch: Launch;
  readonly up: Channel<FromLeader, ToLeader>;
  /** Where other hosts must find the hub. */
  readonly hubCertificate: Promise<HubCertificate | undefined>;
  readonly log: Log;
  /** Shows a message that the launch survives. */
  readonly warn: (failure: Failure) => void;
  /** What the world below needs of the Python, once the fork server has told. */
  readonly pythonKnown: (python: { readonly version: string; readonly dask: string }) => void;
}

/**
 * Sets up what only rank 0 has: the cluster folder, the secrets, the launch's state, what people see, and
 * `scheduler.json`. Throws TSD-025 (another live cluster's file), TSD-035, TSD-071, TSD-072, TSD-115, TSD-181.
 */
export async function startRankZero(context: RankZeroContext): Promise<RankZero> {
  const { options, folder, env } = context;
  const name = `${shortName(context.key)}.${Date.now().toString(36)}`;
  const summary = options.jsonSummary === undefined ? undefined : await openSummary(options.jsonSummary, name);
  const logName = `tsdask-${shortName(context.key)}-hub`;
  let report: LaunchReport | undefined;
  const heard = (text: string): void => report?.said(text);
  const output = await openRankZeroOutput({ options, out: context.out, env, folder, launch: name, logName, heard });
  const warn = ({ code, facts }: Failure): void => output.failures.add({ code, facts });
  const register =
    context.join === undefined ? registerLaunch(name, context, (failure) => output.failures.add(failure)) : undefined;
  if (register !== undefined)
    report = await openLaunchReport({ ...context, name: register.name, launch: name, host: hostname(), warn });
  await takeClusterFolder(folder, hostname(), (left) => endWorkerJobs(left, env));
  void context.forkServer.then((server) => server.own({ paths: [folder], identities: [takenFolder(folder)] }));
  const { secrets, hub: hubCertificate } = makeLaunchSecrets(context, name);
  const credentialsWritten = writeSecrets(context, secrets);
  const killed = shortKillTimeout(context.world, { env, grace: options.grace });
  if (killed !== undefined) warn(killed);
  const parts: LaunchParts = {
    context,
    launch: name,
    output,
    secrets,
    credentialsWritten,
    publication: openPublication({ context, launch: name, secrets, output }),
    register,
    report,
    usage: collectUsage(),
    fail: (failure) => launch.fail(failure),
    session: {},
  };
  const stopWatching = (): void => stopWalltime();
  const launch = createLaunch({
    ...lifeOf(context, warn),
    secrets,
    log: output.log,
    hooks: {
      ...reportHooks(parts),
      ...startHooks(parts),
      ...runHooks(parts),
      ...endHooks({ ...parts, summary, stopWatching }),
    },
  });
  const stopWalltime = watchWalltime({
    options,
    env,
    leave: launch.leave,
    joined: context.join !== undefined,
    log: output.log,
    warn,
  });
  const [toLaunch, toLeader] = channelPair<FromLeader, ToLeader>();
  launch.attach(toLeader, hostname(), 0, context.localSize);
  return {
    launch,
    up: toLaunch,
    hubCertificate,
    log: output.log,
    warn,
    pythonKnown: (known) => {
      parts.session.python = known;
    },
  };
}

/** What the life of a launch depends on, of all that the user and the job have said. */
function lifeOf(
  { options, plan, folder, schedulerFile, env, multiHost, workersAreNamed, cwd, prompt, join }: RankZeroContext,
  warn: (failure: Failure) => void,
): Omit<Parameters<typeof createLaunch>[0], "secrets" | "log" | "hooks"> {
  return {
    plan,
    folder,
    schedulerFile,
    granted: hostGrants({ env, multiHost, warn }),
    waitWorkers: options.waitWorkers,
    namedByRank: !workersAreNamed && namedByRank(options, cwd),
    schedulerReturns: join?.then(({ returns }) => returns) ?? Promise.resolve(options.schedulerRestarts > 0),
    startTimeout: options.startTimeout,
    grace: options.grace,
    scriptName: scriptName(options, env),
    jupyter: options.jupyter !== undefined,
    prompt,
    idleTimeout: options.idleTimeout,
    join: join?.then(({ scheduler }) => scheduler),
  };
}

/** Makes the launch's certificates and token. A failure is met by whoever waits for them. */
function makeLaunchSecrets(context: RankZeroContext, launch: string): ReturnType<typeof makeSecrets> {
  const { options, multiHost: hub, addresses, join } = context;
  const made = makeSecrets({ options, launch, hub, host: hostname(), addresses, join });
  for (const one of [made.secrets, made.hub]) one.catch(() => undefined);
  return made;
}

/** Writes the secrets into the cluster folder; a cluster that is joined keeps its own in its own folder. */
function writeSecrets({ join, folder }: RankZeroContext, secrets: Promise<Secrets>): Promise<void> {
  const written = secrets.then(async ({ credentials, token }) => {
    if (join !== undefined) return;
    if (credentials !== null) await writeClusterCredentials(folder, credentials);
    if (token !== null) await writePrivateFile(clusterFiles(folder).token, `${token}\n`);
  });
  written.catch(() => undefined);
  return written;
}

/** The usual `--grace`, in seconds: at a prompt nobody is told that a launcher leaves less. */
const usualGrace = 10;

/**
 * TSD-185, when the launcher kills its ranks earlier after SIGTERM than `--grace` (seconds) allows the script: in a
 * job, which is cancelled by a signal, and where more than the usual was asked for. Pure.
 */
export function shortKillTimeout(
  { launcher }: { readonly launcher: LauncherName },
  { env, grace }: { readonly env: NodeJS.ProcessEnv; readonly grace: number },
): Failure | undefined {
  const found = killTimeout(launcher, env);
  if (found === undefined || (grace <= usualGrace && describeJob(env).jobId === undefined)) return undefined;
  // A second less is what batch systems' own ten seconds leave.
  if (!(found.seconds + 1 < grace)) return undefined;
  return new Failure("TSD-185", {
    seconds: found.seconds === 0 ? "less than a second" : `${found.seconds} s`,
    version: found.release,
    grace,
    cure: found.cure(grace),
  });
}
