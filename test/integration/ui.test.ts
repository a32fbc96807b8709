import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Command, command } from "./bed/command.ts";
import { availableLaunchers, type Launcher } from "./bed/launchers.ts";
import { type Clean, nothingLeft } from "./bed/left.ts";
import { python as pythonHere } from "./bed/pythons.ts";
import { type Finished, run, start, tell } from "./bed/run.ts";
import { program } from "./launch.ts";

const host = hostname().split(".")[0] ?? "";
/** Launchers give their stdin to rank 0: these make it the script's. */
const scriptOnRank0 = ["--client-rank", "0", "--scheduler-rank", "1"];

const python = (body: string): string => `import sys\nfrom dask.distributed import Client\n${body}`;

/** A preload that keeps workers from registering until that file is there. */
const held = (go: string): string => `
import asyncio, os

async def dask_setup(server):
    while type(server).__name__ == "Worker" and not os.path.exists(${JSON.stringify(go)}):
        await asyncio.sleep(0.05)
`;

/** The lines of ours, of Dask's processes, and of nobody known, on stderr. */
const sorted = ({ stderr }: Finished): { ours: string[]; labelled: string[]; other: string[] } => {
  const lines = stderr.split("\n").filter((line) => line !== "");
  const ours = lines.filter((line) => line.startsWith("tsdask-mpi:"));
  const labelled = lines.filter((line) => /^\[rank \d+ \S+\] /.test(line));
  return { ours, labelled, other: lines.filter((line) => !ours.includes(line) && !labelled.includes(line)) };
};

/** The same command with its stdout in a file, so that no byte of it is decoded on the way. */
const intoFile = ({ file, args, env }: Command, path: string, more = ""): Command => ({
  ...command("bash", "-c", `exec "$@" >"$0" ${more}`, path, file, ...args),
  env,
});

const launch = async (
  clean: Clean,
  { command: of, ready }: Launcher,
  script: string,
  options: readonly string[] = [],
): Promise<Command> => {
  await ready();
  clean.write("script.py", script);
  return of(4, program(...options, "script.py"));
};

