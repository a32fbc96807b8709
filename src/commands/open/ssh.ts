import { spawn, type ChildProcess, type ChildProcessByStdio } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { execa } from "execa";
import { deadlines } from "../../deadlines.ts";
import { Failure } from "../../errors/failure.ts";
import { visibleLine } from "../../errors/visible.ts";
import { posixQuoted } from "../shells.ts";
import { makeSessionFolder, socketName } from "./session-folder.ts";

/*
 * The system's own ssh, with its configuration, jump hosts and agents. ssh_config(5): ControlMaster, ControlPath,
 * ControlPersist; ssh(1): -O. With ControlPersist, `ssh -M -N` goes into the background when it has authenticated, in a
 * session of its own: Ctrl-C does not reach it. It ends by itself when it has had no channel for so many seconds,
 * should this program die without a word.
 */

/** Seconds that a connection without a channel stays. */
const idle = 20;
/**
 * A connection that is silent for `aliveEvery * aliveCount` seconds is lost: the network is gone, or the laptop slept.
 */
const aliveEvery = 10;
const aliveCount = 3;
/** Lines of ssh's own that a failure shows. */
const mostLines = 4;

export type Channel = ChildProcessByStdio<Writable, Readable, Readable>;

/** One authenticated connection to the login host; all else goes through it. */
export interface Connection {
  /** Runs our program there; its stdin and stdout are the channel. */
  serve(program: string): Channel;
  /**
   * A channel that does nothing, without which a connection that only forwards ports would end as an idle one; it
   * closes with the connection.
   */
  hold(): Channel;
  /**
   * A port of this machine's loopback that leads to a port as the login host reaches it. Resolves to what went wrong,
   * if anything did.
   */
  forward(port: number, target: string): Promise<string | undefined>;
  /** A shell line for `ProxyCommand` that leads ssh on through this connection to a further host. */
  readonly through: string;
  /** Ends the connection and everything in it. */
  close(): Promise<void>;
}

export interface ConnectRequest {
  readonly login: string;
  readonly env: NodeJS.ProcessEnv;
  /** Whether ssh may ask: for a password, a second factor, an unknown host's key. */
  readonly ask: boolean;
  readonly say: (line: string) => void;
  /** The connection that leads to this host, where the network does not. */
  readonly via?: Connection;
  /** Ends the attempt, which throws its reason. */
  readonly signal?: AbortSignal;
}

/** Whether there is a terminal on which ssh can ask, or a program that asks for it. */
export function canAsk(env: NodeJS.ProcessEnv): boolean {
  if (env["SSH_ASKPASS"] && (env["DISPLAY"] || env["WAYLAND_DISPLAY"] || env["SSH_ASKPASS_REQUIRE"] === "force"))
    return true;
  try {
    closeSync(openSync("/dev/tty", "r+"));
    return true;
  } catch {
    return false; // No controlling terminal.
  }
}

