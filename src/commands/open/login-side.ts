import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { batchSystem } from "../../batch/job.ts";
import { cannotRun, whyPending } from "../../batch/pending.ts";
import { commandShell } from "../../batch/run.ts";
import { sameJob } from "../../batch/same-job.ts";
import { renderScript } from "../../batch/script/render.ts";
import type { ScriptSystem } from "../../batch/script/job-spec.ts";
import { readCommandLine } from "../../config/command-line.ts";
import { VERSION } from "../../config/version.ts";
import { credentialsFor, pagesToken } from "../../dask/live-cluster.ts";
import { readSchedulerFile } from "../../dask/read-scheduler-file.ts";
import { versions } from "../../dask/rpc.ts";
import type { SchedulerFile } from "../../dask/scheduler-file.ts";
import { deadlines } from "../../deadlines.ts";
import { Failure } from "../../errors/failure.ts";
import { clusterNamed, listClusters, type Listed } from "../../registry/find.ts";
import { madeName } from "../../registry/names.ts";
import { makeStateFolder, statePaths } from "../../registry/place.ts";
import { stopCluster } from "../../registry/stop.ts";
import { registerSubmission } from "../../registry/submission.ts";
import { readClusterCredentials } from "../../security/cluster-folder.ts";
import { homeFolder, userName } from "../../security/user.ts";
import { failureOf } from "../../ui/failure-of.ts";
import { clusterTrust } from "../cluster-trust.ts";
import { systemHere } from "../growth-options.ts";
import { jobOptions, specOf } from "../script-options.ts";
import { commandIn, nameIn, sectionDefaults, submitText, systemOf } from "../script.ts";
import { choicesOf } from "./choices.ts";
import { lastWords } from "./last-words.ts";
import { readRequest, written, type Request, type Target, type Told } from "./lines.ts";
import { Pace } from "./pace.ts";

/** A busy scheduler is asked again after it (ms). */
const credentialsAgain = 1_000;

interface Side {
  readonly env: NodeJS.ProcessEnv;
  readonly tell: (told: Told) => void;
  /** Aborted when the laptop has gone. */
  readonly gone: AbortSignal;
}

/**
 * The login host's side of `tsdask-mpi open`: takes requests on stdin, one line each, and tells on stdout what comes of
 * them. No word of the laptop's stands in a shell line here. Ends with its stdin, or when the laptop has been silent
 * for too long; the cluster stays.
 */
export async function serveOpen(
  env: NodeJS.ProcessEnv,
  input: NodeJS.ReadableStream,
  output: { write(text: string): unknown },
): Promise<number> {
  const gone = new AbortController();
  const tell = (told: Told): void => {
    if (!gone.signal.aborted) output.write(written(told));
  };
  const side = { env, tell, gone: gone.signal };
  const lines = createInterface({ input });
  const silence = setTimeout(() => lines.close(), deadlines.openSilence);
  tell({ event: "hello", version: VERSION, host: hostname(), user: userName(env) });
  let submitted: Promise<void> | undefined;
  for await (const line of lines) {
    silence.refresh();
    const request = readRequest(line);
    if (request !== undefined) {
      const answered = answer(request, side).catch((error: unknown) => {
        const { code, facts } = failureOf(error);
        if (gone.signal.aborted) return;
        const told = Object.entries(facts).flatMap(([name, fact]) =>
          fact === undefined ? [] : [[name, fact] as const],
        );
        tell({ event: "failure", code, facts: Object.fromEntries(told) });
      });
      if (request.op === "submit") submitted = answered;
    }
  }
  clearTimeout(silence);
  gone.abort();
  // The batch system may have taken the job: it is written into the list, where its owner finds it.
  await submitted;
  return 0;
}

async function answer(request: Request, side: Side): Promise<void> {
  const { env, tell } = side;
  switch (request.op) {
    case "alive":
      return;
    case "choices": {
      const system = systemFor(request.system, env);
      const [queues, accounts] = await choicesOf(system, commandShell({ env, deadline: deadlines.openChoices }));
      tell({ event: "choices", system, queues, accounts, defaults: await defaultsOf(env) });
      return;
    }
    case "submit":
      return submit(request, side);
    case "follow":
      return follow(request.target, side);
    case "stop": {
      const one = await clusterOf(request.target, env);
      const over = one === undefined || one.state === "ended";
      const say = (text: string): void => tell({ event: "note", text: `${one?.entry.name ?? "the cluster"} ${text}` });
      tell({ event: "stopped", how: over ? "it had ended" : await stopCluster(one, { now: false, env, say }) });
      return;
    }
    case "credentials":
      return tellCredentials(request.target, side);
  }
}

