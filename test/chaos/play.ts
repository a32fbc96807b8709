import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { procStat } from "../../src/launcher/proc-stat.ts";
import { type Hosts, startHosts } from "../integration/bed/hosts.ts";
import { launcher } from "../integration/bed/launchers.ts";
import { type Clean, nothingLeft } from "../integration/bed/left.ts";
import { processes, signalAll } from "../integration/bed/processes.ts";
import { type Finished, type Running, start, tell } from "../integration/bed/run.ts";
import { program } from "../integration/launch.ts";
import { castOf, partOf } from "../integration/faults/cast.ts";
import { nextLaunch } from "../integration/faults/sweep.ts";
import { findings, mayBeHalfStarted, misplaced } from "./judge.ts";
import { happen, prepare, type Scene } from "./mishap.ts";
import { type Round, stormLaunchers } from "./plan.ts";
import { scriptTexts } from "./scripts.ts";

/** What came of a round. */
export interface Verdict {
  /** What must not be; none when all is well. */
  readonly findings: readonly string[];
  /** What was done to the launch, and how it ended. */
  readonly done: readonly string[];
  readonly finished: Finished | undefined;
  /** Whether files were left that the next launch removed. */
  readonly swept: boolean;
}

/**
 * A launch of a script that does no more than its work takes has come up after so long (s), and ends so long after it
 * was told to.
 */
const startUp = 6;

/** The launches' own `--start-timeout` (s): as long as their ranks wait for each other in PMI's fence at the least. */
const startTimeout = 120;

/** Plays a round. `within`: so long (s) after the last of its faults a launch has ended that does not go on. */
export async function playRound(round: Round, within: number): Promise<Verdict> {
  const clean = nothingLeft();
  clean.allow(/^core(\.\d+)?$/); // The system's own, of a process that got SIGSEGV.
  const undo: (() => void)[] = [];
  let hosts: Hosts | undefined;
  try {
    const shared = sharedMemory();
    for (const fault of round.faults.slice(0, sameFolder(round) ? 1 : 2)) undo.unshift(prepare(clean, fault));
    if (round.faults.some(({ kind }) => kind === "cut")) hosts = await startHosts({ names: ["h1", "h2"] });
    await launcher(stormLaunchers[round.launcher]).ready();
    await using running = begin(round, clean, hosts);
    const find = finder(round, clean, running);
    const done = await strike(round, { clean, hosts, find, ended: ended(running) }, running);
    const finished = await endOf(round, running, within, find);
    const left = await leftOf(clean, within);
    for (const back of undo.splice(0)) back();
    const swept = left.length === 0 && clean.left().length > 0;
    if (swept) await sweep(round, clean);
    const all = [
      ...left,
      ...misplaced(round, done, clean.left()).map((line) => `left: ${line}`),
      ...(await newShared(shared)),
    ];
    return { findings: [...findings(round, finished, swept), ...all], done, finished, swept };
  } finally {
    signalAll(
      clean.processes().map(({ pid }) => pid),
      "SIGKILL",
    );
    for (const back of undo) back();
    clean.allow(/./);
    await clean[Symbol.asyncDispose]();
    await hosts?.[Symbol.asyncDispose]();
  }
}

/** Two faults that each want the same folder mounted in their way: the second one finds it as it is. */
function sameFolder({ faults: [one, other] }: Round): boolean {
  return one !== undefined && other !== undefined && "place" in one && "place" in other && one.place === other.place;
}

function begin(round: Round, clean: Clean, hosts: Hosts | undefined): Running {
  const { script, ranks, code, seconds } = round;
  const words =
    script === "served"
      ? program()
      : program(clean.write("script.py", scriptTexts[script]), String(code), String(seconds), String(ranks - 2));
  const name = stormLaunchers[round.launcher];
  const half = Math.ceil(ranks / 2);
  const command =
    hosts !== undefined && (name === "openmpi4" || name === "mpich4")
      ? hosts.mpirun(name, { h1: half, h2: ranks - half }, words)
      : launcher(name).command(ranks, words);
  // What Python keeps beside modules would be left in a folder that is judged.
  const env = { ...clean.env, PYTHONDONTWRITEBYTECODE: "1", TSDASK_START_TIMEOUT: String(startTimeout) };
  return start(command, { folder: clean.folder, env });
}