describe.each(availableLaunchers("openmpi4", "mpich4", "local"))("under $name", (launcher) => {
  test("stdout is the script's, byte for byte: 10 MB of binary without a newline at the end", {
    timeout: 90_000,
  }, async () => {
    await using clean = nothingLeft();
    const script = `import random, sys\nrandom.seed(7)\nsys.stdout.buffer.write(random.randbytes(10_000_000) + b"\\xff\\x00end")\n`;
    const out = clean.write("out.bin", "");
    const expected = clean.write("expected.bin", "");
    const result = await run(intoFile(await launch(clean, launcher, script), out), {
      folder: clean.folder,
      env: clean.env,
    });
    await run(intoFile(command(pythonHere().path, "script.py"), expected), { folder: clean.folder });
    expect(result.code, tell(result)).toBe(0);
    expect(readFileSync(out).length).toBe(10_000_005);
    expect(sha256(out)).toBe(sha256(expected));
  });

  test("what the script says on stderr is its own, what tasks print carries their rank and host", {
    timeout: 60_000,
  }, async () => {
    await using clean = nothingLeft();
    const script = python(`
def shout(x):
    print("from a task", x)
    return x

if __name__ == "__main__":
    client = Client()
    assert sorted(client.gather(client.map(shout, range(4)))) == [0, 1, 2, 3]
    print("to stderr", file=sys.stderr)
    print("to stdout")
    sys.exit(7)
`);
    const result = await run(await launch(clean, launcher, script, ["--wait-workers", "all"]), {
      folder: clean.folder,
      env: clean.env,
    });
    expect(result.code, tell(result)).toBe(7);
    expect(result.stdout).toBe("to stdout\n");
    const { ours, labelled, other } = sorted(result);
    expect(other).toContain("to stderr");
    expect(labelled.filter((line) => line.includes("from a task"))).toHaveLength(4);
    for (const line of labelled) expect(line).toMatch(new RegExp(`^\\[rank [0-3] ${host}\\] `));
    expect(ours.at(-2)).toMatch(/script\.py ended with exit code 7 after .+ on 2 workers\.$/);
    // Of workers that are ending as they are asked the system does not tell the memory.
    expect(ours.at(-1)).toMatch(/^tsdask-mpi: 4 tasks, processor .+ of 2 threads(?:, at most .+ of .+ in a worker)?$/);
    expect(result.stderr).not.toMatch(/Traceback|CommClosedError|Exception/);
  });

  test("the block at the start says who is what, and the progress ends with all workers", {
    timeout: 60_000,
  }, async () => {
    await using clean = nothingLeft();
    const script = python(`if __name__ == "__main__":\n    Client().wait_for_workers(2)\n`);
    const result = await run(await launch(clean, launcher, script, ["--wait-workers", "all"]), {
      folder: clean.folder,
      env: clean.env,
    });
    expect(result.code, tell(result)).toBe(0);
    const text = sorted(result).ours.join("\n");
    expect(text).toMatch(/4 ranks started by .+ on /);
    expect(text).toMatch(/rank 0 scheduler, rank 1 client, ranks 2-3 workers/);
    expect(text).toMatch(/scheduler +tls:\/\//);
    expect(text).toMatch(/all 2 workers are in after /);
    expect(text).toMatch(/script\.py finished after .+ on 2 workers\.$/m);
    expect(text).toMatch(/a client connected, no task ran: nothing was submitted to it, .+$/);
    expect(result.stderr).not.toContain("\u001b");
  });

  test("with --quiet nothing is said when nothing is wrong", { timeout: 60_000 }, async () => {
    await using clean = nothingLeft();
    const result = await run(await launch(clean, launcher, `print("hello", end="")\n`, ["--quiet", "--no-dashboard"]), {
      folder: clean.folder,
      env: clean.env,
    });
    expect(result).toMatchObject({ code: 0, stdout: "hello", stderr: "" });
  });
});

// MPICH's mpiexec dies itself of a stderr that nobody reads.
describe.each(availableLaunchers("openmpi4", "local"))("stderr under $name", (launcher) => {
  test("a reader of stderr that goes away costs the text, not the launch", { timeout: 60_000 }, async () => {
    await using clean = nothingLeft();
    const out = clean.write("out", "");
    const whole = intoFile(await launch(clean, launcher, `print("done")\n`), out, "2> >(exec 0<&-)");
    const result = await run(whole, { folder: clean.folder, env: clean.env });
    expect(result.code).toBe(0);
    expect(readFileSync(out, "utf8")).toBe("done\n");
  });
});

describe.each(availableLaunchers("openmpi4", "mpich4", "local"))("on a terminal under $name", (launcher) => {
  test("a bar grows while the script waits for the workers, and goes before the script has the terminal", {
    timeout: 60_000,
  }, async () => {
    await using clean = nothingLeft();
    clean.write("held.py", held(join(clean.folder, "go")));
    const options = ["--wait-workers", "all", "--spawn", "exec", "--preload", "./held.py"];
    const { file, args, env } = await launch(clean, launcher, `print("script starts")\n`, options);
    const words = [file, ...args].map((word) => `'${word}'`).join(" ");
    await using running = start(
      { ...command("script", "-qefc", words, "/dev/null"), env },
      { folder: clean.folder, env: clean.env },
    );
    await running.says(/\[-+\] 0 of 2 workers are in/);
    clean.write("go", "");
    const result = await running.finished;
    expect(result.code, tell(result)).toBe(0);
    const [before = "", after = ""] = result.stdout.split("script starts");
    expect(before).toMatch(/\r\u001b\[Ktsdask-mpi: \[-+\] 0 of 2 workers are in/);
    expect(before).toMatch(/tsdask-mpi: all 2 workers are in after /);
    expect(after).not.toContain("\u001b");
    expect(after).toContain("script.py finished after");
  });
});

describe.each(availableLaunchers("openmpi4", "mpich4", "local"))("stdin under $name", (launcher) => {
  test("is the script's", { timeout: 60_000 }, async () => {
    await using clean = nothingLeft();
    // Of more than a pipe holds (64 KB), MPICH's mpiexec gives up, and Open MPI 4's mpirun now and then dies itself
    // (https://github.com/open-mpi/ompi/issues/7483; so it does for a rank that is nothing but a late Python).
    const lines = launcher.name === "local" ? 20_000 : 2_000;
    const input = Array.from({ length: lines }, (_, index) => `line ${index}\n`).join("");
    const whole = await launch(clean, launcher, "import sys\nsys.stdout.write(sys.stdin.read())\n", scriptOnRank0);
    const result = await run(whole, { folder: clean.folder, env: clean.env, input });
    expect(result.code, tell(result)).toBe(0);
    expect(result.stdout).toBe(input);
  });
});

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}
