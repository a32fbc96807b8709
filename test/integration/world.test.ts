import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { World } from "../../src/launcher/world.ts";
import { projectRoot, which } from "./bed/command.ts";
import { availableLaunchers, type Launcher } from "./bed/launchers.ts";
import { nothingLeft } from "./bed/left.ts";
import { run } from "./bed/run.ts";

interface Report {
  readonly world: World;
  readonly key: string;
  readonly nested?: { readonly status: number | null; readonly stdout: string; readonly stderr: string };
}

const who = [process.execPath, join(projectRoot, "test/launcher/fixtures/who.ts")];
const everywhere = availableLaunchers().filter(({ name }) => name !== "local");

const launch = async (launcher: Launcher, n: number, program: readonly string[]): Promise<Report[]> => {
  await launcher.ready();
  await using clean = nothingLeft();
  const { stdout, stderr, code } = await run(launcher.command(n, program), {
    folder: clean.folder,
    env: clean.env,
    deadline: 60,
  });
  if (code !== 0) throw new Error(stderr);
  const reports = stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Report);
  return reports.sort((a, b) => a.world.rank - b.world.rank);
};

describe.each(everywhere)("under $name", (launcher) => {
  test("every rank knows who it is, and two launches tell each other apart", { timeout: 90_000 }, async () => {
    const first = await launch(launcher, 3, who);
    expect(first.map(({ world }) => [world.rank, world.size, world.localSize])).toEqual(
      [0, 1, 2].map((rank) => [rank, 3, 3]),
    );
    // Open MPI 5 numbers the ranks of a host in another order than the ranks of the launch
    expect(first.map(({ world }) => world.localRank).sort()).toEqual([0, 1, 2]);
    expect(new Set(first.map(({ key }) => key)).size).toBe(1);
    expect(new Set(first.map(({ world }) => world.launchId)).size).toBe(1);
    const second = await launch(launcher, 3, who);
    expect(second[0]?.key).not.toBe(first[0]?.key);
  });

  test("ranks behind wrapper scripts find the same name for their launch", { timeout: 90_000 }, async () => {
    const reports = await launch(launcher, 2, ["sh", "-c", '"$@"; exit $?', "wrapper", ...who]);
    expect(new Set(reports.map(({ key }) => key)).size).toBe(1);
  });
});

/** Launches that a script could start itself; inside a Slurm step they would wait for the CPUs that the step holds. */
const inner = [
  ["Open MPI", "mpirun.openmpi", ["--oversubscribe"]],
  ["MPICH", "mpirun.mpich", []],
] as const;

describe.each(availableLaunchers("openmpi4", "openmpi5", "mpich4", "mpich5", "intelmpi"))("under $name", (launcher) => {
  test.each(inner.filter(([, file]) => which(file) !== undefined))(
    "a script can start a launch of its own with %s",
    { timeout: 60_000 },
    async (_, file, options) => {
      // one Open MPI's folder (OPAL_PREFIX) is not for another
      const program = launcher.name === "openmpi5" && file === "mpirun.openmpi" ? ["env", "-u", "OPAL_PREFIX"] : [];
      const [report] = await launch(launcher, 2, [...who, ...program, file, ...options, "-np", "2", ...who]);
      expect(report?.nested, report?.nested?.stderr).toMatchObject({ status: 0 });
      const sizes = report?.nested?.stdout
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as Report).world.size);
      expect(sizes).toEqual([2, 2]);
    },
  );
});
