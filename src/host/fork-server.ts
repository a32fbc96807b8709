import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { deadlines } from "../deadlines.ts";
import { ownSession } from "../rank/own-session.ts";
import { lineChannel } from "../protocol/channel.ts";
import {
  acceptServerEvent,
  forkServerVersion,
  type ServerCommand,
  type ServerEvent,
  type ServerFailure,
} from "../protocol/fork-server.ts";
import { callAfter } from "../timers.ts";

/** What the fork server says of the Python that it runs, once its imports are done. */
export type ForkServerReady = Extract<ServerEvent, { event: "ready" }>;

/**
 * What the server is to remove: a file only as long as it names this launch, a folder only where it is still the one of
 * that device and inode.
 */
export type Owned = Omit<Extract<ServerCommand, { op: "own" }>, "op">;

export interface ForkServerFailure {
  /** Its word, or ours where it could not be started, ended without one, or speaks another version of the protocol. */
  readonly reason: ServerFailure | "spawn" | "ended" | "version";
  readonly message: string;
  /** All that Python wrote last, where it ended without a word to us. */
  readonly words?: string;
}

export interface ForkServer {
  readonly pid: number | undefined;
  readonly python: string;
  /** Resolves when the server listens on its socket, before its imports; also when it never will. */
  readonly listening: Promise<void>;
  readonly onReady: (reader: (ready: ForkServerReady) => void) => void;
  /** Called when the imports fail, or when the server ends before it is told to. */
  readonly onFailed: (reader: (failure: ForkServerFailure) => void) => void;
  /**
   * Names paths that the server removes if this process is gone before it could: the launch's folder, its
   * `scheduler.json`.
   */
  readonly own: (what: Owned) => void;
  /** Leaves these folders to this process after all: they stay when the server ends before it does. */
  readonly disown: (folders: readonly string[]) => void;
  /** Says when the process of a rank that is a shell has ended. */
  readonly watchRank: (pid: number) => void;
  readonly onRankGone: (reader: (pid: number) => void) => void;
  /**
   * Ends the server and what it still runs within `grace` seconds; it removes the host's folder. Resolves when it is
   * gone, or was killed because it hangs, in imports from a file system that stalls for example.
   */
  readonly end: (grace: number) => Promise<void>;
}

/**
 * The environment that a process must have from its start to be what Dask's Nanny would have made of it:
 * `distributed.nanny.pre-spawn-environ` of Dask's `distributed.yaml`. The server corrects them to the user's
 * configuration.
 */
const preSpawn: Readonly<Record<string, string>> = {
  MALLOC_TRIM_THRESHOLD_: "65536",
  OMP_NUM_THREADS: "1",
  MKL_NUM_THREADS: "1",
  OPENBLAS_NUM_THREADS: "1",
};

/** Characters of Python's last words that are kept, and how long (ms) they are held back while it may still fail. */
const wordsKept = 8000;
const holdBack = 10_000;

/** The fork server's words for what it goes on without. */
const goesOn: ReadonlySet<ServerFailure> = new Set(["warm", "threads", "lacking"]);

export interface ForkServerStart {
  readonly python: string;
  readonly pythonRoot: string;
  readonly socket: string;
  readonly folder: string;
  /** Named pipes that the server makes before it listens. */
  readonly pipes: readonly string[];
  readonly warm: readonly string[];
  /** False where nothing will be forked (`--spawn exec`): the server only watches and cleans up. */
  readonly imports: boolean;
  readonly scriptFolder?: string | undefined;
  /** Modules that will be needed: those that are not there are told as soon as the server is ready. */
  readonly modules?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly stderr: (stream: NodeJS.ReadableStream) => void;
  /** True: its output is shown from its first word, not only once its imports are done. */
  readonly showAtOnce?: boolean;
}

/**
 * Starts the host's fork server: one Python that imports Dask once. It is a session or process group of its own, so
 * that it outlives a rank that is killed, ends what it started, and removes the host's folder.
 */
export function startForkServer(options: ForkServerStart): ForkServer {
  return new ForkServerProcess(options);
}

class ForkServerProcess implements ForkServer {
  readonly python: string;
  readonly pid: number | undefined;
  readonly listening: Promise<void>;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #gone: Promise<void>;
  readonly #words: HeldWords;
  #onReady: ((ready: ForkServerReady) => void) | undefined;
  #onFailed: ((failure: ForkServerFailure) => void) | undefined;
  #onRankGone: ((pid: number) => void) | undefined;
  #ready: ForkServerReady | undefined;
  #failed: ForkServerFailure | undefined;
  #ending = false;