const ended = ({ finished }: Running): Promise<undefined> =>
  finished.then(
    () => undefined,
    () => undefined,
  );

function finder(round: Round, clean: Clean, running: Running): Scene["find"] {
  return async ({ part, pick = 0 }) => {
    if (part === "script" && round.script === "served") return undefined;
    let over = false;
    void ended(running).then(() => {
      over = true;
    });
    for (const until = performance.now() + 60_000; !over && performance.now() < until; await sleep(10)) {
      const pid =
        part === "any process"
          ? anyOf(clean, pick)
          : partOf(castOf(clean, running.pid, stormLaunchers[round.launcher]), part);
      if (pid !== undefined) return pid;
    }
    return undefined;
  };
}

/** One of a launch's processes; slurmd's are the test's own Slurm, which other rounds need. */
function anyOf(clean: Clean, pick: number): number | undefined {
  const all = clean.processes().filter(({ pid }) => !/^slurm(d|ctld|stepd)/.test(procStat(pid)?.command ?? ""));
  return all[Math.floor(pick * all.length)]?.pid;
}

/** Waits for the moment, and lets the faults happen. */
async function strike(round: Round, scene: Scene, running: Running): Promise<readonly string[]> {
  if (round.after === "running") await running.says(/^running\r?$/m).catch(() => undefined);
  await Promise.race([sleep(round.wait), ended(running)]);
  const faults = sameFolder(round) ? round.faults.slice(0, 1) : round.faults;
  return await Promise.all(faults.map(async (fault) => await happen(fault, scene)));
}

/** Waits for the end of the launch, a served one's after it was told to; undefined when it does not come in time. */
async function endOf(
  round: Round,
  running: Running,
  within: number,
  find: Scene["find"],
): Promise<Finished | undefined> {
  const wait = async (seconds: number): Promise<Finished | undefined> =>
    await Promise.race([running.finished, sleep(seconds * 1000, undefined)]);
  const patience = within + startUp + (mayBeHalfStarted(round) ? startTimeout : 0);
  if (round.script !== "served") return await wait(patience + round.seconds);
  const early = await wait(2);
  if (early !== undefined) return early;
  // srun that gets SIGTERM kills its ranks at once; scancel's goes to the ranks.
  const rank0 = round.launcher === "srun" ? await find({ part: "rank 0" }) : undefined;
  if (rank0 === undefined) running.signal("SIGTERM");
  else signalAll([rank0], "SIGTERM");
  return await wait(patience);
}

/** The processes that are still there so long (s) after the launcher's end. */
async function leftOf(clean: Clean, within: number): Promise<readonly string[]> {
  const until = performance.now() + within * 1000;
  while (clean.processes().length > 0 && performance.now() < until) await sleep(50);
  return clean.processes().length === 0 ? [] : clean.left().filter((line) => line.startsWith("process"));
}

async function sweep(round: Round, clean: Clean): Promise<void> {
  const name = stormLaunchers[round.launcher];
  const next = await nextLaunch(clean, launcher(name));
  if (next.code !== 0) throw new Error(`The next launch in the same folder ended with ${next.code}:\n${tell(next)}`);
  await leftOf(clean, 20);
}

const sharedMemory = (): ReadonlySet<string> => new Set(readdirSync("/dev/shm"));

/**
 * What is in use, or goes by itself, is somebody else's. Open MPI's and MPICH's own segments are not ours: a killed
 * launcher leaves them.
 */
async function newShared(before: ReadonlySet<string>): Promise<readonly string[]> {
  const find = (): readonly string[] =>
    [...sharedMemory()].filter(
      (name) => !before.has(name) && !/vader_segment|^mpich|^osh\.|^psm3|^sm_segment/.test(name),
    );
  const first = find();
  if (first.length === 0) return [];
  for (const until = performance.now() + 20_000; ; await sleep(500)) {
    const used = processes().map(({ pid }) => mapsOf(pid));
    const left = find().filter(
      (name) => first.includes(name) && !used.some((maps) => maps.includes(`/dev/shm/${name}`)),
    );
    if (left.length === 0 || performance.now() > until) return left.map((name) => `left in /dev/shm: ${name}`);
  }
}

function mapsOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/maps`, "utf8");
  } catch {
    return ""; // It has ended meanwhile.
  }
}
