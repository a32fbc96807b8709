import { heardOf } from "../../launcher/signals.ts";
import { Failure } from "../../errors/failure.ts";
import { visibleLine } from "../../errors/visible.ts";
import { clusterTunnel, tunnelLines } from "../../net/cluster-tunnel.ts";
import { requirePort } from "../../net/ports.ts";
import { durationText } from "../../ui/format.ts";
import type { CommandContext } from "../context.ts";
import { openBrowser } from "./browser.ts";
import { makeClientFolder } from "./client-folder.ts";
import {
  endIfInterrupted,
  expected,
  failureThere,
  interrupted,
  interruptible,
  nothingYet,
  type Asked,
  type Desk,
} from "./desk.ts";
import { EndedByUser } from "./ended-by-user.ts";
import { askForMissing } from "./form.ts";
import { makeInbox } from "./inbox.ts";
import { leave, leftText, stop } from "./leave.ts";
import type { Target, Told } from "./lines.ts";
import type { Happening } from "./link.ts";
import { forwardPages, forwardScheduler } from "./pages.ts";
import { connect, connectAgain } from "./reconnect.ts";
import { remember, rememberEnd, type Session } from "./remember.ts";
import { canAsk } from "./ssh.ts";
import { usualProgram, usualWords } from "./words.ts";

/**
 * One session with a cluster behind a login host, from the connection to its end; resolves to the exit code. Throws
 * TSD-173 to 178, and what the login host tells. 128 + n where the user ends it by a signal before there is a cluster.
 */
export async function openSession(asked: Asked, context: CommandContext): Promise<number> {
  const inbox = makeInbox<Happening>();
  const desk: Desk = {
    asked,
    context,
    inbox,
    underWay: undefined,
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
  const interrupt = (signal: NodeJS.Signals): void => {
    if (desk.underWay === undefined) inbox.put({ kind: "interrupt", signal });
    else desk.underWay.abort(new EndedByUser(signal, nothingYet(desk)));
  };
  const names = heardOf(["SIGINT", "SIGTERM", "SIGHUP"]);
  for (const name of names) process.on(name, interrupt);
  try {
    // Before a job is submitted for nothing.
    if (asked.port !== undefined && !asked.print) await requirePort("127.0.0.1", asked.port, "--port");
    return await attend(desk);
  } catch (error) {
    if (desk.met && !(error instanceof Failure && error.code === "TSD-176") && !desk.ended) leftText(desk);
    if (!(error instanceof EndedByUser)) throw error;
    desk.say(`ended by you; ${error.message}`);
    return error.exitCode;
  } finally {
    for (const name of names) process.off(name, interrupt);
    await desk.client?.remove();
    await desk.closePage?.();
    await desk.link?.close();
  }
}

async function attend(desk: Desk): Promise<number> {
  const { context, inbox, say } = desk;
  let from = performance.now();
  const since = (): string => durationText((performance.now() - from) / 1000);
  desk.link = await connect(desk, canAsk(context.env));
  desk.met = true;
  say(`connected to ${desk.link.hello.host} as ${desk.link.hello.user} (${since()})`);
  if (desk.target === undefined) desk.target = await submit(desk);
  const early = interrupted(desk);
  const over = early === undefined ? undefined : await leave(desk, early.signal);
  if (over !== undefined) return over;
  from = performance.now();
  desk.link.request({ op: "follow", target: desk.target });
  for (;;) {
    const item = await inbox.next();
    if (item.kind === "interrupt") {
      const code = await leave(desk, item.signal);
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
        asking: (run) => interruptible(desk, run),
      })
    : asked.options;
  endIfInterrupted(desk);
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
      if (!desk.owns || failure.code !== "TSD-141") throw failure;
      await stop(desk);
      const todo = String(failure.facts["hint"]).replace(/^Cancel it,(?: and)? /, "");
      throw new Failure("TSD-141", { ...failure.facts, hint: `\`open\` has cancelled it: ${todo}` });
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
  if (first !== undefined && asked.browser && fresh.includes(first) && desk.closePage === undefined) {
    desk.closePage = await openBrowser(first.url, context.env);
    if (desk.closePage !== undefined)
      say(`the browser opens ${first.name}; if it shows nothing, or may not read its file, open the link above in it`);
  }
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
  if (desk.client !== undefined) {
    // Connected again: the folder is written already.
    await forwardScheduler(up, link, desk.client.address);
    return;
  }
  link.request({ op: "credentials", target });
  const credentials = await expected(desk, "credentials");
  const address = await forwardScheduler(up, link);
  desk.client = await makeClientFolder({ name: up.name, address, credentials, python, env: context.env, say });
  for (const line of desk.client.lines) context.stdout.write(`${line}\n`);
}

function endText(ends: number | undefined): string {
  return ends === undefined ? "" : `; its job ends in ${durationText(ends - Date.now() / 1000)}`;
}
