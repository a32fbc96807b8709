import { Failure } from "../../errors/failure.ts";
import { visibleLine } from "../../errors/visible.ts";
import { clusterTunnel, tunnelLines } from "../../net/cluster-tunnel.ts";
import { requirePort } from "../../net/ports.ts";
import { durationText } from "../../ui/format.ts";
import type { CommandContext } from "../context.ts";
import { openBrowser } from "./browser.ts";
import { makeClientFolder, type ClientFolder } from "./client-folder.ts";
import { askForMissing } from "./form.ts";
import { makeInbox, type Inbox } from "./inbox.ts";
import { failureTold, type Target, type Told } from "./lines.ts";
import { connectLink, type Happening, type Link } from "./link.ts";
import { forwardPages, forwardScheduler, type Forwarded } from "./pages.ts";
import { openPrompt } from "./prompt.ts";
import { remember, rememberEnd, type Session } from "./remember.ts";
import { canAsk } from "./ssh.ts";
import { usualProgram, usualWords } from "./words.ts";

/** What was asked of `open`, checked. */
export interface Asked {
  readonly login: string;
  /** Our program's name there. */
  readonly program: string;
  /** A cluster that is there already. */
  readonly target?: Target | undefined;
  readonly name?: string | undefined;
  /** The job to submit otherwise: its options as words, what its ranks run, where. */
  readonly system?: string | undefined;
  readonly options: readonly string[];
  readonly words: readonly string[];
  readonly folder?: string | undefined;
  /** A port that must be had, and one that would be good. */
  readonly port?: number | undefined;
  readonly usualPort?: number | undefined;
  readonly browser: boolean;
  readonly print: boolean;
  readonly form: boolean;
  /** The words that opened the one that is gone back to. */
  readonly again?: readonly string[] | undefined;
  readonly client?: { readonly python: string } | undefined;
  readonly atEnd: "ask" | "stop" | "leave";
}

interface Desk {
  readonly asked: Asked;
  readonly context: CommandContext;
  readonly inbox: Inbox<Happening>;
  readonly say: (line: string) => void;
  link: Link | undefined;
  target: Target | undefined;
  name: string;
  again: readonly string[] | undefined;
  /** The login host has answered once. */
  met: boolean;
  ended: boolean;
  /** The job is this session's own, and no cluster has come of it yet. */
  owns: boolean;
  pages: readonly Forwarded[];
  client: ClientFolder | undefined;
  closePage: (() => Promise<void>) | undefined;
}

/** Waits (ms) between attempts to connect again. */
const retries = [1_000, 2_000, 5_000, 10_000, 20_000, 30_000];
/** A connection that is lost sooner (ms) counts as one more attempt. */
const soon = 10_000;

/**
 * One session with a cluster behind a login host, from the connection to its end; resolves to the exit code. Throws
 * TSD-173 to 178, and what the login host tells.
 */
export async function openSession(asked: Asked, context: CommandContext): Promise<number> {
  const inbox = makeInbox<Happening>();
  const desk: Desk = {
    asked,
    context,
    inbox,
    say: (line) => void context.stderr.write(`tsdask-mpi: ${line}\n`),
    link: undefined,
    target: asked.target,
    name: asked.name ?? "",
    again: asked.again,
    met: false,
    ended: false,
    owns: false,
    pages: [],
    client: undefined,
    closePage: undefined,
  };
  const interrupt = (): void => inbox.put({ kind: "interrupt" });
  const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const name of names) process.on(name, interrupt);
  try {
    // Before a job is submitted for nothing.
    if (asked.port !== undefined && !asked.print) await requirePort("127.0.0.1", asked.port, "--port");
    return await attend(desk);
  } catch (error) {
    if (desk.met && !(error instanceof Failure && error.code === "TSD-176") && !desk.ended) leftText(desk);
    throw error;
  } finally {
    for (const name of names) process.off(name, interrupt);
    await desk.client?.remove();
    await desk.closePage?.();
    await desk.link?.close();
  }
}

async function attend(desk: Desk): Promise<number> {
  const { asked, context, inbox, say } = desk;
  let from = performance.now();
  const since = (): string => durationText((performance.now() - from) / 1000);
  desk.link = await connectLink({ ...asked, env: context.env, ask: canAsk(context.env), say }, inbox);
  desk.met = true;
  say(`connected to ${desk.link.hello.host} as ${desk.link.hello.user} (${since()})`);
  if (desk.target === undefined) desk.target = await submit(desk);
  from = performance.now();
  desk.link.request({ op: "follow", target: desk.target });
  for (;;) {
    const item = await inbox.next();
    if (item.kind === "interrupt") {
      const code = await leave(desk);
      if (code !== undefined) return code;
    } else if (item.kind === "lost") {
      if (!(await connectAgain(desk))) return leftText(desk);
      desk.link.request({ op: "follow", target: desk.target });
    } else if (item.kind === "failed") throw item.error;
    else if (item.kind === "told") {
      const done = await take(desk, item.told, since);
      if (done !== undefined) return done;
    }
  }
}

