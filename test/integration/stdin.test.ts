import { describe, expect, test } from "vitest";
import { command, type Command } from "./bed/command.ts";
import { hostsAvailable, startHosts } from "./bed/hosts.ts";
import { availableLaunchers, type Launcher } from "./bed/launchers.ts";
import { type Clean, nothingLeft } from "./bed/left.ts";
import { run, start, tell } from "./bed/run.ts";
import { program } from "./launch.ts";

const launchers = availableLaunchers("openmpi4", "mpich4", "srun-pmi2", "local");

/** The script is on rank 1, which the launcher gives no input but under srun and with the built-in launcher. */
const launch = async (clean: Clean, { command: of, ready }: Launcher, script: string): Promise<Command> => {
  await ready();
  clean.write("script.py", script);
  return of(4, program("--quiet", "script.py"));
};

/**
 * What reads a command's standard input from a shell's words; mpirun in a group of its own reads none unless it is
 * told.
 */
const fed = (by: string, { file, args, env }: Command): Command => ({
  ...command("bash", "-c", `${by} "$0" "$@"`, file, ...args),
  env,
});

const asks = `
if __name__ == "__main__":
    try:
        print("got", repr(input()), flush=True)
        print("then", repr(input()), flush=True)
    except EOFError:
        print("end", flush=True)
`;

describe.each(launchers)("under $name", (launcher) => {
  test("what is piped in reaches a script on another rank, every byte of it, and its end", async () => {
    await using clean = nothingLeft();
    const input = Array.from({ length: 2_000 }, (_, index) => `line ${index}: grüße\n`).join("");
    const whole = await launch(clean, launcher, "import sys\nsys.stdout.write(sys.stdin.read())\n");
    const result = await run(whole, { folder: clean.folder, env: clean.env, input });
    expect(result.code, tell(result)).toBe(0);
    expect(result.stdout).toBe(input);
  });

  test("what comes while the script waits for it, comes to it", async () => {
    await using clean = nothingLeft();
    const whole = fed(
      "(until [ -e asked ]; do sleep 0.1; done; echo late) |",
      await launch(clean, launcher, `open("asked", "w").close()\n${asks}`),
    );
    clean.allow(/(^| )asked$/);
    const result = await run(whole, { folder: clean.folder, env: clean.env });
    expect(result.stdout, tell(result)).toBe("got 'late'\nend\n");
  });

  test("without input, input() meets the end of file at once", async () => {
    await using clean = nothingLeft();
    const result = await run(await launch(clean, launcher, asks), {
      folder: clean.folder,
      env: clean.env,
    });
    expect(result.stdout, tell(result)).toBe("end\n");
    expect(result.code).toBe(0);
  });

  test("a script that reads nothing ends as ever, however much input is waiting", async () => {
    await using clean = nothingLeft();
    const result = await run(await launch(clean, launcher, `print("done")\n`), {
      folder: clean.folder,
      env: clean.env,
      input: "x".repeat(32_000),
    });
    expect(result, tell(result)).toMatchObject({ code: 0, stdout: "done\n" });
  });

  test("`-` runs the script that comes in, with its arguments, on the cluster", async () => {
    await using clean = nothingLeft();
    await launcher.ready();
    const script = `
import sys
from dask.distributed import Client

def double(x):
    return 2 * x

if __name__ == "__main__":
    print(sys.argv, Client().submit(double, 21).result(), repr(sys.stdin.read()))
    sys.exit(5)
`;
    const result = await run(launcher.command(4, program("--quiet", "-", "a", "--b")), {
      folder: clean.folder,
      env: clean.env,
      input: script,
    });
    expect(result.stdout, tell(result)).toBe("['-', 'a', '--b'] 42 ''\n");
    expect(result.code).toBe(5);
  });

  test("input without a script is refused with what to write instead", async () => {
    await using clean = nothingLeft();
    await launcher.ready();
    clean.write("script.py", asks);
    const result = await run(fed("cat script.py |", launcher.command(4, program("--quiet"))), {
      folder: clean.folder,
      env: clean.env,
    });
    expect(result.stderr, tell(result)).toMatch(/TSD-112 [\s\S]*`tsdask-mpi - < script\.py`/);
    expect(result.code).toBe(64);
  });
});

// srun kills what would clean up.
describe.each(launchers.filter(({ name }) => !name.startsWith("srun")))("under $name", (launcher) => {
  test("a pipe in which nothing is does not keep a cluster from serving", async () => {
    await using clean = nothingLeft();
    await launcher.ready();
    const whole = fed("sleep 200 |", launcher.command(4, program()));
    await using running = start(whole, { folder: clean.folder, env: clean.env });
    await running.says(/all 2 workers are in|all 3 workers are in/);
    running.signalGroup("SIGTERM");
    const result = await running.finished;
    expect(result.stderr, tell(result)).not.toContain("TSD-");
  });
});

describe.runIf(hostsAvailable() === true).each(["openmpi4", "mpich4"] as const)("on two hosts under %s", (kind) => {
  test.runIf(availableLaunchers(kind).length > 0)(
    "what is piped in reaches a script on the other host, every byte of it",
    async () => {
      await using hosts = await startHosts({ names: ["h1", "h2"] });
      await using clean = nothingLeft();
      const input = Array.from({ length: 1_500 }, (_, index) => `line ${index}: grüße\n`).join("");
      clean.write("script.py", "import sys, os\nsys.stdout.write(os.uname().nodename + sys.stdin.read())\n");
      const result = await run(hosts.mpirun(kind, { h1: 1, h2: 2 }, program("--quiet", "script.py")), {
        folder: clean.folder,
        env: clean.env,
        input,
      });
      expect(result.code, tell(result)).toBe(0);
      expect(result.stdout).toBe(`h2${input}`);
    },
  );
});
