import { randomBytes } from "node:crypto";
import { type Dirent, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Process, listeners, marked, processes, signalAll, workingFolder } from "./processes.ts";

/** The variable by which everything that a test starts is found again. */
const marker = "BED_ID";

/** What launchers leave in TMPDIR when they are killed: theirs, not ours. */
const ofLaunchers = /(^|\/)(ompi\.|openmpi-sessions|prte\.|pmix|hydra|\.?mpich|vader_segment|slurm)/;

/** What Python keeps beside a module that it imported, unless PYTHONDONTWRITEBYTECODE tells it not to. */
const ofPython = /(^|\/)__pycache__(\/|$)/;

/** A fresh place for one test, and the promise that nothing of it is left. */
export interface Clean {
  /** Working directory of the test; empty at first. */
  readonly folder: string;
  /** Its TMPDIR: short, private, empty at first. */
  readonly tmp: string;
  /** Pass it to `run` and `start`: TMPDIR, and the mark by which left-over processes are found. */
  readonly env: Readonly<Record<string, string>>;
  /** Writes a file of the test's own into its folder and returns its path. */
  write(name: string, content: string): string;
  /** Lets these files stay, besides those that `write` made: patterns for paths relative to the folder. */
  allow(...patterns: readonly RegExp[]): void;
  /** The living processes of the test. */
  processes(): Process[];
  /** What is left at this moment, one line each. */
  left(): string[];
  /**
   * Waits until nothing is left; throws with a list when something still is after `seconds` (60 by default: others may
   * use the machine).
   */
  check(seconds?: number): Promise<void>;
  /** Checks, kills what is left, and removes the folder. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Gives a test its own folder, TMPDIR and mark, and fails at the end of the block when a process, a listening port, a
 * socket or a file that the test did not write is left.
 *
 * Usage: `await using clean = nothingLeft(); await run(command, { folder: clean.folder, env: clean.env })`.
 */
export function nothingLeft({ within = 60 }: { readonly within?: number } = {}): Clean {
  const base = mkdtempSync(join(tmpdir(), "bed-"));
  const id = randomBytes(8).toString("hex");
  const folder = join(base, "cwd");
  const tmp = join(base, "tmp");
  mkdirSync(folder);
  mkdirSync(tmp, { mode: 0o700 });
  const written = new Set<string>();
  const allowed: RegExp[] = [];

  const alive = (): Process[] => {
    const pids = new Set(marked(marker, id).map(({ pid }) => pid));
    return processes().filter(
      ({ pid, arguments: words }) =>
        pid !== process.pid &&
        (pids.has(pid) || words.some((word) => word.includes(base)) || (workingFolder(pid) ?? "").startsWith(base)),
    );
  };
  const left = (): string[] => [
    ...alive().map(describe),
    ...filesIn(folder)
      .filter((path) => !written.has(path) && !ofPython.test(path) && !allowed.some((pattern) => pattern.test(path)))
      .map((path) => `file in the working directory: ${path}`),
    ...filesIn(tmp)
      .filter((path) => !ofLaunchers.test(path) && !allowed.some((pattern) => pattern.test(path)))
      .map((path) => `file in TMPDIR: ${path}`),
  ];
  const check = async (seconds = within): Promise<void> => {
    const until = performance.now() + seconds * 1000;
    for (;;) {
      const found = left();
      if (found.length === 0) return;
      if (performance.now() > until) throw new Error(`Left after ${seconds} s:\n  ${shortened(found).join("\n  ")}`);
      await sleep(50);
    }
  };

  return {
    folder,
    tmp,
    env: { TMPDIR: tmp, XDG_STATE_HOME: join(base, "state"), [marker]: id },
    write(name, content) {
      const path = join(folder, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content, { mode: content.startsWith("#!") ? 0o755 : 0o644 });
      for (let part = name; part !== "."; part = dirname(part)) written.add(part);
      return path;
    },
    allow: (...patterns) => void allowed.push(...patterns),
    processes: alive,
    left,
    check,
    async [Symbol.asyncDispose]() {
      try {
        await check();
      } finally {
        signalAll(
          alive().map(({ pid }) => pid),
          "SIGKILL",
        );
        rmSync(base, { recursive: true, force: true, maxRetries: 5 });
      }
    },
  };
}

function shortened(list: readonly string[], most = 25): readonly string[] {
  return list.length <= most ? list : [...list.slice(0, most), `… and ${list.length - most} more`];
}

function describe({ pid, ppid, arguments: words }: Process): string {
  const ports = listeners([pid]).map(({ address, port }) => `${address}:${port}`);
  return `process ${pid} (parent ${ppid}): ${words.join(" ").slice(0, 200)}${ports.length === 0 ? "" : `, listening on ${ports.join(", ")}`}`;
}

/**
 * All paths under a folder, relative to it; a folder counts as a path of its own. What is removed while it looks is not
 * there: a launch may still be cleaning up.
 */
export function filesIn(folder: string, top = folder): string[] {
  return entriesOf(folder).flatMap((entry) => {
    const path = join(folder, entry.name);
    return [relative(top, path), ...(entry.isDirectory() ? filesIn(path, top) : [])];
  });
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
