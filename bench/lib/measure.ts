import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "../../test/integration/bed/command.ts";
import { marked, signalAll } from "../../test/integration/bed/processes.ts";
import { start, tell, type Running } from "../../test/integration/bed/run.ts";
import type { Peer } from "./peers.ts";
import type { BenchPython } from "./python.ts";
import { usage } from "./tree.ts";
import { shutDown, watchWorkers } from "./watch.ts";

/** What one start of a cluster without a script gave; seconds from the launcher's start, bytes. */
export interface ClusterRun {
  readonly scheduler: number;
  readonly workers: number;
  readonly processes: number;
  readonly pss: number;
  readonly cpu: number;
  /** From `terminate` (what `Client.shutdown()` sends) to the launcher's exit. */
  readonly teardown: number;
  readonly exitCode: number | null;
  /** Lines on stderr that begin a Python traceback, over the whole run. */
  readonly tracebacks: number;
}

/** What one start with a script gave; seconds from the launcher's start. */
export interface ScriptRun {
  readonly connected: number;
  readonly workers: number;
  /** From the script's last line to the launcher's exit. */
  readonly exit: number;
  readonly exitCode: number | null;
}

/** Time (ms) between the last worker and the look at memory: what is loaded late, such as the dashboard, is in it. */
const settle = 2_000;
const deadline = 120;
const marker = "BENCH_ID";

/**
 * Starts a peer's cluster, waits for all its workers, weighs it, and shuts it down. Throws with what was said when that
 * fails.
 */
export async function clusterRun(peer: Peer, ranks: number, python: BenchPython): Promise<ClusterRun> {
  return inPlace(async ({ folder, env, id, schedulerFile }) => {
    const began = performance.now();
    const clock = (): number => (performance.now() - began) / 1000;
    const running = peer.cluster({ ranks, python, schedulerFile }).map((one) => start(one, { folder, env, deadline }));
    try {
      const ended = new Set<Running>();
      for (const one of running) void one.finished.then(() => ended.add(one));
      const { scheduler, schedulerAt, workersAt } = await watchWorkers({
        schedulerFile,
        workers: ranks - 1,
        clock,
        alive: () => ended.size === 0,
        deadline,
      });
      await sleep(settle);
      const { processes, pss, cpu } = usage(marker, id);
      const endedAt = clock();
      const shut = shutDown(scheduler);
      const finished = await Promise.all(running.map((one) => one.finished));
      const teardown = clock() - endedAt;
      await shut;
      const tracebacks = finished.reduce(
        (sum, { stderr, stdout }) => sum + countTracebacks(stderr) + countTracebacks(stdout),
        0,
      );
      return {
        scheduler: schedulerAt,
        workers: workersAt,
        processes,
        pss,
        cpu,
        teardown,
        exitCode: finished[0]?.code ?? null,
        tracebacks,
      };
    } catch (error) {
      throw new Error(`${peer.name}, ${ranks} ranks: ${String(error)}\n${running.map(said).join("\n").slice(-4000)}`, {
        cause: error,
      });
    }
  });
}

/** Starts a peer with bench/script.py. Throws with what was said when that fails. */
export async function scriptRun(
  peer: Peer,
  makeCommand: NonNullable<Peer["script"]>,
  ranks: number,
  python: BenchPython,
): Promise<ScriptRun> {
  return inPlace(async ({ folder, env, schedulerFile }) => {
    const makes: Command = makeCommand({ ranks, python, schedulerFile });
    const began = Date.now() / 1000;
    const running = start(makes, { folder, env, deadline });
    // The exit is what counts, not the pipes' end.
    const finished = await running.finished;
    const exitAt = began + finished.seconds;
    const at = (what: string): number => {
      const found = new RegExp(`^bench ${what} (\\d+\\.\\d+)$`, "m").exec(finished.stdout)?.[1];
      if (found === undefined)
        throw new Error(
          `${peer.name}, ${ranks} ranks: the script did not say "${what}"\n${tell(finished).slice(-4000)}`,
        );
      return Number(found);
    };
    return {
      connected: at("connected") - began,
      workers: at("workers") - began,
      exit: exitAt - at("over"),
      exitCode: finished.code,
    };
  });
}

/** Gives `act` a fresh folder and mark; afterwards nothing of it runs any more. */
async function inPlace<T>(
  act: (place: {
    folder: string;
    id: string;
    schedulerFile: string;
    env: Readonly<Record<string, string>>;
  }) => Promise<T>,
): Promise<T> {
  const base = mkdtempSync(join(tmpdir(), "bench-"));
  const id = randomBytes(8).toString("hex");
  const folder = join(base, "cwd");
  const tmp = join(base, "tmp");
  for (const path of [folder, tmp]) mkdirSync(path, { mode: 0o700 });
  try {
    return await act({ folder, id, schedulerFile: join(folder, "scheduler.json"), env: { TMPDIR: tmp, [marker]: id } });
  } finally {
    for (let round = 0; round < 50 && marked(marker, id).length > 0; round += 1) {
      if (round === 30)
        signalAll(
          marked(marker, id).map(({ pid }) => pid),
          "SIGKILL",
        );
      await sleep(100);
    }
    rmSync(base, { recursive: true, force: true, maxRetries: 5 });
  }
}

const said = (running: Running): string => tell({ stdout: running.stdout(), stderr: running.stderr() });
const countTracebacks = (text: string): number => text.split("Traceback (most recent call last)").length - 1;