/** What the laptop named, else what is here. Throws TSD-006 and TSD-178. */
function systemFor(word: string | undefined, env: NodeJS.ProcessEnv): ScriptSystem {
  const system = word ?? systemHere(env);
  if (system === "local" || system === "kubernetes") throw new Failure("TSD-178", { host: hostname() });
  return systemOf(system);
}

async function defaultsOf(env: NodeJS.ProcessEnv): Promise<Record<string, string>> {
  const sections = await sectionDefaults(env);
  const pairs = sections.toReversed().flatMap(({ values }) => Object.entries(values));
  return Object.fromEntries(
    pairs.flatMap(([name, value]) => (typeof value === "object" ? [] : [[name, String(value)] as const])),
  );
}

async function submit(request: Extract<Request, { op: "submit" }>, { env, tell }: Side): Promise<void> {
  const system = systemFor(request.system, env);
  const cwd = resolve(homeFolder(env), request.folder ?? ".");
  const { said } = readCommandLine(request.options, {
    program: "tsdask-mpi open",
    options: jobOptions,
    defaults: await jobDefaults(env),
    context: { cwd, home: homeFolder(env), env, variables: false },
  });
  const name = nameIn(request.words) ?? madeName(randomUUID());
  const words = [...named(request.words, name), ...placed(request.words, name, env), ...request.words];
  const spec = specOf({ ...said, name: said.name ?? name }, { command: commandIn(system, env), words });
  const { text, notes } = renderScript(system, spec);
  for (const note of notes) tell({ event: "note", text: note });
  const id = await submitText(system, text, undefined, { env, cwd, stdout: process.stdout, stderr: process.stderr });
  await registerSubmission({ system, id, name, cwd, env });
  tell({ event: "submitted", job: { system, id }, name });
}

/**
 * What the `script:` sections say of a job; what they say of `script` itself (a file, an array) is not for a session.
 */
async function jobDefaults(env: NodeJS.ProcessEnv): ReturnType<typeof sectionDefaults> {
  const keys = new Set(Object.keys(jobOptions));
  const camel = (name: string): string => name.replace(/[-_](\w)/g, (_, letter: string) => letter.toUpperCase());
  return (await sectionDefaults(env)).map(({ values, source }) => ({
    source,
    values: Object.fromEntries(Object.entries(values).filter(([name]) => keys.has(camel(name)))),
  }));
}

const named = (words: readonly string[], name: string): readonly string[] =>
  nameIn(words) === undefined ? ["--cluster-name", name] : [];

/** A scheduler.json of its own, so that two sessions that begin in one folder do not meet. */
function placed(words: readonly string[], name: string, env: NodeJS.ProcessEnv): readonly string[] {
  if (words.some((word) => /^--scheduler-file(?:=|$)/.test(word))) return [];
  const { opened } = statePaths(env);
  makeStateFolder(opened);
  return ["--scheduler-file", join(opened, `scheduler-${name}.json`)];
}

/** Tells how a cluster gets on: why it waits, that it is up and where, and in the end that it has ended. */
async function follow(target: Target, { env, tell, gone }: Side): Promise<void> {
  const pace = new Pace();
  let said = "";
  let reason = "";
  let up = false;
  while (!gone.aborted) {
    const one = await clusterOf(target, env);
    if (one === undefined || one.state === "ended") {
      const code = one?.entry.code;
      const why = one?.why ?? "no more is known of it";
      if (!up && one !== undefined && code !== 0)
        for (const text of await lastWords(one.entry)) tell({ event: "note", text });
      tell({ event: "ended", why: endText(why, one), ...(code === undefined ? {} : { code }) });
      return;
    }
    if (!up) {
      const file = await upAt(one, env);
      if (file?.tsdask !== undefined) {
        up = true;
        await tellUp(one, file, tell);
      } else {
        pace.looked(performance.now(), one.state);
        if (one.state !== "pending") reason = one.why ?? "";
        else if (pace.asks(performance.now())) reason = (await whyWaits(one, env)) ?? one.why ?? reason;
        const state = `${one.state} ${reason}`;
        if (state !== said) tell({ event: "waits", state: one.state, reason });
        said = state;
      }
    }
    await sleep(pace.next(performance.now(), up), undefined, { signal: gone }).catch(() => undefined);
  }
}

