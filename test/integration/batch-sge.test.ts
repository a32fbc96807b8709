import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { computing, jobEnvironment, mpiruns, ours, until } from "./batch-jobs.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { python } from "./bed/pythons.ts";
import { run, start, tell } from "./bed/run.ts";
import { sgeAvailable, startSge } from "./bed/sge.ts";

/** What a Grid Engine job must be given: it does not see the environment it was submitted from. */
function given(clean: Clean): readonly string[] {
  const env = {
    ...clean.env,
    TSDASK_PYTHON: python().path,
    OMPI_ALLOW_RUN_AS_ROOT: "1",
    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
    HOME: "/root",
  };
  return Object.entries(env).flatMap(([name, value]) => ["--env", `${name}=${value}`]);
}

describe.runIf(sgeAvailable() === true)("on a real Grid Engine", () => {
  test.each(mpiruns)("the generated script with %s runs; the account has what its workers used", async (mpirun) => {
    await using sge = await startSge();
    await using clean = nothingLeft();
    clean.allow(/\.o\d+$/, /\.po\d+$/);
    const file = clean.write("analysis.py", computing);
    clean.write("go", "");
    const words = [
      "script",
      "sge",
      "--pe",
      "mpi",
      "--ranks-per-node",
      "4",
      "--threads",
      "2",
      "--time",
      "5m",
      "--launcher",
      mpirun,
      ...given(clean),
      "--submit",
      "--",
      "--wait-workers",
      "all",
      file,
      "7",
    ];
    const submitted = await run(sge.on(ours(...words)), {
      folder: clean.folder,
      env: { ...jobEnvironment(clean), ...sge.env },
      deadline: 30,
    });
    expect(submitted, tell(submitted)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\n$/) });
    await until("the job's end", 60, async () => (await sge.jobs()).length === 0);
    const said = outputOf(clean, submitted.stdout.trim());
    expect(said).toContain("exit code 7");
    const used = Number(/^(?:\[.*?\] )?used (.+)$/m.exec(said)?.[1]);
    expect(used, said).toBeGreaterThan(4);
    const counted = await until("the job's account", 20, async () => {
      const account = await run(sge.on(["qacct", "-j", submitted.stdout.trim()]), { folder: clean.folder });
      return Number(/^cpu +([\d.]+)/m.exec(account.stdout)?.[1]) || undefined;
    });
    expect(counted).toBeGreaterThan(0.95 * used);
  });

  test("scale grows and shrinks a cluster by jobs, down to none in the queue", async () => {
    await using sge = await startSge();
    await using clean = nothingLeft({ within: 15 });
    clean.allow(/\.p?o\d+(\.\d+)?$/);
    const options = { folder: clean.folder, env: { ...jobEnvironment(clean), ...sge.env }, deadline: 90 };
    await using running = start(sge.on(ours("--np", "2", "--dashboard-address", ":0")), options);
    await running.says(/the worker is in/, 40);
    const scale = (...words: string[]) =>
      run(
        sge.on(ours("scale", ...words, "--batch", "sge", "--ranks-per-node", "2", "--time", "5m", ...given(clean))),
        options,
      );
    const up = await scale("5", "--wait", "60s");
    expect(up, tell(up)).toMatchObject({ code: 0 });
    expect(up.stderr).toContain("5 workers are in");
    const down = await scale("1");
    expect(down, tell(down)).toMatchObject({ code: 0 });
    expect(down.stderr).toContain("2 jobs (");
    await until("an empty queue", 30, async () => (await sge.jobs()).length === 0);
    // A job that never started is cancelled, which the queue master's own word of whose job it is allows; with another list's key it is not.
    const pending = await scale("3", "--directive=-a 203001010000");
    expect(pending.stderr, tell(pending)).toContain("1 job (");
    const { tsdask } = JSON.parse(readFileSync(join(clean.folder, "scheduler.json"), "utf8")) as {
      tsdask: { folder: string };
    };
    const listPath = join(tsdask.folder, "jobs");
    const list = readFileSync(listPath, "utf8");
    writeFileSync(listPath, list.replace(/"key": "\w+"/, `"key": "${"0".repeat(32)}"`));
    expect((await scale("1")).stderr).toContain("TSD-135 Jobs were not cancelled");
    expect(await sge.jobs()).toHaveLength(1);
    writeFileSync(listPath, list, { mode: 0o600 });
    expect((await scale("1")).stderr).toContain("1 job (");
    await until("an empty queue", 30, async () => (await sge.jobs()).length === 0);
    running.signal("SIGTERM");
    await running.finished;
  });

  test.each([
    [
      "an unknown queue",
      ["--queue", "nope"],
      /TSD-090 sge refused the job: .*unknown queue "nope".*\n.*\n.*qconf -sql/,
    ],
    [
      "an unknown parallel environment",
      ["--pe", "nope"],
      /TSD-090 sge refused the job: .*parallel environment.*\n.*\n.*qconf -spl/,
    ],
    ["an unknown project", ["--account", "nope"], /TSD-090 sge refused the job: .*nope/],
  ])("%s: Grid Engine's own words, and what to do", async (_, words, expected) => {
    await using sge = await startSge();
    await using clean = nothingLeft();
    const finished = await run(sge.on(ours("script", "sge", ...words, "--submit", "analysis.py")), {
      folder: clean.folder,
      env: { ...jobEnvironment(clean), ...sge.env },
    });
    expect(finished, tell(finished)).toMatchObject({ code: 69, stdout: "" });
    expect(finished.stderr).toMatch(expected);
    expect(await sge.jobs()).toEqual([]);
  });
});

/** What a job wrote: Grid Engine names the file after the job and its id. */
function outputOf(clean: Clean, id: string): string {
  const name = readdirSync(clean.folder).find((file) => file.endsWith(`.o${id}`));
  return name === undefined ? "" : readFileSync(join(clean.folder, name), "utf8");
}
