import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decode, encode } from "@msgpack/msgpack";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { markOf } from "../../src/batch/mark.ts";
import { BatchPatience } from "../../src/batch/patience.ts";
import { readJobList, writeJobList } from "../../src/batch/job-list.ts";
import type { BatchName, Ran, Shell } from "../../src/batch/system.ts";
import { openWorkerJobs, type WorkerJobs } from "../../src/batch/worker-jobs.ts";
import { isRecord } from "../../src/dask/comm.ts";
import { Failure } from "../../src/errors/failure.ts";
import { encodeFrames, frameDecoder } from "../../src/dask/frames.ts";

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "tsdask-jobs-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A scheduler whose workers have these names, as far as it is asked who it is and to retire them. */
async function startScheduler(names: () => readonly string[]): Promise<AsyncDisposable & { readonly address: string }> {
  const server = createServer((socket) => {
    const decoder = frameDecoder({ peer: "test" });
    const send = (message: unknown): void => void socket.write(encodeFrames([encode(message)]));
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      for (const [frame] of decoder.push(chunk)) {
        const said = frame === undefined ? undefined : decode(frame);
        if (!isRecord(said)) continue;
        const workers = Object.fromEntries(names().map((name) => [`tcp://h:${name}`, { name }]));
        if (said["op"] === "identity") send({ type: "Scheduler", id: "S", address: "tcp://h:1", workers });
        else if (said["op"] === "retire_workers") send(Object.keys(workers));
        else if (said["op"] === undefined) send({ "pickle-protocol": 5 });
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => void server.close(() => resolve())),
  };
}

interface Bed extends AsyncDisposable {
  readonly workers: WorkerJobs;
  readonly list: string;
  /** What the batch system was asked. */
  readonly asked: string[];
  /** Lets so many seconds pass. */
  readonly passes: (seconds: number) => void;
}

/** The worker jobs of a cluster, with a batch system whose commands `answer`; `workers` are the scheduler's. */
async function opened(
  system: BatchName,
  answer: (line: string) => Partial<Ran> | Promise<Partial<Ran>>,
  { names = [] }: { readonly names?: readonly string[] } = {},
): Promise<Bed> {
  const scheduler = await startScheduler(() => names);
  const schedulerFile = join(folder, "scheduler.json");
  const list = join(folder, ".scheduler.json.jobs");
  const script = join(folder, "w.sh");
  writeFileSync(script, "#!/bin/bash\n");
  writeFileSync(
    schedulerFile,
    JSON.stringify({ type: "Scheduler", id: "S", address: scheduler.address, services: {}, workers: {} }),
    { mode: 0o600 },
  );
  const asked: string[] = [];
  let now = 1_000_000;
  const shell: Shell = {
    env: {},
    now: () => now,
    run: async (command, args) => {
      const line = [command, ...args].join(" ");
      asked.push(line);
      return { code: 0, stdout: "", stderr: "", ...(await answer(line)) };
    },
  };
  const trust = { security: "none" } as const;
  const submission = { path: script };
  const sizes = { perJob: 1, group: undefined, expected: 10 };
  const workers = await openWorkerJobs({ schedulerFile, trust, system, shell, submission, ...sizes });
  return {
    workers,
    list,
    asked,
    passes: (seconds) => void (now += seconds),
    [Symbol.asyncDispose]: () => scheduler[Symbol.asyncDispose](),
  };
}

/** A Slurm that takes arrays and jobs, numbers them from 11 on, and knows them until they are cancelled. */
function slurm(): { readonly jobs: string[]; readonly answer: (line: string) => Partial<Ran> } {
  const jobs: string[] = [];
  let last = 10;
  const answer = (line: string): Partial<Ran> => {
    const [command = ""] = line.split(" ");
    if (command === "sbatch") {
      const many = /--array=1-(\d+)/.exec(line)?.[1];
      last += 1;
      jobs.push(...(many === undefined ? [`${last}`] : Array.from({ length: +many }, (_, i) => `${last}_${i + 1}`)));
      return { stdout: `${last}\n` };
    }
    if (command === "squeue" && line.includes("%T"))
      return { stdout: jobs.map((id) => `${id.replace(/_.*/, "")}|${id}|PENDING|Resources\n`).join("") };
    if (command === "scancel") jobs.length = 0;
    return {};
  };
  return { jobs, answer };
}

/** A PBS that takes jobs one by one; `taken` is called with how many it has. */
function pbs(taken: (many: number) => void): {
  readonly jobs: string[];
  readonly answer: (line: string) => Partial<Ran>;
} {
  const jobs: string[] = [];
  let last = 0;
  const answer = (line: string): Partial<Ran> => {
    const [command, ...words] = line.split(" ");
    if (command === "qsub") {
      last += 1;
      jobs.push(`${last}.pbs`);
      taken(last);
      return { stdout: `${last}.pbs\n` };
    }
    if (command === "qdel") for (const id of words) jobs.splice(jobs.indexOf(id), 1);
    return {};
  };
  return { jobs, answer };
}

describe("a list that cannot be written", () => {
  test("has the jobs that were just taken cancelled, and says so", async () => {
    const { jobs, answer } = slurm();
    await using bed = await opened("slurm", answer);
    // A full disk says as little as a folder in its place does.
    mkdirSync(bed.list);
    await expect(bed.workers.submit(3)).rejects.toThrow(
      /^TSD-072 .*jobs cannot be written \(EISDIR; the 3 jobs submitted a moment ago were cancelled\)\.\n/,
    );
    expect([jobs, bed.workers.listed()]).toEqual([[], []]);
  });

  test("names those that could not be cancelled", async () => {
    const { answer } = slurm();
    const stderr = "scancel: error: Kill job error on job id 11: Unable to contact slurm controller\n";
    await using bed = await opened("slurm", (line) =>
      line.startsWith("scancel") ? { code: 1, stderr } : answer(line),
    );
    mkdirSync(bed.list);
    await expect(bed.workers.submit(2)).rejects.toThrow(/could not be cancelled: `scancel 11_1 11_2`/);
  });

  test("keeps what was listed before", async () => {
    const full = pbs((many) => {
      if (many < 3) return;
      rmSync(join(folder, ".scheduler.json.jobs"));
      mkdirSync(join(folder, ".scheduler.json.jobs"));
    });
    await using bed = await opened("pbs", full.answer);
    await expect(bed.workers.submit(5)).rejects.toMatchObject({ code: "TSD-072" });
    expect([full.jobs, bed.workers.listed()]).toEqual([
      ["1.pbs", "2.pbs"],
      ["1.pbs", "2.pbs"],
    ]);
  });

  test("for its folder has gone with the cluster, has no more jobs submitted, and these cancelled", async () => {
    const over = pbs((many) => {
      if (many === 2) rmSync(folder, { recursive: true });
    });
    await using bed = await opened("pbs", over.answer);
    await expect(bed.workers.submit(5)).rejects.toThrow(
      /^TSD-149 .*: its folder has gone; the 2 jobs submitted a moment ago were cancelled\.\n/,
    );
    expect(bed.asked.filter((line) => line.startsWith("qsub"))).toHaveLength(2);
    expect([over.jobs, bed.workers.listed()]).toEqual([[], []]);
  });
});

describe("a submission whose answer is lost", () => {
  const timedOut = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n";
  const refused = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n";
  const tooSlow = new Failure("TSD-092", { command: "sbatch", seconds: 60, cure: "" });

  /** A Slurm that takes what is submitted and then answers `lost`; it shows its jobs with their marks when `shows`. */
  function deaf(lost: Partial<Ran> | Failure, { takes = true, shows = true } = {}) {
    const inner = slurm();
    const state = { shows, lost: true };
    const marks = new Map<string, string>();
    const answer = (line: string): Partial<Ran> => {
      if (line.startsWith("squeue -h -u")) {
        if (!state.shows) return { code: 1, stderr: "slurm_load_jobs error: Unable to contact slurm controller\n" };
        const own = inner.jobs.map((id) => `${id}|PENDING|mine ${marks.get(id)}\n`);
        return { stdout: [...own, "7|RUNNING|tsdask-another\n", "8|RUNNING|(null)\n"].join("") };
      }
      const before = inner.jobs.length;
      const ran = line.startsWith("sbatch") && !takes ? {} : inner.answer(line);
      for (const id of inner.jobs.slice(before)) marks.set(id, /--comment=(\S+)/.exec(line)?.[1] ?? "");
      if (!line.startsWith("sbatch") || !state.lost) return ran;
      if (lost instanceof Failure) throw lost;
      return lost;
    };
    return { jobs: inner.jobs, state, answer };
  }
  const submissions = ({ asked }: Bed): number => asked.filter((line) => line.startsWith("sbatch")).length;

  test.each([
    ["Slurm's own time-out", { code: 1, stderr: timedOut }],
    ["a command that does not end", tooSlow],
    ["a command that was killed", { code: 128 }],
    ["an answer that is not understood", { stdout: "Submitted!\n" }],
  ])("%s: the jobs that were taken are found by their mark, and listed", async (_, lost) => {
    const batch = deaf(lost);
    await using bed = await opened("slurm", batch.answer);
    const ids = ["11_1", "11_2", "11_3"];
    expect(await bed.workers.submit(3)).toEqual(ids);
    expect((await readJobList(bed.list)).jobs.map(({ id }) => id)).toEqual(ids);
    expect(submissions(bed)).toBe(1);
  });

  test("is not made again before the jobs could be asked for", async () => {
    const batch = deaf({ code: 1, stderr: timedOut }, { shows: false });
    await using bed = await opened("slurm", batch.answer);
    const failure = await bed.workers.submit(3).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "TSD-090", message: expect.stringContaining("may have been taken") });
    await expect(bed.workers.submit(3)).rejects.toMatchObject({ code: "TSD-094" });
    expect([submissions(bed), bed.workers.listed()]).toEqual([1, []]);
    batch.state.shows = true;
    expect(await bed.workers.submit(3)).toEqual(["11_1", "11_2", "11_3"]);
    expect(submissions(bed)).toBe(1);
  });

  test("brings no more than were wanted in all", async () => {
    const batch = deaf({ code: 1, stderr: timedOut }, { shows: false });
    await using bed = await opened("slurm", batch.answer);
    await expect(bed.workers.submit(2)).rejects.toMatchObject({ code: "TSD-090" });
    Object.assign(batch.state, { shows: true, lost: false });
    expect(await bed.workers.submit(3)).toEqual(["11_1", "11_2", "12"]);
  });

  test("lists no job twice, nor the tasks of an array that a script is itself", async () => {
    const batch = deaf({ code: 1, stderr: timedOut });
    const mine = "41_1|RUNNING|MARK\n41_2|PENDING|MARK\n".replaceAll("MARK", markOf("0".repeat(32)));
    const answer = (line: string): Partial<Ran> => {
      const ran = batch.answer(line);
      return line.startsWith("squeue -h -u") ? { ...ran, stdout: `${ran.stdout}${mine}` } : ran;
    };
    const common = { system: "slurm", host: "h", submitted: 1, expected: 1, joined: true } as const;
    const list = join(folder, ".scheduler.json.jobs");
    await writeJobList(list, { key: "0".repeat(32), jobs: [{ ...common, id: "41" }] });
    await using bed = await opened("slurm", answer);
    await bed.workers.submit(2);
    await bed.workers.submit(1);
    expect(bed.workers.listed()).toEqual(["41", "11_1", "11_2", "12"]);
  });

  test("and that took nothing is to be tried again", async () => {
    const batch = deaf(tooSlow, { takes: false });
    await using bed = await opened("slurm", batch.answer);
    const failure = await bed.workers.submit(3).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "TSD-092", facts: { command: "sbatch" } });
    expect(failure).not.toHaveProperty("facts.answer");
  });

  test("is none where the controller was not reached", async () => {
    const batch = deaf({ code: 1, stderr: refused }, { takes: false });
    await using bed = await opened("slurm", batch.answer);
    await expect(bed.workers.submit(3)).rejects.not.toThrow(/may have been taken/);
    expect(bed.asked.filter((line) => line.startsWith("squeue"))).toEqual([]);
  });

  test("is not to be tried again where it was not understood and no job is found", async () => {
    const batch = deaf({ stdout: "Submitted!\n" }, { takes: false });
    await using bed = await opened("slurm", batch.answer);
    const failure = await bed.workers.submit(1).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "TSD-093", message: expect.stringContaining("`squeue -u $USER`") });
  });

  test("is not to be tried again where jobs cannot be asked for by their mark", async () => {
    const slow = new Failure("TSD-092", { command: "qsub", seconds: 60, cure: "" });
    await using bed = await opened("pbs", () => Promise.reject(slow));
    const failure = await bed.workers.submit(1).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "TSD-092", message: expect.stringContaining("may have been taken") });
    const patience = new BatchPatience({ silence: 1, pause: 1 });
    patience.begin();
    patience.taken();
    expect(patience.failed("submit", failure as Failure, { now: 0, jobs: 2 }).givesUp).toBe(true);
  });
});

