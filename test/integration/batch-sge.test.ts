import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { covers } from "../batch/covers.ts";
import { computing, jobEnvironment, mpiruns, ours, tellWithJobs, until } from "./batch-jobs.ts";
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
    });
    expect(submitted, tell(submitted)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\n$/) });
    await until("the job's end", 200, async () => (await sge.jobs()).length === 0);
    const said = outputOf(clean, submitted.stdout.trim());
    expect(said).toContain("exit code 7");
    const used = Number(/^(?:\[.*?\] )?used (.+)$/m.exec(said)?.[1]);
    expect(used, said).toBeGreaterThan(4);
    const counted = await until("the job's account", 60, async () => {
      const account = await run(sge.on(["qacct", "-j", submitted.stdout.trim()]), { folder: clean.folder });
      return Number(/^cpu +([\d.]+)/m.exec(account.stdout)?.[1]) || undefined;
    });
    expect(counted).toBeGreaterThan(0.95 * used);
    covers("sge", ["script", "accounting"], sge.version);
  });

  test("scale grows and shrinks a cluster by jobs, down to none in the queue", { timeout: 600_000 }, async () => {
    await using sge = await startSge();
    await using clean = nothingLeft({ within: 15 });
    clean.allow(/\.p?o\d+(\.\d+)?$/);
    const options = { folder: clean.folder, env: { ...jobEnvironment(clean), ...sge.env }, deadline: 580 };
    await using running = start(sge.on(ours("--np", "2", "--dashboard-address", ":0")), options);
    await running.says(/the worker is in/);
    const scale = (...words: string[]) =>
      run(
        sge.on(ours("scale", ...words, "--batch", "sge", "--ranks-per-node", "2", "--time", "5m", ...given(clean))),
        options,
      );
    const up = await scale("5", "--wait", "200s");
    expect(up, tellWithJobs(clean, up)).toMatchObject({ code: 0 });
    expect(up.stderr).toContain("5 workers are in");
    const down = await scale("1");
    expect(down, tell(down)).toMatchObject({ code: 0 });
    expect(down.stderr).toContain("2 jobs (");
    await until("an empty queue", 150, async () => (await sge.jobs()).length === 0);
    // A job that never started is cancelled, which the queue master's own word of whose job it is allows; with another
    // list's key it is not.
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
    await until("an empty queue", 150, async () => (await sge.jobs()).length === 0);
    covers("sge", ["join", "scale"], sge.version);
    running.signal("SIGTERM");
    await running.finished;
  });

  test("the tasks of an array join and leave before their time ends, adapt brings and takes jobs, and a notebook job serves JupyterLab meanwhile", {
    timeout: 600_000,
  }, async () => {
    await using sge = await startSge();
    await using clean = nothingLeft({ within: 15 });
    clean.allow(/\.p?o\d+(\.\d+)?$/, /^node-compile-cache/); // JupyterLab's own Node leaves the second.
    const options = { folder: clean.folder, env: { ...jobEnvironment(clean), ...sge.env }, deadline: 580 };
    await using running = start(sge.on(ours("--np", "2", "--dashboard-address", ":0")), options);
    const submit = async (words: readonly string[], job: readonly string[], folder = clean.folder): Promise<string> => {
      const common = ["--directive=-notify", ...given(clean), ...words, "--submit", "--", ...job];
      const finished = await run(sge.on(ours("script", "sge", "--pe", "mpi", ...common)), { ...options, folder });
      expect(finished, tell(finished)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\n$/) });
      return finished.stdout.trim();
    };
    const workers = async (): Promise<string> => (await run(sge.on(ours("connect", "--json")), options)).stdout;
    const beside = dirname(clean.write("notebook/empty", ""));
    const notebook = await submit(["--ranks-per-node", "3", "--time", "5m"], ["--jupyter", "lab"], beside);
    await running.says(/the worker is in/);
    // The last ten seconds of their time are for leaving; what is asked for as h_vmem is the limit of each process's
    // address space. A slow machine may need the second time for both to come.
    const joining = ["--join", "scheduler.json", "--array", "2", "--ranks-per-node", "1", "--memory", "4GiB"];
    const come = async (time: string): Promise<readonly [array: string, found: string | undefined]> => {
      const array = await submit([...joining, "--time", time], []);
      const found = await until("both tasks' workers", 200, async () => {
        const names = await workers();
        if (names.includes(`tsdask-${array}.1-0`) && names.includes(`tsdask-${array}.2-0`)) return { names };
        return !(await sge.jobs()).includes(array) && { names: undefined };
      });
      return [array, found.names];
    };
    let [array, found] = await come("40s");
    if (found === undefined) [array, found] = await come("150s");
    if (found === undefined) throw new Error("both tasks' workers were never there at once");
    covers("sge", ["array"], sge.version);
    const joined = (JSON.parse(found) as { workers: readonly { name: string; memoryLimit: number }[] }).workers;
    const limits = joined.filter(({ name }) => name.includes(array)).map(({ memoryLimit }) => memoryLimit);
    expect(limits).toEqual([4 * 1024 ** 3, 4 * 1024 ** 3]);
    covers("sge", ["limits"], sge.version);

    const words = ["--min", "4", "--max", "4", "--interval", "500ms", "--batch", "sge", "--ranks-per-node", "1"];
    await using adapting = start(sge.on(ours("adapt", ...words, "--time", "5m", ...given(clean))), options);
    // On a slow machine the array's workers may have left before adapt counts: it brings more, then, as an array.
    const adapted = (await adapting.says(/\d jobs? \((\d[\d.]*).*\) submitted/))[1] ?? "";
    await until("its worker", 150, async () => (await workers()).includes(`tsdask-${adapted}-0`));
    adapting.signal("SIGINT");
    expect((await adapting.finished).code).toBe(130);
    covers("sge", ["adapt"], sge.version);

    const ssh = /ssh .*-N.*-L/;
    await until("the ssh line", 150, () => ssh.test(outputOf(clean, notebook, "notebook")));
    covers("sge", ["notebook"], sge.version);
    await until("the notebook's job alone", 200, async () => (await sge.jobs()).join() === notebook);
    for (const task of [1, 2])
      expect(outputOf(clean, `${array}.${task}`)).toContain("its time was over: the launch ended in order");
    covers("sge", ["drain"], sge.version);
    await run(sge.on(["qdel", notebook]), options);
    await until("an empty queue", 150, async () => (await sge.jobs()).length === 0);
    running.signal("SIGTERM");
    await running.finished;
  });

  test("what it refuses, and what it does not start, is told in its own words, with what to do", async () => {
    await using sge = await startSge();
    await using clean = nothingLeft();
    const refused: readonly (readonly [words: readonly string[], told: RegExp])[] = [
      [["--queue", "nope"], /TSD-090 sge refused the job: .*unknown queue "nope".*\n.*\n.*qconf -sql/],
      [["--pe", "nope"], /TSD-090 sge refused the job: .*parallel environment.*\n.*\n.*qconf -spl/],
      [["--account", "nope"], /TSD-090 sge refused the job: .*nope/],
    ];
    for (const [words, told] of refused) {
      const finished = await run(sge.on(ours("script", "sge", ...words, "--submit", "analysis.py")), {
        folder: clean.folder,
        env: { ...jobEnvironment(clean), ...sge.env },
      });
      expect(finished, tell(finished)).toMatchObject({ code: 69, stdout: "" });
      expect(finished.stderr).toMatch(told);
    }
    expect(await sge.jobs()).toEqual([]);
    const options = { folder: clean.folder, env: { ...jobEnvironment(clean), ...sge.env } };
    const waitFor = (seconds: string, ...words: string[]) =>
      run(
        sge.on(ours("script", "sge", "--pe", "mpi", ...words, "--submit", "--wait", seconds, "analysis.py")),
        options,
      );
    const large = await waitFor("200s", "--ranks-per-node", "400");
    expect(large, tell(large)).toMatchObject({
      code: 69,
      stderr: expect.stringMatching(/TSD-141 .*no suitable queues/),
    });
    // Grid Engine now and then calls a job running for the moment in which its output cannot be opened.
    let broken = await waitFor("200s", "--output", "/nonexistent/out");
    for (let again = 0; again < 3 && /job \d+ runs/.test(broken.stderr); again += 1)
      broken = await waitFor("200s", "--output", "/nonexistent/out");
    expect(broken.stderr, tell(broken)).toMatch(/TSD-141 .*error reason: can't open output file "\/nonexistent\/out"/);
    await run(
      sge.on(["qsub", "-pe", "mpi", "16", "-b", "y", "-o", "/dev/null", "-e", "/dev/null", "sleep", "280"]),
      options,
    );
    await until("the other job runs", 150, async () => / r /.test((await run(sge.on(["qstat"]), options)).stdout));
    const waits = await waitFor("10s");
    expect(waits, tell(waits)).toMatchObject({
      code: 69,
      stderr: expect.stringMatching(/waits: .*because it is full/),
    });
    covers("sge", ["reasons"], sge.version);
    await run(sge.on(["qdel", ...(await sge.jobs())]), options);
    await until("an empty queue", 150, async () => (await sge.jobs()).length === 0);
  });
});

/** What a job wrote: Grid Engine names the file after the job and its id. */
function outputOf(clean: Clean, id: string, below = "."): string {
  const folder = join(clean.folder, below);
  const name = readdirSync(folder).find((file) => file.endsWith(`.o${id}`));
  return name === undefined ? "" : readFileSync(join(folder, name), "utf8");
}
