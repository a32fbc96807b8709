import { expect, test } from "vitest";
import { command, type Command } from "./bed/command.ts";
import { launcher } from "./bed/launchers.ts";
import { type Clean, nothingLeft } from "./bed/left.ts";
import { run, tell } from "./bed/run.ts";
import { typing, type Step } from "./bed/typist.ts";
import { program } from "./launch.ts";

const typed = async (
  clean: Clean,
  words: readonly string[],
  steps: readonly Step[],
  wrap = (one: Command): Command => one,
): Promise<Awaited<ReturnType<typeof run>>> => {
  const { file, args, env } = wrap(launcher("local").command(4, program("--quiet", ...words)));
  return run(typing(steps, { file, args, env }), { folder: clean.folder, env: clean.env, deadline: 40 });
};

const deaf = `
import signal, time

if __name__ == "__main__":
    signal.signal(signal.SIGINT, lambda *_: print("heard", flush=True))
    print("running", flush=True)
    time.sleep(60)
`;

test.each([0.1, 0.6])(
  "Ctrl-C twice, %s s apart, ends a deaf script at once and says by whom",
  // Two that come while a busy machine keeps a process from running are one signal to it.
  { timeout: 60_000, retry: 1 },
  async (pause) => {
    await using clean = nothingLeft();
    clean.write("script.py", deaf);
    const result = await typed(
      clean,
      ["--grace", "30s", "script.py"],
      [
        ["running", 0.2, "\u0003"],
        ["heard", pause, "\u0003"],
      ],
    );
    expect(result.code, tell(result)).toBe(130);
    expect(result.stdout).toContain("stopped by you");
    expect(result.stdout).not.toMatch(/TSD-|memory/);
    expect(result.seconds).toBeLessThan(20);
  },
);

test("a script that Ctrl-C ends, ends the launch with 130", { timeout: 60_000 }, async () => {
  await using clean = nothingLeft();
  clean.write(
    "script.py",
    `import time\nfrom dask.distributed import Client\nif __name__ == "__main__":\n    client = Client()\n    print("running", flush=True)\n    client.gather(client.map(time.sleep, range(60, 160)))\n`,
  );
  const result = await typed(clean, ["script.py"], [["running", 0.2, "\u0003"]]);
  expect(result.code, tell(result)).toBe(130);
  expect(result.stdout.match(/Traceback/g), tell(result)).toHaveLength(1);
  expect(result.stdout).not.toMatch(/CommClosedError|AllExit|TSD-/);
});

test("at Python's prompt Ctrl-C ends the line, Ctrl-D the launch, and the terminal is the launch's own", {
  timeout: 60_000,
}, async () => {
  await using clean = nothingLeft();
  const result = await typed(
    clean,
    ["-"],
    [
      [">>> ", 0.1, "import os; os.get_terminal_size().columns\r"],
      ["101", 0.1, "unfinished"],
      ["unfinished", 0.1, "\u0003"],
      ["KeyboardInterrupt", 0.5, "\u0003"],
      ["KeyboardInterrupt", 0.5, "print(6 * 7)\r"],
      ["\n42", 0.2, "\u0004"],
    ],
  );
  expect(result.code, tell(result)).toBe(0);
  expect(result.stdout).not.toContain("stopped by");
});

test("Ctrl-Z stops a launch, and fg lets it go on", { timeout: 60_000 }, async () => {
  await using clean = nothingLeft();
  clean.write(
    "script.py",
    `if __name__ == "__main__":\n    print("running", flush=True)\n    print("got", input(), flush=True)\n`,
  );
  // A shell with job control: what stops is told, and brought back.
  const inShell = ({ file, args, env }: Command): Command => ({
    ...command("bash", "-c", 'set -m; "$@"; echo "stopped with $?"; fg >/dev/null', "bash", file, ...args),
    env,
  });
  const result = await typed(
    clean,
    ["script.py"],
    [
      ["running", 0.3, "\u001a"],
      ["stopped with 148", 0.5, "more\r"],
    ],
    inShell,
  );
  expect(result.stdout, tell(result)).toContain("got more");
  expect(result.code).toBe(0);
});