/** Has the job submitted; what is missing is asked for first. */
async function submit(desk: Desk): Promise<Target> {
  const { asked, context, link, say } = desk;
  const { system, folder, words } = asked;
  const options = asked.form
    ? await askForMissing(asked.options, {
        choices: async () => {
          link?.request({ op: "choices", ...(system === undefined ? {} : { system }) });
          return expected(desk, "choices");
        },
        context,
      })
    : asked.options;
  const from = performance.now();
  link?.request({
    op: "submit",
    options: [...options],
    words: [...words],
    ...(system === undefined ? {} : { system }),
    ...(folder === undefined ? {} : { folder }),
  });
  const { job, name } = await expected(desk, "submitted");
  say(`job ${job.id} is submitted to ${job.system} as ${name} (${durationText((performance.now() - from) / 1000)})`);
  desk.owns = true;
  desk.name = name;
  desk.target = { job };
  desk.again = againWords(asked, options);
  await remember(sessionOf(desk), context.env);
  return desk.target;
}

/** The words after `tsdask-mpi open` that open one like this. */
function againWords({ program, system, folder, login, words }: Asked, options: readonly string[]): readonly string[] {
  const own = { "remote-command": program === usualProgram ? undefined : program, system, folder };
  return [
    ...Object.entries(own).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`])),
    ...options,
    login,
    ...(words.join(" ") === usualWords.join(" ") ? [] : ["--", ...words]),
  ];
}

/** What is written down of the session. */
function sessionOf({ asked: { login, program }, name, target, again, pages: [first] }: Desk): Session {
  return {
    format: 1,
    name,
    login,
    program,
    ...(target !== undefined && "job" in target ? { job: target.job } : {}),
    ...(first === undefined ? {} : { port: first.port }),
    ...(again === undefined ? {} : { again: [...again] }),
  };
}

/** A failure that the login host tells of; where it was is said before it. */
function failureThere({ asked, say }: Desk, told: Extract<Told, { event: "failure" }>): Failure {
  say(`on ${asked.login}:`);
  return failureTold(told);
}

/** The next thing of a kind that the login host tells; notes are shown, a failure is thrown. */
async function expected<const K extends Told["event"]>(desk: Desk, event: K): Promise<Extract<Told, { event: K }>> {
  for (;;) {
    const item = await desk.inbox.next();
    if (item.kind === "failed") throw item.error;
    if (item.kind === "interrupt") throw new Failure("TSD-176", { name: "The session", why: "it was ended by you" });
    if (item.kind === "lost")
      throw new Failure("TSD-173", {
        login: desk.asked.login,
        problem: "the connection was lost",
        cause: "The network dropped, or the login host ended the connection.",
        cure: "Look with `tsdask-mpi list` there whether a job was submitted; then open it, or try again.",
      });
    if (item.kind !== "told") continue;
    const { told } = item;
    if (told.event === event) return told as Extract<Told, { event: K }>;
    if (told.event === "failure") throw failureThere(desk, told);
    if (told.event === "note") desk.say(told.text);
  }
}

/** What people are told of a cluster that is not up. */
const stateWords: Readonly<Record<string, string>> = {
  pending: "the job waits",
  starting: "the job runs, the cluster starts",
  running: "the scheduler is up, JupyterLab starts",
};

/** Does what one word of the login host's asks for; an exit code when the session is over. */
async function take(desk: Desk, told: Told, since: () => string): Promise<number | undefined> {
  const { say } = desk;
  switch (told.event) {
    case "note":
      say(told.text);
      return undefined;
    case "waits":
      say(`${stateWords[told.state] ?? told.state}${told.reason === "" ? "" : `: ${told.reason}`} (${since()})`);
      return undefined;
    case "up":
      return takeUp(desk, told, since);
    case "ended": {
      const name = desk.name === "" ? "the cluster" : desk.name;
      await rememberEnd(desk.name, told.why, desk.context.env);
      if (told.code !== 0) throw new Failure("TSD-176", { name, why: told.why });
      say(`${name} has ended: ${told.why}`);
      return 0;
    }
    case "failure": {
      const failure = failureThere(desk, told);
      // A job that can never run would stay in the queue for good.
      if (desk.owns && failure.code === "TSD-141") await stop(desk);
      throw failure;
    }
    default:
      return undefined;
  }
}

async function takeUp(
  desk: Desk,
  up: Extract<Told, { event: "up" }>,
  since: () => string,
): Promise<number | undefined> {
  const { asked, context, link, say } = desk;
  if (link === undefined) return undefined;
  const again = desk.pages.length > 0 || desk.client !== undefined;
  desk.name = up.name;
  desk.owns = false;
  if (!again) say(`${up.name} runs on ${up.record.host} (${since()})${endText(up.ends)}`);
  if (asked.print) {
    const { record, token } = up;
    const tunnel = clusterTunnel({ record, user: link.hello.user, token, login: asked.login });
    context.stdout.write(`${tunnel === undefined ? "it has no page" : tunnelLines(tunnel).join("\n")}\n`);
    return leftText(desk);
  }
  const before = desk.pages;
  desk.pages = await forwardPages(up, link, { port: asked.port, usual: asked.usualPort, before });
  const [first] = desk.pages;
  await remember(sessionOf(desk), context.env);
  if (asked.client !== undefined) await openClient(desk, up, asked.client);
  const fresh = desk.pages.filter(({ url }) => !before.some((old) => old.url === url));
  for (const { name, url } of fresh) context.stdout.write(`${name}  ${visibleLine(url)}\n`);
  if (first !== undefined && asked.browser && fresh.includes(first) && desk.closePage === undefined)
    desk.closePage = await openBrowser(first.url, context.env);
  if (!again)
    say(`Ctrl-C ${{ ask: "asks whether it ends", stop: "ends the cluster", leave: "leaves it running" }[asked.atEnd]}`);
  return undefined;
}

async function openClient(
  desk: Desk,
  up: Extract<Told, { event: "up" }>,
  { python }: { readonly python: string },
): Promise<void> {
  const { context, link, say, target } = desk;
  if (link === undefined || target === undefined) return;
  link.request({ op: "credentials", target });
  const credentials = await expected(desk, "credentials");
  const address = await forwardScheduler(up, link, desk.client?.address);
  desk.client ??= await makeClientFolder({ name: up.name, address, credentials, python, env: context.env, say });
  if (desk.client.told) return;
  desk.client.told = true;
  for (const line of desk.client.lines) context.stdout.write(`${line}\n`);
}

function endText(ends: number | undefined): string {
  return ends === undefined ? "" : `; its job ends in ${durationText(ends - Date.now() / 1000)}`;
}

/** Connects again until it works; false when the user has had enough. Throws TSD-173 where nobody can log in. */
async function connectAgain(desk: Desk): Promise<boolean> {
  const { asked, context, inbox, say } = desk;
  const from = performance.now();
  say(`the connection to ${asked.login} is lost; connecting again (the cluster goes on there)`);
  await desk.link?.close();
  desk.link = undefined;
  for (let round = 0; ; round += 1) {
    let ask = false;
    try {
      desk.link = await connectLink({ ...asked, env: context.env, ask: false, say }, inbox);
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== "TSD-173") throw error;
      ask = error.facts["person"] === 1;
      if (ask && !canAsk(context.env)) throw error;
    }
    // Not by itself: a second factor that nobody asked for locks accounts.
    if (ask && (await question("it asks you to log in again: press Enter, or Ctrl-C to leave. ")) === undefined)
      return false;
    if (ask) desk.link = await connectLink({ ...asked, env: context.env, ask: true, say }, inbox).catch(ifSsh);
    if (desk.link !== undefined) {
      say(`connected again after ${durationText((performance.now() - from) / 1000)}`);
      return true;
    }
    const timer = setTimeout(() => inbox.put({ kind: "time" }), retries[Math.min(round, retries.length - 1)] ?? soon);
    const item = await inbox.next();
    clearTimeout(timer);
    if (item.kind === "interrupt") return false;
  }
}

function ifSsh(error: unknown): undefined {
  if (!(error instanceof Failure) || error.code !== "TSD-173") throw error;
}

/** Ctrl-C: the cluster ends, or stays, as was asked; undefined to go on. */
async function leave(desk: Desk): Promise<number | undefined> {
  const { asked } = desk;
  let { atEnd } = asked;
  if (atEnd === "ask") {
    const answer = process.stdin.isTTY
      ? await question("end the cluster (e), leave it running (l), or go on (g)? [l] ")
      : "l";
    if (answer?.trim().toLowerCase().startsWith("g")) return undefined;
    atEnd = answer?.trim().toLowerCase().startsWith("e") ? "stop" : "leave";
  }
  if (atEnd === "stop") return stop(desk);
  return leftText(desk);
}

function leftText({ name, asked, say }: Desk): number {
  if (name !== "")
    say(
      `${name} goes on; back to it with \`tsdask-mpi open ${name}\`, and its end with \`tsdask-mpi stop ${name}\` on ${asked.login}`,
    );
  return 0;
}

async function stop(desk: Desk): Promise<number> {
  const { link, target, say, name, context } = desk;
  if (link === undefined || target === undefined) return 0;
  link.request({ op: "stop", target });
  const { how } = await expected(desk, "stopped");
  desk.ended = true;
  say(`${name === "" ? "the cluster" : name} has ended${how === "" ? "" : ` (${how})`}`);
  await rememberEnd(name, "you ended it", context.env);
  return 0;
}

/** What is typed; undefined for Ctrl-C, and at the end of the input. */
async function question(text: string): Promise<string | undefined> {
  const prompt = openPrompt();
  try {
    return await prompt.ask(`tsdask-mpi: ${text}`);
  } finally {
    prompt.close();
  }
}