  constructor(options: ForkServerStart) {
    const { python, pythonRoot, cwd, env } = options;
    const child = spawn(python, [`${pythonRoot}/tsdask_mpi/forkserver.py`], {
      cwd,
      env: { ...preSpawn, ...env },
      stdio: ["pipe", "pipe", "pipe"],
      detached: ownSession(env),
    });
    const { promise: gone, resolve: isGone } = Promise.withResolvers<void>();
    const { promise: listening, resolve: isListening } = Promise.withResolvers<void>();
    this.#child = child;
    this.#gone = gone;
    this.python = python;
    this.pid = child.pid;
    this.listening = listening;
    this.#words = holdWords(child.stderr, options.stderr, () => this.#failed !== undefined);
    if (options.showAtOnce === true) this.#words.show();
    child.stdin.on("error", () => child.stdin.destroy());
    this.#send(startCommand(options));
    // A script in Python's place, or a module as it is imported, may say something of its own first.
    const others = (line: string): void => this.#words.add(`${line}\n`);
    const channel = lineChannel<never, ServerEvent>(child.stdout as unknown as Socket, acceptServerEvent, others);
    channel.onMessage((message) => {
      isListening();
      this.#take(message);
    });
    child.on("error", (error) => {
      this.#fail({ reason: "spawn", message: error.message });
      isListening();
      isGone();
    });
    child.on("exit", (code, signal) => {
      isListening();
      isGone();
      // `failed` may still be on its way through the pipe. Once it has served, the loss of its children says more, and
      // comes first.
      const patience = this.#ready === undefined ? 50 : 500;
      setTimeout(() => this.#ended(`${signal ?? `exit code ${code}`}`), patience).unref();
    });
  }

  onReady(reader: (ready: ForkServerReady) => void): void {
    this.#onReady = reader;
    if (this.#ready) reader(this.#ready);
  }

  onFailed(reader: (failure: ForkServerFailure) => void): void {
    this.#onFailed = reader;
    if (this.#failed) reader(this.#failed);
  }

  onRankGone(reader: (pid: number) => void): void {
    this.#onRankGone = reader;
  }

  own(what: Owned): void {
    this.#send({ op: "own", ...what });
  }

  disown(folders: readonly string[]): void {
    this.#send({ op: "disown", paths: folders });
  }

  watchRank(pid: number): void {
    this.#send({ op: "rank", pid });
  }

  async end(grace: number): Promise<void> {
    this.#ending = true;
    // Its standard input stays open: that it is closed tells the server that this process is gone, and nobody waits.
    this.#send({ op: "end", grace });
    const hangs = Promise.withResolvers<void>();
    const wait = grace * 1000 + deadlines.forkServerEnd;
    const cancel = callAfter(wait, () => {
      this.#child.kill("SIGKILL");
      hangs.resolve();
    });
    await Promise.race([this.#gone, hangs.promise]);
    cancel();
  }

  #send(command: ServerCommand): void {
    if (this.#child.stdin.writable) this.#child.stdin.write(`${JSON.stringify(command)}\n`);
  }

  #take(message: ServerEvent): void {
    if (message.event === "listening" && message.version !== forkServerVersion)
      this.#fail({
        reason: "version",
        message: `its part of tsdask-mpi speaks version ${message.version} of our protocol, and this one ${forkServerVersion}`,
      });
    else if (message.event === "rank-gone") this.#onRankGone?.(message.pid);
    else if (message.event === "ready") {
      this.#ready = message;
      this.#words.show();
      this.#onReady?.(message);
    } else if (message.event === "failed") {
      // A module that could not be warmed, or what this release of Dask lacks, is left out; the server goes on.
      if (goesOn.has(message.reason)) this.#onFailed?.(message);
      else this.#fail(message);
    }
  }

  #ended(how: string): void {
    const words = this.#words.last();
    this.#fail({ reason: "ended", message: words === "" ? how : `${how}: ${telling(words)}`, words });
  }

  #fail(failure: ForkServerFailure): void {
    if (this.#failed !== undefined || this.#ending) return;
    this.#failed = failure;
    this.#onFailed?.(failure);
  }
}

/** The first line that the server reads: what it is to be. */
function startCommand(options: ForkServerStart): ServerCommand {
  const { socket, folder, pipes, warm, imports, modules = [], scriptFolder } = options;
  return {
    op: "start",
    socket,
    host_dir: folder,
    pipes,
    warm,
    imports,
    modules,
    ...(scriptFolder === undefined ? {} : { script_folder: scriptFolder }),
  };
}

interface HeldWords {
  /** Shows what was held back and all that comes, unless the server has failed. */
  readonly show: () => void;
  /** Takes what it wrote elsewhere than to its stderr. */
  readonly add: (text: string) => void;
  /** The last words of the server's Python. */
  readonly last: () => string;
}

/**
 * Holds back what Python writes: as it fails to start (a list of its paths, a traceback), that is told in one line of
 * ours instead.
 */
function holdWords(
  from: NodeJS.ReadableStream,
  to: (stream: NodeJS.ReadableStream) => void,
  failed: () => boolean,
): HeldWords {
  const shown = new PassThrough();
  let words = "";
  let showing = false;
  const show = (): void => {
    if (showing || failed()) return;
    showing = true;
    to(shown);
    shown.write(words);
    from.pipe(shown);
  };
  const keep = (text: string): void => {
    words = (words + text).slice(-wordsKept);
  };
  const add = (text: string): void => {
    keep(text);
    if (showing && !shown.writableEnded) shown.write(text);
  };
  from.on("data", (chunk: Buffer) => keep(chunk.toString("utf8")));
  setTimeout(show, holdBack).unref();
  return { show, add, last: () => words };
}

/** The lines of Python's last words that say most: from the first that is an error, else the last three. */
function telling(words: string): string {
  const lines = words.split("\n").filter((line) => line.trim() !== "");
  const error = lines.findLastIndex((line) =>
    /^(Fatal Python error|\w*(Error|Exception)|.*error while loading)\b/.test(line),
  );
  return (error === -1 ? lines.slice(-3) : lines.slice(error, error + 1)).map((line) => line.trim()).join(" | ");
}