async function clusterOf(target: Target, env: NodeJS.ProcessEnv): Promise<Listed | undefined> {
  if ("name" in target) return clusterNamed(target.name, env);
  const { system, id } = target.job;
  const found = await listClusters(env, ({ job }) => sameJob(job, target.job));
  if (found.length > 0) return found[0];
  // A list that could not be written: the batch system knows the job all the same.
  const state = (await batchSystem(system).states([id], commandShell({ env }))).get(id);
  if (state === undefined || state === "gone") return undefined;
  throw new Failure("TSD-147", {
    name: id,
    cause:
      "The job is there, and its cluster is not in the list: the list cannot be written, or lies elsewhere for jobs.",
    suggestion: "",
  });
}

/** How it ended; a job that ran out of time leaves no word of its own. */
function endText(why: string, one: Listed | undefined): string {
  const ends = one?.ends ?? one?.entry.ends;
  return ends === undefined || Date.now() / 1000 < ends ? why : `${why}; its job's time was over`;
}

/** The cluster's file, once all that it was asked for answers. */
async function upAt({ entry, state }: Listed, env: NodeJS.ProcessEnv): Promise<SchedulerFile | undefined> {
  if (state !== "running" || entry.schedulerFile === undefined) return undefined;
  const trust = await clusterTrust({}, { env, cwd: entry.cwd });
  const file = await readSchedulerFile(entry.schedulerFile, trust);
  const wanted = entry.script?.startsWith("jupyter ") === true;
  return file.tsdask?.launch === entry.launch && (!wanted || file.tsdask.jupyter !== null) ? file : undefined;
}

async function tellUp({ entry, ends }: Listed, { address, tsdask }: SchedulerFile, tell: Side["tell"]): Promise<void> {
  if (tsdask === undefined) return;
  const { launch, host, folder, dashboard, jupyter, tunnel, security } = tsdask;
  const token = await pagesToken({ folder, jupyter, security });
  tell({
    event: "up",
    name: entry.name,
    record: { launch, host, folder, dashboard, jupyter, security, ...(tunnel === undefined ? {} : { tunnel }) },
    address,
    ...(token === undefined ? {} : { token }),
    ...(ends === undefined ? {} : { ends }),
  });
}

/** Why its job waits, where the batch system says it. Throws TSD-141 for a job that will never run. */
async function whyWaits({ entry: { job } }: Listed, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const { system, id } = job;
  if (id === undefined) return undefined;
  const pending = await whyPending([{ system, id }], commandShell({ env }));
  const stuck = cannotRun(pending, { limits: false });
  if (stuck !== undefined) throw stuck;
  return pending[0]?.reason;
}

/**
 * Tells what a client needs; a scheduler that does not answer just now is asked again. Throws TSD-176 for a cluster
 * that has ended, TSD-075 for one that stays silent, and what reading its credentials throws.
 */
async function tellCredentials(target: Target, { env, tell, gone }: Side): Promise<void> {
  const until = performance.now() + deadlines.openCredentials;
  while (!gone.aborted) {
    const one = await clusterOf(target, env);
    const name = one?.entry.name ?? "The cluster";
    if (one === undefined || one.state === "ended")
      throw new Failure("TSD-176", { name, why: one?.why ?? "no more is known of it" });
    const found = await credentialsOf(one, env).catch((error: unknown) => {
      if (!isBusy(error)) throw error;
      return error;
    });
    if (found !== undefined && !(found instanceof Failure)) {
      tell(found);
      return;
    }
    if (performance.now() > until)
      throw found ?? new Failure("TSD-075", { address: name, problem: one.why ?? "it is not ready" });
    await sleep(credentialsAgain, undefined, { signal: gone }).catch(() => undefined);
  }
}

const isBusy = (error: unknown): error is Failure => error instanceof Failure && error.code === "TSD-075";

/** What a client needs; `undefined` where the cluster does not answer, or not all that it was asked for is up. */
async function credentialsOf(one: Listed, env: NodeJS.ProcessEnv): Promise<Told | undefined> {
  const file = await upAt(one, env);
  if (file?.tsdask === undefined) return undefined;
  const tls = await credentialsFor(file, await clusterTrust({}, { env, cwd: homeFolder(env) }));
  const { packages } = await versions({ address: file.address, tls }, { deadline: deadlines.connectCommand });
  const pems = file.tsdask.security === "tls" ? await readClusterCredentials(file.tsdask.folder) : {};
  return { event: "credentials", ...pems, packages };
}
