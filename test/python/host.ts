import { execFile, execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

/** The folder with the fork server's and the exec'd child's entry. */
export const PROGRAMS = join(import.meta.dirname, "../../python/tsdask_mpi");

/** How long what is waited for may take (ms), also on a slow machine. */
const EVENT_DEADLINE = 60_000;
const POLL = 5;

/** One JSON line of the fork server or of a child. */
export type Event = { readonly event: string } & Readonly<Record<string, unknown>>;

/**
 * The Pythons with Dask that these tests run on: TSDASK_TEST_PYTHONS (colon-separated), else the project's own and the
 * system's.
 */
export function pythons(): readonly string[] {
  const named = process.env["TSDASK_TEST_PYTHONS"]?.split(":").filter((path) => path !== "");
  return (named ?? [join(import.meta.dirname, "../../.venv/bin/python"), "/usr/bin/python3"]).filter(hasDask);
}

function hasDask(python: string): boolean {
  try {
    execFileSync(python, ["-c", "import distributed"], { stdio: "ignore" });
    return true;
  } catch {
    // Not there, or without Dask: nothing can be tested on it.
    return false;
  }
}

/** Events as they come, kept so that a test can ask for one that has come already. */
export interface Events {
  readonly all: Event[];
  /** Waits for the first event of this name; throws when it does not come, or when the end comes first. */
  readonly next: (name: string, deadline?: number) => Promise<Event>;
}

/** A rank's two connections to the fork server, and so its child. */
export interface Rank extends Events {
  readonly id: string;
  readonly control: Socket;
  readonly output: () => string;
  readonly say: (order: object) => void;
  readonly pid: () => Promise<number>;
}

/** What a rank asks for; `env` is laid over this process's environment. */
export interface Request {
  readonly kind: "scheduler" | "worker";
  readonly params?: object;
  readonly env?: Readonly<Record<string, string>>;
  readonly more?: object;
}

/** A running fork server, its leader being the test. */
export interface Host extends Events, AsyncDisposable {
  readonly python: string;
  readonly folder: string;
  readonly socket: string;
  readonly process: ChildProcess;
  readonly stderr: () => string;
  readonly ask: (request: Request) => Rank;
  readonly scheduler: (more?: {
    readonly kwargs?: object;
    readonly params?: object;
  }) => Promise<Rank & { readonly address: string }>;
  readonly worker: (
    scheduler: string,
    more?: { readonly kwargs?: object; readonly params?: object; readonly request?: Partial<Request> },
  ) => Rank;
}

/** Options of a fork server in a test. */
export interface HostOptions {
  readonly config?: object;
  readonly env?: Readonly<Record<string, string>>;
  readonly prefix?: readonly string[];
}

/** Starts a fork server in a new folder; disposing of it ends it and checks that its folder is gone. */
export async function startHost(
  python: string,
  { config = {}, env = {}, prefix = [] }: HostOptions = {},
): Promise<Host> {
  const folder = await mkdtemp(join(tmpdir(), "tsdask-python-"));
  const socket = join(folder, "fork.sock");
  const command = [...prefix, python, join(PROGRAMS, "forkserver.py")];
  const server = spawn(command[0] ?? python, command.slice(1), {
    env: { ...process.env, ...env },
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  let stderr = "";
  server.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const events = collect((push, end) => {
    createInterface(server.stdout)
      .on("line", (line) => push(JSON.parse(line) as Event))
      .on("close", end);
  });
  server.stdin.write(`${JSON.stringify({ op: "start", socket, host_dir: folder, warm: [], ...config })}\n`);
  const ranks: Rank[] = [];
  const ask = (request: Request): Rank => {
    // A scheduler, and a worker without a folder of its own, make one in TMPDIR.
    const rank = connectRank(socket, `r${ranks.length}`, request, { TMPDIR: folder, ...env });
    ranks.push(rank);
    return rank;
  };
  const host: Host = {
    ...events,
    python,
    folder,
    socket,
    process: server,
    stderr: () => stderr,
    ask,
    scheduler: async ({ kwargs = {}, params = {} } = {}) => {
      const rank = ask({
        kind: "scheduler",
        params: {
          kwargs: { host: "127.0.0.1", port: 0, dashboard_address: ":0", ...kwargs },
          log_level: "warning",
          ...params,
        },
      });
      const { address } = await rank.next("ready");
      return { ...rank, address: String(address) };
    },
    worker: (scheduler, { kwargs = {}, params = {}, request = {} } = {}) =>
      ask({
        kind: "worker",
        params: {
          scheduler,
          kwargs: {
            host: "127.0.0.1",
            dashboard_address: ":0",
            nthreads: 1,
            memory_limit: 2 ** 28,
            local_directory: join(folder, "w"),
            ...kwargs,
          },
          log_level: "warning",
          ...params,
        },
        ...request,
      }),
    [Symbol.asyncDispose]: async () => {
      server.stdin.end();
      await until(() => server.exitCode !== null || server.signalCode !== null, "the fork server to end");
      for (const rank of ranks) rank.control.destroy();
      // What a killed process leaves may end, and write, a moment later.
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  await host.next("listening");
  return host;
}

/** Starts a fork server and waits until it is ready. */
export async function readyHost(python: string, options: HostOptions = {}): Promise<Host> {
  const host = await startHost(python, options);
  await host.next("ready");
  return host;
}

function connectRank(
  path: string,
  id: string,
  { kind, params = {}, env = {}, more = {} }: Request,
  base: Readonly<Record<string, string>>,
): Rank {
  let output = "";
  const stdio = connect(path)
    .setEncoding("utf8")
    .on("data", (text: string) => (output += text))
    .on("error", () => stdio.destroy());
  stdio.write(`${JSON.stringify({ op: "stdio", id })}\n`);
  const control = connect(path).setEncoding("utf8");
  const events = collect((push, end) => {
    control.on("error", end);
    createInterface(control)
      .on("line", (line) => push(JSON.parse(line) as Event))
      .on("error", end)
      .on("close", end);
  });
  const request = {
    op: "fork",
    id,
    kind,
    env: { ...process.env, ...base, ...env },
    cwd: "/",
    cpu_count: 2,
    memory_limit: 2 ** 31,
    sys_path: [],
    params,
    ...more,
  };
  control.write(`${JSON.stringify(request)}\n`);
  return {
    ...events,
    id,
    control,
    output: () => output,
    say: (order) => void control.write(`${JSON.stringify(order)}\n`),
    pid: async () => Number((await events.next("forked"))["pid"]),
  };
}

function collect(start: (push: (event: Event) => void, end: () => void) => void): Events {
  const all: Event[] = [];
  let ended = false;
  start(
    (event) => void all.push(event),
    () => (ended = true),
  );
  const next = async (name: string, deadline = EVENT_DEADLINE): Promise<Event> => {
    const find = (): Event | undefined => all.find(({ event }) => event === name);
    await until(
      () => find() !== undefined || ended,
      `the event ${name}; so far: ${JSON.stringify(all).slice(0, 2000)}`,
      deadline,
    );
    const found = find();
    if (found === undefined)
      throw new Error(`the end came before the event ${name}: ${JSON.stringify(all).slice(0, 2000)}`);
    return found;
  };
  return { all, next };
}

/** Waits until something is so; throws after the deadline (ms). */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  deadline = EVENT_DEADLINE,
): Promise<void> {
  const end = performance.now() + deadline;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`waited ${deadline} ms in vain for ${what}`);
    await sleep(POLL);
  }
}

/** Whether a process lives; a zombie does not. */
export function alive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** Whether a path is there. */
export function exists(path: string): boolean {
  return existsSync(path);
}

/** A new private folder, which goes with `using`. */
export function scratch(prefix: string): Disposable & { readonly path: string } {
  const path = realpathSync(mkdtempSync(join(tmpdir(), prefix)));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/** A file's permission bits. */
export function mode(path: string): number {
  return statSync(path).mode & 0o777;
}

/**
 * Runs Python code as a script's process would, connected to a scheduler; returns what it prints. Throws when it fails.
 */
export async function client(
  python: string,
  address: string,
  code: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const source = `from distributed import Client\nimport dask\nclient = Client(timeout=30)\n${code}`;
  const { stdout } = await promisify(execFile)(python, ["-c", source], {
    env: { ...process.env, DASK_SCHEDULER_ADDRESS: address, ...env },
    timeout: 60_000,
  });
  return stdout.trim();
}
