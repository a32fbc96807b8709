import { spawn } from "node:child_process";
import type { Socket } from "node:net";
import { lineChannel } from "../protocol/channel.ts";

/** What the fork server says of the Python that it runs, once its imports are done. */
export interface ForkServerReady {
  readonly python: string;
  readonly executable: string;
  readonly dask: string;
  readonly distributed: string;
  readonly seconds: number;
  readonly threads: number;
  readonly packages: Readonly<Record<string, string>>;
}

export interface ForkServerFailure {
  readonly reason: string;
  readonly message: string;
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

type FromServer =
  | { readonly event: "listening" }
  | ({ readonly event: "ready" } & ForkServerReady)
  | ({ readonly event: "failed" } & ForkServerFailure);

const accept = (value: unknown): FromServer | undefined =>
  typeof value === "object" && value !== null && typeof (value as { event?: unknown }).event === "string"
    ? (value as FromServer)
    : undefined;

/**
 * Starts the host's fork server: one Python that imports Dask once. It is a session of its own, so that it outlives a rank
 * that is killed, ends what it started, and removes the host's folder.
 */
export function startForkServer({
  python,
  pythonRoot,
  socket,
  folder,
  warm,
  imports,
  env,
  cwd,
  stderr,
}: {
  readonly python: string;
  readonly pythonRoot: string;
  readonly socket: string;
  readonly folder: string;
  readonly warm: readonly string[];
  /** False where nothing will be forked (`--spawn exec`): the server only watches and cleans up. */
  readonly imports: boolean;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly stderr: (stream: NodeJS.ReadableStream) => void;
}): ForkServer {
  const child = spawn(python, [`${pythonRoot}/tsdask_mpi/forkserver.py`], {
    cwd,
    env: { ...preSpawn, ...env },
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  let onReady: ((ready: ForkServerReady) => void) | undefined;
  let onFailed: ((failure: ForkServerFailure) => void) | undefined;
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
  stderr(child.stderr);
  child.stderr.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString("utf8")).slice(-2000);
  });
  const send = (message: Readonly<Record<string, unknown>>): void => {
    if (child.stdin.writable) child.stdin.write(`${JSON.stringify(message)}\n`);
  };
  child.stdin.on("error", () => child.stdin.destroy());
  send({ socket, host_dir: folder, warm, imports });
  lineChannel<never, FromServer>(child.stdout as unknown as Socket, accept).onMessage((message) => {
    isListening();
    if (message.event === "ready") {
      ready = message;
      onReady?.(message);
    } else if (message.event === "failed") {
      // A module that could not be warmed is left out; the server goes on.
      if (message.reason === "warm" || message.reason === "threads") onFailed?.(message);
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
    // `failed` may still be on its way through the pipe.
    setTimeout(
      () =>
        fail({
          reason: "ended",
          message: `${signal ?? `exit code ${code}`}${words === "" ? "" : `: ${words.trim().split("\n").slice(-3).join(" | ")}`}`,
        }),
      50,
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
