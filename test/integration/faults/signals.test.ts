import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { deadlines } from "../../../src/deadlines.ts";
import { jobEnvironment, ours } from "../batch-jobs.ts";
import type { Command } from "../bed/command.ts";
import { nothingLeft } from "../bed/left.ts";
import { environmentOf, isPending, signalAll, tree } from "../bed/processes.ts";
import { python } from "../bed/pythons.ts";
import { start, tell } from "../bed/run.ts";
import { codes, endsItself, endsOrIsSwept, faultLaunchers, killsAll, launch, letGo } from "./fault.ts";

/** A script that saves what it has when it is asked to end, and takes a moment for it. */
const saving = `
import os, signal, sys, time
from dask.distributed import Client

def save(number, frame):
    os.write(1, f"saving {signal.Signals(number).name}\\n".encode())
    time.sleep(0.5)
    os.write(1, b"saved\\n")
    sys.exit(5)

if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, save)
    client = Client()
    client.wait_for_workers(2)
    # Past Python's buffers: the signal may come as soon as this is read, and print is not for use in both.
    os.write(1, b"running\\n")
    # In short sleeps: a signal that comes just before Python enters one runs its handler only after it.
    while True:
        time.sleep(0.05)
`;

/** Says that it was asked to end, and goes on. */
const deaf = saving.replace(/os\.write\(1, f.*/, 'return os.write(1, b"asked\\n")');

/**
 * mpirun of Open MPI says 1 when a signal ended it, and Hydra's mpiexec now and then 0; the built-in launcher passes
 * the rank's code on.
 */
const expected = (name: string, code: number): readonly number[] =>
  name === "openmpi4" ? [1] : name === "mpich4" ? [0, code] : [code];

describe.each(faultLaunchers.filter((one) => !killsAll(one)))("signals to the launcher under $name", (launcher) => {
  test.each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const)("%s: the launch ends in order", async (signal, code) => {
    await using one = await launch(launcher);
    await one.running.says(/^running$/m);
    // A terminal sends Ctrl-C to the whole group of processes.
    if (signal === "SIGINT") one.running.signalGroup(signal);
    else one.running.signal(signal);
    const finished = await one.ends();
    expect(expected(launcher.name, code), tell(finished)).toContain(finished.code);
    expect(finished.stderr).toMatch(
      signal === "SIGINT" ? /stopped by Ctrl-C \(SIGINT\) after|stopped by SIGTERM after/ : /stopped by SIGTERM after/,
    );
    expect(codes(finished)).toEqual([]);
  });

  test("a script that saves what it has is given the time, and its own exit code counts", async () => {
    await using one = await launch(launcher, { script: saving });
    await one.running.says(/^running$/m);
    one.running.signal("SIGTERM");
    const finished = await one.ends();
    expect(finished.stdout, tell(finished)).toMatch(/^saving SIGTERM\nsaved$/m);
    expect(finished.stdout.match(/saving/g)).toHaveLength(1);
    expect(expected(launcher.name, 5), tell(finished)).toContain(finished.code);
  });

  // Without a fork server rank 0 leaves, with a code for which a launcher other than ours ends all ranks.
  test.each(launcher.name === "local" ? (["scheduler", "fork server"] as const) : (["scheduler"] as const))(
    "so it is where the %s is lost under it; the launch's exit code tells of that",
    async (part) => {
      // Longer than the fork server lives without a leader.
      const script = saving.replace("time.sleep(0.5)", "time.sleep(3)");
      await using one = await launch(launcher, { ...endsItself, script });
      await one.running.says(/^running$/m);
      await one.kill(part);
      const finished = await one.ends();
      expect(finished.stdout, tell(finished)).toMatch(/^saving SIGTERM\nsaved$/m);
      expect(finished.code, tell(finished)).toBe(72);
    },
  );

  test("a script that does not listen is ended when its grace is over", async () => {
    // Any other grace than its own would be longer than is waited for its end.
    const env = { TSDASK_GRACE: "200s" };
    await using one = await launch(launcher, { script: deaf, options: ["--grace", "1s"], env });
    await one.running.says(/^running$/m);
    one.running.signal("SIGTERM");
    const finished = await one.ends();
    expect(expected(launcher.name, 143), tell(finished)).toContain(finished.code);
  });

  test("a second Ctrl-C does not wait for it", async () => {
    await using one = await launch(launcher, { script: deaf, options: ["--grace", "200s"] });
    await one.running.says(/^running$/m);
    one.running.signalGroup("SIGINT");
    await one.running.says(/^asked$/m);
    // A busy machine may not have let the launcher take the first.
    await expect.poll(() => isPending(one.running.pid, "SIGINT")).toBe(false);
    one.running.signalGroup("SIGINT");
    const finished = await one.ends();
    expect(finished.code, tell(finished)).not.toBe(0);
  });
});