/** Connects and authenticates, once. Throws TSD-173, with the fact `person` set where only a person can help. */
export async function connectSsh({ login, env, ask, say, via, signal }: ConnectRequest): Promise<Connection> {
  signal?.throwIfAborted();
  const folder = await makeSessionFolder(env);
  const socket = join(folder, socketName);
  const control = ["-o", `ControlPath=${socket.replaceAll("%", "%%")}`];
  const proxy = via === undefined ? [] : ["-o", `ProxyCommand=${via.through}`];
  const master = spawn("ssh", [...control, ...proxy, ...masterOptions(ask), "--", login], {
    env,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const heard: string[] = [];
  let connected = false;
  lines(master.stderr, (line) => {
    if (connected) return;
    heard.push(visibleLine(line));
    if (ask) say(`ssh: ${visibleLine(line)}`);
  });
  const close = async (): Promise<void> => {
    await onSocket(control, login, ["-O", "exit"], env);
    master.stderr.destroy();
    await rm(folder, { recursive: true, force: true });
  };
  // ssh gives the terminal its echo back, as after Ctrl-C at a password. What it has started keeps its stderr open.
  const abort = (): void => void master.kill("SIGTERM");
  signal?.addEventListener("abort", abort);
  if (signal?.aborted === true) abort();
  const code = await exitOf(master);
  signal?.removeEventListener("abort", abort);
  if (code !== 0) {
    master.stderr.destroy();
    await rm(folder, { recursive: true, force: true });
    signal?.throwIfAborted();
    throw notConnected(login, heard, ask, code);
  }
  connected = true;
  // ssh's own process in the background keeps its stderr; it must not keep this one.
  (master.stderr as Readable & { unref?: () => void }).unref?.();
  const channel = (line: string): Channel =>
    spawn("ssh", [...control, ...channelOptions, "-T", "--", login, line], {
      env,
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
  return {
    serve: (program) => channel(remoteLine(program)),
    hold: () => channel("exec cat"),
    forward: async (port, target) => {
      const ran = await onSocket(control, login, ["-O", "forward", "-L", `127.0.0.1:${port}:${target}`], env);
      return ran.code === 0 ? undefined : visibleLine(ran.stderr.trim().split("\n").at(-1) ?? "ssh does not say why");
    },
    through: throughLine(control, login),
    close,
  };
}

/**
 * Starts its words as a process that the terminal's Ctrl-C does not reach, with the same input and output, and ends.
 */
const apart =
  'require("child_process").spawn(process.argv[1],process.argv.slice(2),{stdio:"inherit",detached:true}).unref()';

/**
 * `%` begins a token of ssh's in a ProxyCommand (ssh_config(5)), where a path of `control` is already written with two.
 */
const throughLine = (control: readonly string[], login: string): string => {
  const plain = [process.execPath, "-e", apart, "ssh", ...control, ...channelOptions].map((word) =>
    word.replaceAll("%", "%%"),
  );
  return [...plain, "-W", "[%h]:%p", "--", login.replaceAll("%", "%%")].map(posixQuoted).join(" ");
};

/** A configuration's own forwards, commands and sockets are for other connections. */
const foreign = ["-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none", "-o", "ForwardX11=no"];

const masterOptions = (ask: boolean): readonly string[] => [
  ...["-M", "-N", "-T", "-o", `ControlPersist=${idle}`, ...foreign],
  ...["-o", `ServerAliveInterval=${aliveEvery}`, "-o", `ServerAliveCountMax=${aliveCount}`],
  ...["-o", "ConnectTimeout=30", ...(ask ? [] : ["-o", "BatchMode=yes"])],
];

/** Never a connection of its own, which would ask again: without its master it fails. */
const channelOptions = ["-o", "ControlMaster=no", "-o", "ProxyCommand=false", "-o", "BatchMode=yes", ...foreign];

async function onSocket(
  control: readonly string[],
  login: string,
  words: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ readonly code: number; readonly stderr: string }> {
  const ran = await execa("ssh", [...control, ...words, "--", login], {
    env,
    extendEnv: false,
    reject: false,
    stdin: "ignore",
    timeout: deadlines.sshControl,
  });
  return { code: ran.exitCode ?? 255, stderr: ran.stderr };
}

/**
 * What runs there: our program as a login shell of the user's finds it, since it is often a profile or a module that
 * sets PATH. `program` is plain enough for a shell (see the option).
 */
function remoteLine(program: string): string {
  const inShell = 'case ${SHELL##*/} in bash|zsh|ksh) exec "$SHELL" -lc "$0";; esac; exec sh -lc "$0"';
  return `exec sh -c ${posixQuoted(inShell)} ${posixQuoted(`exec ${program} open --serve`)}`;
}

/** Resolves to the exit code; 255, as ssh's own, when it could not be started. */
function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ENOENT" ? 127 : 255));
    child.once("exit", (code) => resolve(code ?? 255));
  });
}

/** Calls back for each line. */
export function lines(stream: Readable, take: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8").on("data", (text: string) => {
    const [...parts] = `${rest}${text}`.split("\n");
    rest = (parts.pop() ?? "").slice(0, 2_000_000);
    for (const part of parts) take(part.replace(/\r$/, ""));
  });
  stream.on("error", () => undefined);
}

/** OpenSSH's words, and the system's, for a name that leads to no address. */
const noSuchHost = /resolve hostname|name or service/i;

function notConnected(login: string, heard: readonly string[], ask: boolean, code: number): Failure {
  const said = heard.filter((line) => line.trim() !== "").slice(-mostLines);
  const all = said.join("; ").replace(/\.+$/, "");
  const problem = code === 127 ? "there is no ssh here" : all === "" ? `it ended with ${code}` : all;
  const [cause, cure, person] = explained(all, code, ask);
  const facts = { login: visibleLine(login), problem, cause, cure };
  return new Failure("TSD-173", {
    ...facts,
    ...(person ? { person: 1 } : {}),
    ...(noSuchHost.test(all) ? { unknown: 1 } : {}),
  });
}

function explained(text: string, code: number, ask: boolean): readonly [string, string, boolean] {
  if (code === 127)
    return ["OpenSSH's client is not installed, or not in PATH.", "Install it (Debian: openssh-client).", false];
  if (/host key verification failed|identification has changed/i.test(text))
    return [
      "The host's key is not known here, or is another one than before.",
      "Connect once with ssh in a terminal and look at the key; after a change, ask the site before you trust it.",
      true,
    ];
  if (/permission denied|too many authentication failures|authentication/i.test(text))
    return ask
      ? [
          "The password, the second factor or the key was not accepted.",
          "Try the same with plain ssh; name the user: user@login.",
          true,
        ]
      : [
          "It wants a password or a second factor, and there is no terminal here on which to ask.",
          "Run it in a terminal, or set up a key and an agent (ssh-agent, ssh-add).",
          true,
        ];
  if (noSuchHost.test(text))
    return [
      "The name is misspelt, or this computer is not in the network that knows it.",
      "Try the same with plain ssh; a VPN may be missing.",
      false,
    ];
  return [
    "The host, or the network to it, does not answer as ssh wants.",
    "Try the same with plain ssh, with -v for more.",
    false,
  ];
}
