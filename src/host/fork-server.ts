import { spawn } from "node:child_process";
import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { ownSession } from "../rank/own-session.ts";
import { lineChannel } from "../protocol/channel.ts";
import { acceptServerEvent, forkServerVersion, type ServerEvent, type ServerFailure } from "../protocol/fork-server.ts";

/** What the fork server says of the Python that it runs, once its imports are done. */
export type ForkServerReady = Extract<ServerEvent, { event: "ready" }>;

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
  /** Names paths that the server removes if this process is gone before it could: the launch's folder, its `scheduler.json`. */
  readonly own: (what: Readonly<Record<string, unknown>>) => void;
  /** Says when the process of a rank that is a shell has ended. */
  readonly watchRank: (pid: number) => void;
  readonly onRankGone: (reader: (pid: number) => void) => void;
  /** Ends the server and what it still runs within `grace` seconds; it removes the host's folder. Resolves when it is gone. */
  readonly end: (grace: number) => Promise<void>;
  readonly kill: () => void;
}

/**
 * The environment that a process must have from its start to be what Dask's Nanny would have made of it:
 * `distributed.nanny.pre-spawn-environ` of Dask's `distributed.yaml`. The server corrects them to the user's configuration.
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

/**
 * Starts the host's fork server: one Python that imports Dask once. It is a session or process group of its own, so that it outlives a rank
 * that is killed, ends what it started, and removes the host's folder.
 */
export function startForkServer({
  python,
  pythonRoot,
  socket,
  folder,
  pipes,
  warm,
  imports,
  scriptFolder,
  modules = [],
  env,
  cwd,
  stderr,
  showAtOnce = false,
}: {
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
}): ForkServer {
  const child = spawn(python, [`${pythonRoot}/tsdask_mpi/forkserver.py`], {
    cwd,
    env: { ...preSpawn, ...env },
    stdio: ["pipe", "pipe", "pipe"],
    detached: ownSession(env),
  });
  let onReady: ((ready: ForkServerReady) => void) | undefined;
  let onFailed: ((failure: ForkServerFailure) => void) | undefined;
  let onRankGone: ((pid: number) => void) | undefined;
  let ready: ForkServerReady | undefined;
  let failed: ForkServerFailure | undefined;
  let ending = false;
  let words = "";
  const { promise: gone, resolve: isGone } = Promise.withResolvers<void>();
  const { promise: listening, resolve: isListening } = Promise.withResolvers<void>();

  const fail = (failure: ForkServerFailure): void => {
    if (failed !== undefined || ending) return;
    failed = failure;
    onFailed?.(failure);
  };
  // What Python writes as it fails to start (a list of its paths, a traceback) is told in one line of ours instead.
  const shown = new PassThrough();
  let showing = false;
  const show = (): void => {
    if (showing || failed !== undefined) return;
    showing = true;
    stderr(shown);
    shown.write(words);
    child.stderr.pipe(shown);
  };
  child.stderr.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString("utf8")).slice(-wordsKept);
  });
  if (showAtOnce) show();
  else setTimeout(show, holdBack).unref();
  const send = (message: Readonly<Record<string, unknown>>): void => {
    if (child.stdin.writable) child.stdin.write(`${JSON.stringify(message)}\n`);
  };
  child.stdin.on("error", () => child.stdin.destroy());
  send({
    socket,
    host_dir: folder,
    pipes,
    warm,
    imports,
    modules,
    ...(scriptFolder === undefined ? {} : { script_folder: scriptFolder }),
  });
  lineChannel<never, ServerEvent>(child.stdout as unknown as Socket, acceptServerEvent).onMessage((message) => {
    isListening();
    if (message.event === "listening" && message.version !== forkServerVersion)
      fail({
        reason: "version",
        message: `its part of tsdask-mpi speaks version ${message.version} of our protocol, and this one ${forkServerVersion}`,
      });
    else if (message.event === "rank-gone") onRankGone?.(message.pid);
    else if (message.event === "ready") {
      ready = message;
      show();
      onReady?.(message);
    } else if (message.event === "failed") {
      // A module that could not be warmed, or what this release of Dask lacks, is left out; the server goes on.
      if (goesOn.has(message.reason)) onFailed?.(message);
      else fail(message);
    }
  });
  child.on("error", (error) => {
    fail({ reason: "spawn", message: error.message });
    isListening();
    isGone();
  });
  child.on("exit", (code, signal) => {
    isListening();
    isGone();
    // `failed` may still be on its way through the pipe. Once it has served, the loss of its children says more, and comes first.
    setTimeout(
      () =>
        fail({
          reason: "ended",
          message: `${signal ?? `exit code ${code}`}${words === "" ? "" : `: ${telling(words)}`}`,
          words,
        }),
      ready === undefined ? 50 : 500,
    ).unref();
  });
  return {
    pid: child.pid,
    python,
    listening,
    onReady: (reader) => {
      onReady = reader;
      if (ready) reader(ready);
    },
    onFailed: (reader) => {
      onFailed = reader;
      if (failed) reader(failed);
    },
    own: (what) => send({ op: "own", ...what }),
    watchRank: (pid) => send({ op: "rank", pid }),
    onRankGone: (reader) => {
      onRankGone = reader;
    },
    end: async (grace) => {
      ending = true;
      send({ op: "end", grace });
      child.stdin.end();
      await gone;
    },
    kill: () => {
      ending = true;
      child.kill("SIGKILL");
    },
  };
}

/** The lines of Python's last words that say most: from the first that is an error, else the last three. */
function telling(words: string): string {
  const lines = words.split("\n").filter((line) => line.trim() !== "");
  const error = lines.findLastIndex((line) =>
    /^(Fatal Python error|\w*(Error|Exception)|.*error while loading)\b/.test(line),
  );
  return (error === -1 ? lines.slice(-3) : lines.slice(error, error + 1)).map((line) => line.trim()).join(" | ");
}