describe("a look", () => {
  test("leaves the list alone that has not changed", async () => {
    const { answer } = slurm();
    await using bed = await opened("slurm", answer);
    await bed.workers.submit(2);
    const { ino } = statSync(bed.list);
    await bed.workers.look();
    expect(statSync(bed.list).ino).toBe(ino);
  });

  test("bears that the list cannot be written, and writes it at the next one", async () => {
    const { jobs, answer } = slurm();
    await using bed = await opened("slurm", answer);
    await bed.workers.submit(2);
    bed.passes(60);
    const text = readFileSync(bed.list, "utf8");
    rmSync(bed.list);
    mkdirSync(bed.list);
    jobs.shift();
    expect((await bed.workers.look()).jobs.map(({ id }) => id)).toEqual(["11_2"]);
    rmdirSync(bed.list);
    writeFileSync(bed.list, text, { mode: 0o600 });
    await bed.workers.look();
    expect((await readJobList(bed.list)).jobs.map(({ id }) => id)).toEqual(["11_2"]);
    jobs.shift();
    await bed.workers.look();
    expect(existsSync(bed.list)).toBe(false);
  });
});

describe("a job that a look does not find", () => {
  test("a moment after it was submitted waits: it may not be known everywhere yet", async () => {
    const stderr = "Job <1> is not found\n";
    let known = false;
    const answer = (line: string): Partial<Ran> => {
      if (line.startsWith("bsub")) return { stdout: "Job <1> is submitted to queue <normal>.\n" };
      return known ? { stdout: "1|0|PEND\n" } : { code: 255, stderr };
    };
    await using bed = await opened("lsf", answer);
    await bed.workers.submit(1);
    const first = await bed.workers.look();
    expect(first).toMatchObject({ jobs: [{ id: "1", state: "pending" }], failed: [] });
    // It cannot be cancelled yet, and is not forgotten.
    expect(await bed.workers.release({ retire: [], cancel: first.jobs })).toEqual([]);
    expect(bed.workers.listed()).toEqual(["1"]);
    bed.passes(21);
    known = true;
    expect(await bed.workers.look()).toMatchObject({ jobs: [{ id: "1", state: "pending" }], failed: [] });
    known = false;
    expect(await bed.workers.look()).toMatchObject({ jobs: [], failed: ["1"] });
  });

  test("is over once it was known, or had its time to be", async () => {
    const batch = pbs(() => undefined);
    const shown = (id: string): string => `Job Id: ${id}\n    job_state = Q\n`;
    const answer = (line: string): Partial<Ran> => {
      if (!line.startsWith("qstat")) return batch.answer(line);
      return { stdout: line.includes("1.pbs") && !over ? shown("1.pbs") : "" };
    };
    let over = false;
    await using bed = await opened("pbs", answer);
    await bed.workers.submit(2);
    expect((await bed.workers.look()).failed).toEqual([]);
    over = true;
    expect((await bed.workers.look()).failed).toEqual(["1.pbs"]);
    bed.passes(21);
    expect((await bed.workers.look()).failed).toEqual(["2.pbs"]);
  });
});

