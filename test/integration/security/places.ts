import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join, relative, resolve } from "node:path";
import { traced } from "../../../bench/lib/strace.ts";
import { command, type Command } from "../bed/command.ts";
import type { Clean } from "../bed/left.ts";
import { run, start, tell, type Finished, type Running } from "../bed/run.ts";
import { asColleague, asStranger } from "../bed/user.ts";
import { hostPaths } from "../../../src/launcher/host-paths.ts";
import { tsdask } from "../launch.ts";

/**
 * What a stranger puts at a name; `swap`: exchanges what stands there with something of the user's own while the
 * command runs.
 */
export const kinds = ["file", "link", "endless", "pipe", "folder", "huge", "swap"] as const;
export type Kind = (typeof kinds)[number];

/** One command that is tried, in a folder that holds what it needs. */
export interface Tried {
  readonly name: string;
  readonly words: readonly string[];
  /** Seconds that it may take, on a machine that does other things as well. */
  readonly within: number;
  /** A scheduler.json of a cluster that has gone is there. */
  readonly file?: boolean;
}

/** A name that a command uses, relative to the working folder, or to the temporary one. */
export interface Place {
  readonly in: "cwd" | "tmp";
  readonly name: string;
}

export interface Case {
  readonly tried: Tried;
  readonly mode: number;
  readonly place: Place;
  readonly kind: Kind;
  readonly who: "stranger" | "colleague";
}

const group = 65534;
/** What the user has there himself: what he names on the command line, and what he would miss. */
const own = ["script.py", "notebook.ipynb", "precious", "thesis", "private"];
/** As text: another user may not be able to read the project's files. */
const planter = readFileSync(join(import.meta.dirname, "planter.py"), "utf8");
const sharedBy = { stranger: asStranger, colleague: asColleague } as const;

/** What a case is called in a complaint. */
export const titleOf = ({ tried, mode, place, kind, who }: Case): string =>
  `${tried.name} in ${mode.toString(8).padStart(4, "0")}, ${kind} of a ${who} at ${place.in}/${place.name}`;

/** Makes the working folder as it is before a command, of that mode. */
function prepare(clean: Clean, mode: number, { file = false }: Tried): void {
  for (const folder of [clean.folder, clean.tmp]) {
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true });
  }
  const put = (name: string, text: string, bits = 0o644): void =>
    writeFileSync(join(clean.folder, name), text, { mode: bits });
  put("script.py", "print('ran')\n");
  put("notebook.ipynb", JSON.stringify({ cells: [], metadata: {}, nbformat: 4, nbformat_minor: 5 }));
  put("thesis", "mine", 0o600);
  mkdirSync(join(clean.folder, "precious"), { mode: 0o755 });
  put("precious/thesis", "mine");
  mkdirSync(join(clean.folder, "private"), { mode: 0o700 });
  if (file)
    put(
      "scheduler.json",
      JSON.stringify({ type: "Scheduler", id: "Scheduler-x", address: "tcp://127.0.0.1:1", services: {}, workers: {} }),
      0o600,
    );
  chownSync(clean.folder, process.getuid?.() ?? 0, group);
  chmodSync(clean.folder, mode);
  chmodSync(clean.tmp, 0o1777);
}

const started = (clean: Clean, { words, within }: Tried): readonly [Command, object] => [
  command(tsdask, ...words),
  { folder: clean.folder, env: { ...clean.env, PYTHONDONTWRITEBYTECODE: "1" }, deadline: within },
];

/**
 * The names that a command opens, makes or looks at, in the working folder or the temporary one, as the system saw them
 * twice: random ones nobody foresees.
 */
export async function namesOf(clean: Clean, tried: Tried): Promise<readonly Place[]> {
  const seen = await namesOnce(clean, tried);
  const again = await namesOnce(clean, tried);
  return [...seen.values()].filter((place) => again.has(`${place.in}/${place.name}`));
}

/**
 * A path in a system call that is absolute, or counts from the working folder: those behind a descriptor are elsewhere.
 */
