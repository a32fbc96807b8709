import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { covers } from "../batch/covers.ts";
import { computing, jobEnvironment, ours, tellWithJobs, until } from "./batch-jobs.ts";
import { htcondorAvailable, startHtcondor, type HtCondor } from "./bed/htcondor.ts";
import type { Command } from "./bed/command.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { python } from "./bed/pythons.ts";
import { run, start, tell, type Finished } from "./bed/run.ts";

/** What a job must be given: it does not see the environment it was submitted from. */
const given = (clean: Clean): readonly string[] =>
  Object.entries({ ...clean.env, TMPDIR: undefined, TSDASK_PYTHON: python().path }).flatMap(([name, value]) =>
    value === undefined ? [] : ["--env", `${name}=${value}`],
  );

/** What HTCondor itself writes beside the scripts: a log of each submission, and the jobs' output. */
const itsFiles = [/\.log$/, /\.out$/, /^node-compile-cache/];

const outputOf = (clean: Clean, job: string, below = "."): string => {
  const folder = join(clean.folder, below);
  const name = readdirSync(folder).find((file) => file.endsWith(`-${job}.out`));
  return name === undefined ? "" : readFileSync(join(folder, name), "utf8");
};

function user(
  condor: HtCondor,
  clean: Clean,
): (words: Command | readonly string[], folder?: string) => Promise<Finished> {
  const env = jobEnvironment(clean);
  return (words, folder = clean.folder) => run(condor.on(words), { folder, env, deadline: step + 50 });
}

/** How long each step may take (s), and a whole test (ms): a pool on one slow machine takes minutes. */
const step = 150;
const wait = ["--wait", `${step}s`];
const timeout = 600_000;