describe("local jobs of another host", () => {
  const listedElsewhere = async (bed: Bed, joined: boolean): Promise<void> => {
    const common = { system: "local", host: "elsewhere", submitted: 1, expected: 1, joined } as const;
    const jobs = [
      { ...common, id: "local.1.1" },
      { ...common, id: "local.2.2" },
    ];
    await writeJobList(bed.list, { key: "0".repeat(32), jobs });
  };
  const none = (): Partial<Ran> => ({});
  const names = ["tsdask-local.1.1-0"];

  test("are told by their workers, and stay on the list as long as none was in", async () => {
    await using first = await opened("local", none);
    await listedElsewhere(first, false);
    await using bed = await opened("local", none, { names });
    const view = await bed.workers.look();
    expect(view).toMatchObject({ workers: 1, others: 0, failed: [] });
    expect(view.jobs.map(({ id, state, joined }) => [id, state, joined])).toEqual([
      ["local.1.1", "running", true],
      ["local.2.2", "running", false],
    ]);
    // One that has no worker which could be told is out of reach.
    expect(await bed.workers.release({ retire: [], cancel: view.jobs.slice(1) })).toEqual([]);
    expect(bed.workers.listed()).toEqual(["local.1.1", "local.2.2"]);
    expect(await bed.workers.release({ retire: view.jobs.slice(0, 1), cancel: [] })).toEqual(["local.1.1"]);
    expect([await bed.workers.cancelAll(), bed.workers.listed()]).toEqual([[], ["local.2.2"]]);
  });

  test("are over when their workers have left", async () => {
    await using first = await opened("local", none);
    await listedElsewhere(first, true);
    await using bed = await opened("local", none, { names });
    expect((await bed.workers.look()).jobs.map(({ id }) => id)).toEqual(["local.1.1"]);
  });
});
