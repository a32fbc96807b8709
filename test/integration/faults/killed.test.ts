import { describe, expect, test } from "vitest";
import { tell } from "../bed/run.ts";
import {
  codes,
  endsItself,
  endsOrIsSwept,
  faultLaunchers,
  killsAll,
  launch,
  letGo,
  message,
  survivesAKilledRank,
} from "./fault.ts";

/**
 * Exit codes of launchers that end the launch themselves when a rank was killed: 128 + 9, but Hydra's is the bare
 * signal.
 */
const aborted = (name: string): number => (name === "mpich4" ? 9 : 137);

describe.each(faultLaunchers)("killed outright in mid-run under $name", (launcher) => {
  const { name } = launcher;

  test("the scheduler: the launch ends with 72", async () => {
    await using one = await launch(launcher, endsItself);
    await one.running.says(/^running$/m);
    await one.kill("scheduler");
    const finished = await one.ends();
    expect(finished.code, tell(finished)).toBe(72);
    expect(finished.stderr).toMatch(message("TSD-051"));
  });

  test("a worker: another takes its place and the script goes on", async () => {
    await using one = await launch(launcher, endsItself);
    await one.running.says(/^running$[\s\S]*^workers 2$/m);
    await one.kill("worker");
    await one.running.says(/TSD-055/);
    // It may be there before the script sees that one is missing.
    await one.running.says(/^workers 2$[\s\S]*^workers 2$/m);
    letGo(one);
    const finished = await one.ends();
    expect(finished.code, tell(finished)).toBe(7);
    expect(finished.stderr).toMatch(message("TSD-055"));
    expect(codes(finished)).toEqual(["TSD-055"]);
  });

  test("a worker's rank: the script goes on where the launcher lets it", async () => {
    await using one = await launch(launcher);
    await one.running.says(/^running$/m);
    await one.kill("worker's rank");
    if (survivesAKilledRank(launcher)) {
      await one.running.says(/TSD-061/);
      await one.running.says(/^workers 1$/m);
      letGo(one);
    }
    const finished = await one.ends();
    // srun reports the highest code of all ranks, the killed one's.
    expect(finished.code, tell(finished)).toBe(name === "local" ? 7 : aborted(name));
    if (!survivesAKilledRank(launcher)) return;
    expect(finished.stderr).toMatch(message("TSD-061"));
    expect(finished.stderr).toContain("script.py ended with exit code 7");
  });

  test("rank 0: its scheduler, the script and all workers end with it", async () => {
    await using one = await launch(launcher);
    await one.running.says(/^running$/m);
    await one.kill("rank 0");
    // mpirun may kill rank 1 while that leaves word for the ranks that are shells.
    const finished = survivesAKilledRank(launcher) ? await one.ends() : await endsOrIsSwept(one, launcher);
    expect(finished.code, tell(finished)).toBe(name === "local" ? 72 : aborted(name));
    if (survivesAKilledRank(launcher)) expect(finished.stderr).toMatch(message("TSD-036"));
  });

  test("the rank of the script: the script ends with it", async () => {
    await using one = await launch(launcher);
    await one.running.says(/^running$/m);
    await one.kill("client's rank");
    const finished = await one.ends();
    expect(finished.code, tell(finished)).toBe(aborted(name));
    if (name !== "mpich4") expect(finished.stderr).toMatch(message("TSD-060"));
    if (name === "local") expect(finished.stderr).toContain("rank 1 was ended by SIGKILL");
  });

  test("the script: its end is the launch's", async () => {
    await using one = await launch(launcher, endsItself);
    await one.running.says(/^running$/m);
    await one.kill("script");
    const finished = await one.ends();
    expect(finished.code, tell(finished)).toBe(137);
    expect(finished.stderr).toMatch(message("TSD-065"));
  });

  test("the launcher: nobody outlives it", async () => {
    await using one = await launch(launcher);
    await one.running.says(/^running$/m);
    await one.kill("launcher");
    if (killsAll(launcher)) await endsOrIsSwept(one, launcher);
    else await one.ends();
  });
});

describe.each(faultLaunchers.filter(({ name }) => name === "local"))(
  "killed outright in mid-run under $name",
  (launcher) => {
    test("the fork server: its children die with it, and the launch ends with 72", async () => {
      await using one = await launch(launcher);
      await one.running.says(/^running$/m);
      await one.kill("fork server");
      const finished = await one.ends();
      expect(finished.code, tell(finished)).toBe(72);
      expect(finished.stderr).toMatch(message("TSD-051"));
    });
  },
);