describe.runIf(htcondorAvailable() === true)("on a real HTCondor", { timeout }, () => {
  test("the generated script runs on two machines with what was granted there; the account has what its workers used", async () => {
    await using condor = await startHtcondor();
    await using clean = nothingLeft({ within: 15 });
    clean.allow(...itsFiles);
    const as = user(condor, clean);
    const limits =
      'print(sorted((w["nthreads"], w["memory_limit"] >> 20) for w in client.scheduler_info()["workers"].values()), flush=True)';
    const file = clean.write(
      "analysis.py",
      computing.replace("wait_for_workers(2)", `wait_for_workers(4); ${limits}`).replace("range(2)", "range(4)"),
    );
    const asked = ["--nodes", "2", "--ranks-per-node", "2", "--threads", "1", "--memory", "2GiB", "--time", "9m"];
    const submitted = await as(
      ours("script", "htcondor", ...asked, ...given(clean), "--submit", ...wait, "--", file, "7"),
    );
    expect(submitted, tell(submitted)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\n$/) });
    const id = submitted.stdout.trim();
    const said = (): string => outputOf(clean, `${id}.0`);
    const used = await until(said, step, () => Number(/^(?:\[.*?\] )?used (.+)$/m.exec(said())?.[1]) || undefined);
    expect(used).toBeGreaterThan(8);
    // The first machine has scheduler and script besides, a tenth of its memory each; the second's two workers have
    // half of it each.
    expect(said()).toContain("[(1, 819), (1, 819), (1, 1024), (1, 1024)]");
    let account = "";
    await until(
      () => `used ${used}: ${account}`,
      step,
      async () => {
        account = (await as(["condor_q", id, "-af", "RemoteUserCpu", "RemoteSysCpu"])).stdout;
        const counted = account.split(/\s+/).reduce((sum, seconds) => sum + Number(seconds), 0);
        // Whole seconds are told, of each job.
        return counted + 2 > 0.95 * used;
      },
    );
    clean.write("go", "");
    await until("the job's end", step, async () => (await condor.jobs()).length === 0);
    expect(said()).toContain("exit code 7");
    expect(outputOf(clean, `${id}.1`)).toContain("has ended");
    covers("htcondor", ["script", "limits", "accounting"], condor.version);
  });

  test("workers join, one by one and by scale and adapt, leave before their time ends, and a job that cannot run says why", async () => {
    await using condor = await startHtcondor();
    await using clean = nothingLeft({ within: 20 });
    clean.allow(...itsFiles);
    const as = user(condor, clean);
    const options = { folder: clean.folder, env: jobEnvironment(clean), deadline: timeout / 1000 };
    await using running = start(condor.on(ours("--np", "2", "--dashboard-address", ":0")), options);
    await running.says(/the worker is in/, step);
    const workers = async (): Promise<string> => (await as(ours("connect", "--json"))).stdout;
    const submit = async (words: readonly string[], job: readonly string[] = [], folder?: string): Promise<string> => {
      const common = ["--memory", "1GiB", ...given(clean), ...words, "--submit", "--", ...job];
      const finished = await as(ours("script", "htcondor", ...common), folder);
      expect(finished, tell(finished)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+(?:\.0)?\n$/) });
      return finished.stdout.trim();
    };
    const beside = dirname(clean.write("notebook/empty", ""));
    const notebook = await submit(["--ranks-per-node", "3", "--time", "5m"], ["--jupyter", "lab"], beside);
    const array = await submit(["--join", "scheduler.json", "--array", "2", "--ranks-per-node", "1", "--time", "90s"]);
    await until(
      () => `both jobs' workers: ${outputOf(clean, `${array}.0`)}`,
      step,
      async () => {
        const names = await workers();
        return names.includes(`tsdask-${array}.0-0`) && names.includes(`tsdask-${array}.1-0`);
      },
    );
    covers("htcondor", ["array", "join"], condor.version);

    const job = ["--batch", "htcondor", "--ranks-per-node", "2", "--time", "5m", "--memory", "1GiB"];
    const up = await as(ours("scale", "5", ...wait, ...job, ...given(clean)));
    expect(up, tellWithJobs(clean, up)).toMatchObject({ code: 0 });
    expect(up.stderr).toContain("5 workers are in");
    const down = await as(ours("scale", "3"));
    expect(down.stderr, tell(down)).toContain("1 job (");
    covers("htcondor", ["scale"], condor.version);

    const range = ["--min", "5", "--max", "5", "--interval", "500ms", "--batch", "htcondor", "--ranks-per-node", "2"];
    await using adapting = start(
      condor.on(ours("adapt", ...range, "--memory", "1GiB", "--time", "5m", ...given(clean))),
      options,
    );
    const adapted = (await adapting.says(/\d jobs? \((\d+\.0)\b.*\) submitted/, step))[1] ?? "";
    await until("its worker", step, async () => (await workers()).includes(`tsdask-${adapted}-0`));
    adapting.signal("SIGINT");
    expect((await adapting.finished).code).toBe(130);
    const wide = ["--min", "9", "--max", "9", "--interval", "500ms", "--batch", "htcondor", "--ranks-per-node", "8"];
    await using narrow = start(condor.on(ours("adapt", ...wide, "--time", "5m")), options);
    await narrow.says(/no more jobs: each brings 8 workers, and another one would pass --max 9/, step);
    narrow.signal("SIGINT");
    expect((await narrow.finished).stderr).not.toContain("submitted");
    covers("htcondor", ["adapt"], condor.version);

    const never = await as(ours("scale", "9", ...wait, ...job, "--memory", "100GiB", ...given(clean)));
    expect(never, tell(never)).toMatchObject({ code: 69 });
    expect(never.stderr).toMatch(
      /TSD-141 .*no machine of the pool is large enough: .* 102400 MB of memory are asked for/,
    );
    const held = await as(
      ours("script", "htcondor", "--output", "/nonexistent/out", "--submit", ...wait, "analysis.py"),
    );
    expect(held.stderr, tell(held)).toMatch(/TSD-141 .*on hold: .*Failed to open '\/nonexistent\/out'/);
    const waiting = ["--directive", "requirements = HasWings =?= True", "--submit", "--wait", "6s", "analysis.py"];
    const waits = await as(ours("script", "htcondor", ...waiting));
    expect(waits, tell(waits)).toMatchObject({
      code: 69,
      stderr: expect.stringMatching(/waits: no slot meets .*HasWings/),
    });
    covers("htcondor", ["reasons"], condor.version);

    await until("the end of both", step, async () =>
      (await condor.jobs()).every((one) => !one.startsWith(`${array}.`)),
    );
    const ends = await as(["condor_history", array, "-af", "ExitCode"]);
    expect(ends.stdout, outputOf(clean, `${array}.0`)).toBe("0\n0\n");
    expect(outputOf(clean, `${array}.0`)).toContain("its time was over: the launch ended in order");
    covers("htcondor", ["drain"], condor.version);

    await until("the ssh line", step, () => /ssh .*-N.*-L/.test(outputOf(clean, `${notebook}`, "notebook")));
    covers("htcondor", ["notebook"], condor.version);
    await as(["condor_rm", "-all"]);
    await until("an empty queue", step, async () => (await condor.jobs()).length === 0);
    running.signal("SIGTERM");
    await running.finished;
  });
});
