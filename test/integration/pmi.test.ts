import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { projectRoot } from "./bed/command.ts";
import { availableLaunchers, type Launcher } from "./bed/launchers.ts";
import { nothingLeft } from "./bed/left.ts";
import { type Finished, run, start } from "./bed/run.ts";

const rank = [process.execPath, join(projectRoot, "test/launcher/fixtures/pmi-rank.ts")];
const reports = ({ stdout }: Finished): Record<string, unknown>[] =>
  stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Record<string, unknown>);

const launch = async (
  launcher: Launcher,
  mode: string,
  length: number,
  options: readonly string[] = [],
): Promise<Finished> => {
  await launcher.ready();
  await using clean = nothingLeft();
  clean.allow(/^reported\.\d$/);
  const command = launcher.command(3, [...rank, mode, String(length)], { options });
  return await run(command, { folder: clean.folder, env: { ...clean.env, TSDASK_SIZE: "3" } });
};

describe.each(availableLaunchers("mpich4", "mpich5", "intelmpi", "srun-pmi2", "sbatch-mpich4"))(
  "under $name",
  (launcher) => {
    test("what rank 0 puts, every rank gets, however long", async () => {
      const finished = await launch(launcher, "exchange", 5000);
      expect(finished, finished.stderr).toMatchObject({ code: 0 });
      const all = reports(finished);
      expect(all.map(({ rank }) => rank).sort()).toEqual([0, 1, 2]);
      expect(all.every(({ same, missing }) => same === true && missing === null)).toBe(true);
      expect(new Set(all.map(({ kvsName }) => kvsName)).size).toBe(1);
    });

    test("a rank that comes late to a fence is reported before the launch ends", async () => {
      const finished = await launch(launcher, "late", 10);
      expect(finished.code).not.toBe(0);
      expect(reports(finished)).toContainEqual(expect.objectContaining({ code: "TSD-031" }));
    });
  },
);

describe.each(availableLaunchers("mpich4", "mpich5", "intelmpi"))("under $name", (launcher) => {
  test("the store is reached through a port too", async () => {
    // Intel's has no such option, and takes the descriptor
    const finished = await launch(launcher, "exchange", 100, launcher.name === "intelmpi" ? [] : ["-pmi-port"]);
    expect(reports(finished).map(({ same }) => same)).toEqual([true, true, true]);
  });

  test("abort ends every rank with the code that it was given", async () => {
    const finished = await launch(launcher, "abort", 10);
    expect(finished).toMatchObject({ code: 42 });
  });

  test("a rank that leaves without a goodbye takes the launch down", async () => {
    const finished = await launch(launcher, "crash", 10);
    expect(finished.code).not.toBe(0);
    // By its end, not by the fence's deadline.
    expect(reports(finished)).not.toContainEqual(expect.objectContaining({ code: "TSD-031" }));
  });

  test("nothing is left of ranks whose launcher is killed in a fence", async () => {
    await using clean = nothingLeft();
    const command = launcher.command(3, [...rank, "wait", "10"]);
    await using running = start(command, { folder: clean.folder, env: clean.env });
    await running.says(/waits/);
    running.signalGroup("SIGKILL");
    await running.finished;
    await clean.check(60);
  });
});