const pathIn = /(?:\(|AT_FDCWD, |", )"((?:[^"\\]|\\.)*)"|"(\/(?:[^"\\]|\\.)*)"/g;

async function namesOnce(clean: Clean, tried: Tried): Promise<ReadonlyMap<string, Place>> {
  prepare(clean, 0o700, tried);
  const log = join(clean.tmp, "..", "trace");
  const [line, options] = started(clean, { ...tried, within: tried.within * 3 });
  await run(traced(line, log), options);
  const found = new Map<string, Place>();
  for (const call of readFileSync(log, "latin1").split("\n")) {
    if (call.includes("execve(")) continue;
    for (const [, near, far] of call.matchAll(pathIn)) {
      const at = resolve(clean.folder, near ?? far ?? "/");
      for (const [place, folder] of [["cwd", clean.folder] as const, ["tmp", clean.tmp] as const]) {
        const parts = relative(folder, at).split("/");
        const [first = "", second] = parts;
        // Sockets are named from within the host's private folder, which is not what a relative path is resolved by
        // here.
        if (first === "" || first === ".." || own.includes(first) || first.includes(".sock")) continue;
        found.set(`${place}/${first}`, { in: place, name: first });
        // The one folder of the user's own that is not private.
        if (first === "logs" && second !== undefined)
          found.set(`${place}/${first}/${second}`, { in: place, name: `${first}/${second}` });
      }
    }
  }
  rmSync(log);
  return found;
}

/** Who plants, and whether he could. */
async function plant(clean: Clean, { place, kind, who }: Case, ran: string): Promise<Running | undefined> {
  const folder = place.in === "cwd" ? clean.folder : clean.tmp;
  const path = join(folder, place.name);
  if (place.name.includes("/")) {
    const parent = join(folder, place.name, "..");
    mkdirSync(parent, { recursive: true });
    chownSync(parent, process.getuid?.() ?? 0, group);
    chmodSync(parent, lstatSync(folder).mode & 0o7777);
  }
  const order = {
    path,
    kind,
    ran,
    precious: join(clean.folder, "thesis"),
    other: join(clean.folder, "precious"),
    pause: 0.002,
  };
  const line = sharedBy[who](command("/usr/bin/python3", "-I", "-c", planter, JSON.stringify(order)));
  if (kind !== "swap") {
    const planted = await run(line, { env: clean.env });
    return planted.stdout.startsWith("planted") ? start(command("true")) : undefined;
  }
  const running = start(line, { env: clean.env, deadline: 140 });
  await running.says(/^planted$/m);
  return running;
}

/**
 * Runs a command in a folder in which something was planted; returns what must not have happened. Undefined: nobody
 * could plant it there.
 */
export async function tryCase(clean: Clean, one: Case): Promise<readonly string[] | undefined> {
  prepare(clean, one.mode, one.tried);
  const ran = join(clean.tmp, "..", "ran");
  mkdirSync(ran, { recursive: true });
  chmodSync(ran, 0o777);
  const planting = await plant(clean, one, join(ran, "x"));
  if (planting === undefined) return undefined;
  const path = join(one.place.in === "cwd" ? clean.folder : clean.tmp, one.place.name);
  const before = one.kind === "swap" ? undefined : lstatSync(path);
  const [line, options] = started(clean, one.tried);
  const finished = await run(line, options);
  await planting[Symbol.asyncDispose]();
  const wrong = [...judged(finished), ...kept(clean)];
  if (readdirSync(ran).length > 0) wrong.push(`what was planted was run: ${readdirSync(ran).join(" ")}`);
  rmSync(ran, { recursive: true });
  if (before !== undefined) wrong.push(...untouched(path, before.ino, before.size, one.kind));
  for (const until = performance.now() + 20_000; clean.processes().length > 0 && performance.now() < until; )
    await new Promise((done) => setTimeout(done, 100));
  wrong.push(...clean.processes().map(({ arguments: words }) => `still runs: ${words.join(" ").slice(0, 100)}`));
  return wrong.length === 0 ? [] : [...wrong, tell(finished).slice(-1500)];
}

/**
 * A rank that leads nobody looks for its leader, where a stranger listens at the very path, in a folder that he
 * exchanges with a link to one of the user's own. Returns what must not have happened.
 */
export async function meetStranger(clean: Clean): Promise<readonly string[]> {
  const tried: Tried = { name: "a rank", words: ["--start-timeout", "2s", "script.py"], within: 30 };
  prepare(clean, 0o755, tried);
  const job = {
    SLURM_JOB_ID: "77",
    SLURM_STEP_ID: "0",
    SLURM_STEP_NUM_TASKS: "2",
    SLURM_PROCID: "1",
    SLURM_LOCALID: "1",
  };
  const { folder } = hostPaths({ key: `${hostname()}:slurm:77.0`, tmpdir: clean.tmp, uid: process.getuid?.() ?? 0 });
  const ran = join(clean.tmp, "visited");
  writeFileSync(ran, "");
  chmodSync(ran, 0o666);
  const order = { kind: "race", path: folder, bait: join(clean.folder, "private"), ran, pause: 0.0005 };
  await using racing = start(asStranger(command("/usr/bin/python3", "-I", "-c", planter, JSON.stringify(order))), {
    env: clean.env,
    deadline: 140,
  });
  await racing.says(/^planted$/m);
  const [line, options] = started(clean, tried);
  const finished = await run(line, { ...options, env: { ...clean.env, ...job } });
  const visited = readFileSync(ran, "utf8") === "" ? [] : ["the rank connected to the stranger"];
  const wrong = [...visited, ...judged(finished), ...(finished.code === 0 ? ["the rank ended with 0"] : [])];
  return wrong.length === 0 ? [] : [...wrong, tell(finished)];
}

/** How a command may end: in its time, with a message of ours when it fails. */
function judged({ code, timedOut, seconds, stderr }: Finished): string[] {
  if (timedOut) return [`it still ran after ${Math.round(seconds)} s`];
  return [
    ...(/Traceback|^ {4}at |TSD-070/m.test(stderr) ? ["it ended as if by a defect of ours"] : []),
    ...(code !== 0 && !/TSD-\d{3}|usage:/i.test(stderr) ? [`it ended with ${code}, and no message`] : []),
  ];
}

/** What the user would miss is there, wherever it was moved to. */
function kept({ folder }: Clean): string[] {
  const thesis = (path: string): boolean => {
    const found = lstatSync(path, { throwIfNoEntry: false });
    return found?.isFile() === true && found.size === 4 && readFileSync(path, "utf8") === "mine";
  };
  const somewhere = readdirSync(folder, { withFileTypes: true }).some(
    (entry) => entry.isDirectory() && thesis(join(folder, entry.name, "thesis")),
  );
  const file = readdirSync(folder).some((name) => thesis(join(folder, name)));
  return [
    ...(file ? [] : ["a file of the user's was changed"]),
    ...(somewhere ? [] : ["a folder of the user's is gone"]),
  ];
}

/**
 * What was planted is there as it was: not removed, not written to; in a folder of his lies nothing that he may open.
 */
function untouched(path: string, inode: number, size: number, kind: Kind): string[] {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.ino !== inode) return ["what was planted is gone"];
  if (kind !== "folder") return found.size === size ? [] : ["what was planted was written to"];
  return readdirSync(path)
    .filter((name) => name !== "thing" && (lstatSync(join(path, name)).mode & 0o077) !== 0)
    .map((name) => `${name} was put into his folder, where he can open it`);
}