/** Runs its arguments on a terminal of their own, types Ctrl-C when they say `running`, and ends as they do. */
const typist = `
import os, pty, sys

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
said = b""
typed = False
while True:
    try:
        data = os.read(terminal, 65536)
    except OSError:
        break
    said += data
    if b"running" in said and not typed:
        typed = True
        os.write(terminal, b"\\x03")
sys.stdout.buffer.write(said)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

test.each(faultLaunchers.filter(({ name }) => name === "local" || name === "openmpi4"))(
  "Ctrl-C on a terminal reaches the script once under $name",
  async (launcher) => {
    const onTerminal = ({ file, args, env }: Command): Command => ({
      file: python().path,
      args: ["-c", typist, file, ...args],
      env,
    });
    await using one = await launch(launcher, { script: saving, wrap: onTerminal });
    const finished = await one.ends();
    expect(finished.stdout, tell(finished)).toMatch(/saving SIG(INT|TERM)\r$/m);
    expect(finished.stdout, tell(finished)).toMatch(/^saved\r$/m);
    expect(finished.stdout.match(/saving/g), tell(finished)).toHaveLength(1);
    expect(expected(launcher.name, 5), tell(finished)).toContain(finished.code);
  },
);

test("a Ctrl-C that the built-in launcher passes on late is not a second one", async () => {
  await using clean = nothingLeft();
  const file = clean.write("saving.py", saving.replace("time.sleep(0.5)", "time.sleep(3)"));
  await using running = start(ours("--np", "4", "--no-dashboard", "--grace", "100s", file), {
    folder: clean.folder,
    env: jobEnvironment(clean),
  });
  await running.says(/^running$/m);
  running.signal("SIGSTOP");
  running.signalGroup("SIGINT");
  await running.says(/^saving SIG/m);
  await sleep(500);
  running.signal("SIGCONT");
  const finished = await running.finished;
  expect(finished.stdout, tell(finished)).toMatch(/^saving SIGINT\nsaved$/m);
  expect(finished.code, tell(finished)).toBe(5);
});

describe.each(faultLaunchers.filter(killsAll))("signals to the launcher under $name", (launcher) => {
  test("SIGTERM ends all at once, as srun does", async () => {
    await using one = await launch(launcher);
    await one.running.says(/^running$/m);
    one.running.signal("SIGTERM");
    const finished = await endsOrIsSwept(one, launcher);
    expect(finished.code, tell(finished)).not.toBe(0);
  });

  test("the first Ctrl-C is only reported and the script goes on", async () => {
    await using one = await launch(launcher);
    await one.running.says(/^running$/m);
    one.running.signalGroup("SIGINT");
    await one.running.says(/sending Ctrl-C|interrupt|one more within/);
    // srun takes another Ctrl-C within a second for an order to end all: when that is over, all still run.
    await sleep(1_200);
    letGo(one);
    const finished = await one.ends();
    expect(finished.code, tell(finished)).toBe(7);
  });

  test("a second Ctrl-C ends all", async () => {
    await using one = await launch(launcher);
    await one.running.says(/^running$/m);
    one.running.signalGroup("SIGINT");
    await one.running.says(/sending Ctrl-C|interrupt|one more within/);
    let over = false;
    void one.running.finished.then(() => {
      over = true;
    });
    const ended = endsOrIsSwept(one, launcher);
    // srun takes it for a second one within a second of the first, which may be over where the machine is busy.
    for (const pause of [3000, 200, 3000, 200, 3000, 200, 3000]) {
      if (!over) signalAll([-one.running.pid], "SIGINT");
      await Promise.race([ended, sleep(pause)]);
    }
    const finished = await ended;
    expect(finished.code, tell(finished)).not.toBe(0);
  });
});

/** How long (s) a launch takes to end when it is told to; a rank of it may be killed before it comes. */
async function endingOf({ withoutRank }: { readonly withoutRank?: string }): Promise<number> {
  await using clean = nothingLeft();
  await using running = start(ours("--np", "3", "--no-dashboard"), {
    folder: clean.folder,
    env: jobEnvironment(clean),
  });
  const ofRank = (rank: string): number | undefined =>
    tree(running.pid).find(({ pid, ppid }) => ppid === running.pid && environmentOf(pid).get("TSDASK_RANK") === rank)
      ?.pid;
  if (withoutRank !== undefined) {
    let pid = ofRank(withoutRank);
    for (; pid === undefined; pid = ofRank(withoutRank)) await sleep(1);
    signalAll([pid], "SIGKILL");
  }
  await running.says(/scheduler.json/);
  const before = running.seconds();
  running.signal("SIGTERM");
  const finished = await running.finished;
  expect(finished.code, tell(finished)).toBe(143);
  return finished.seconds - before;
}

test("a launch that is told to end does not wait for a rank that died before it came", async () => {
  const limit = deadlines.lateShells / 1000;
  const first = await endingOf({ withoutRank: "2" });
  if (first < limit) return;
  // On a busy machine, one that has all its ranks needs long, too; and it may have been busy for the first one alone.
  const usual = await endingOf({});
  const again = await endingOf({ withoutRank: "2" });
  expect(Math.min(first, again)).toBeLessThan(Math.max(limit, 3 * usual));
});
