import { describe, expect, test } from "vitest";
import { procStat } from "../../../src/launcher/proc-stat.ts";
import { covers } from "../../batch/covers.ts";
import { computing, until } from "../batch-jobs.ts";
import { isAlive, type Process, signalAll } from "../bed/processes.ts";
import { tell } from "../bed/run.ts";
import { endsItself, endsOrIsSwept, faultLaunchers, killsAll, launch, letGo, message, type Launched } from "./fault.ts";

// PBS's daemon on a node sums up the processor time of the sessions of a job's tasks, and kills by session. It does not
// run here: these tests do as it does.

const inPbs = { PBS_JOBID: "7.pbs01", PBS_O_HOST: "login1", TSDASK_WALLTIME: "1h" };
const ticks = 100; // per second, USER_HZ of Linux (time(7))

/**
 * Session and processor time (s) of a process, that of children it has waited for included: proc(5), fields 6 and 14 to
 * 17 of stat.
 */
function statOf(pid: number): { readonly session: number; readonly seconds: number } | undefined {
  const stat = procStat(pid);
  return stat && { session: stat.session, seconds: stat.ticks / ticks };
}

/** The sessions that the ranks are in. */
const sessionsOf = ({ cast }: Launched): ReadonlySet<number | undefined> =>
  new Set([...cast().ranks.values()].map((pid) => statOf(pid)?.session));

/** The processes of these. */
function job(launched: Launched): readonly Process[] {
  const sessions = sessionsOf(launched);
  return launched.clean.processes().filter(({ pid }) => sessions.has(statOf(pid)?.session));
}

const kill = (processes: readonly Process[], signal: NodeJS.Signals): void =>
  signalAll(
    processes.map(({ pid }) => pid),
    signal,
  );

describe.each(faultLaunchers.filter((one) => !killsAll(one)))("in a PBS job under $name", (launcher) => {
  test.each([[[]], [["--spawn", "exec"]]])("the job's session has what the workers used (%j)", async (options) => {
    await using one = await launch(launcher, { ...endsItself, script: computing, env: inPbs, options });
    const used = Number((await one.running.says(/^used (.+)\n/m, 90))[1]);
    const counted = job(one).reduce((sum, { pid }) => sum + (statOf(pid)?.seconds ?? 0), 0);
    expect(used).toBeGreaterThan(2);
    expect(counted).toBeGreaterThan(0.95 * used);
    letGo(one);
    const finished = await one.ends();
    expect(finished.code, tell(finished)).toBe(7);
    covers("pbs", ["accounting"]);
  });

  test("SIGTERM to all of the session, as qdel sends it first: the launch ends in order", async () => {
    await using one = await launch(launcher, { env: inPbs });
    await one.running.says(/^running$/m);
    kill(job(one), "SIGTERM");
    const finished = await one.ends();
    expect(finished.stderr, tell(finished)).toMatch(/stopped by SIGTERM/);
    expect(finished.stderr).not.toMatch(/TSD-05|TSD-06/);
  });

  test("SIGKILL to all of the session leaves no process, and the next launch removes the files", async () => {
    await using one = await launch(launcher, { env: inPbs });
    await one.running.says(/^running$/m);
    kill(job(one), "SIGKILL");
    await endsOrIsSwept(one, launcher);
  });

  test.each(["rank 0", "worker's rank", "client's rank", "launcher"] as const)(
    "%s killed: nothing stays",
    async (part) => {
      await using one = await launch(launcher, { env: inPbs });
      await one.running.says(/^running$/m);
      const everybody = one.clean.processes().map(({ pid }) => pid);
      await one.kill(part);
      if (part === "worker's rank" && launcher.name === "local") letGo(one);
      await one.ends();
      // mpirun ends without waiting for a host's fork server, which cleans up.
      await until("all to be gone", 30, () => !everybody.some(isAlive));
    },
  );

  test("a worker killed: another takes its place, in the session too", async () => {
    await using one = await launch(launcher, { ...endsItself, env: inPbs });
    await one.running.says(/^running$/m);
    await one.kill("worker");
    await one.running.says(/TSD-055/);
    // Before, one that removes the dead one's files may be taken for the other.
    await one.running.says(/^workers 2$[\s\S]*^workers 2$/m);
    await until("two workers", 30, () => one.cast().workers.length === 2);
    const inside = sessionsOf(one);
    expect(one.cast().workers.filter((pid) => !inside.has(statOf(pid)?.session))).toEqual([]);
    letGo(one);
    const finished = await one.ends();
    expect(finished.stderr, tell(finished)).toMatch(message("TSD-055"));
  });
});
