import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Command } from "./bed/command.ts";
import { availableLaunchers, launcher, type Launcher } from "./bed/launchers.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { listeners } from "./bed/processes.ts";
import { run, start, tell, type Running } from "./bed/run.ts";
import { program } from "./launch.ts";

interface Output {
  readonly output_type: string;
  readonly name?: string;
  readonly text?: readonly string[];
  readonly ename?: string;
  readonly data?: Readonly<Record<string, readonly string[]>>;
}

interface Cell {
  readonly source: readonly string[] | string;
  readonly outputs: readonly Output[];
}

/** A notebook whose cells have these sources; the first one is tagged for parameters. */
const notebook = (...sources: readonly string[]): string =>
  JSON.stringify({
    nbformat: 4,
    nbformat_minor: 5,
    // A kernel of this name is nowhere: the cluster's Python is taken.
    metadata: { kernelspec: { name: "elsewhere", display_name: "Elsewhere", language: "python" } },
    cells: sources.map((source, index) => ({
      cell_type: "code",
      id: `c${index}`,
      metadata: index === 0 ? { tags: ["parameters"] } : {},
      execution_count: null,
      outputs: [],
      source,
    })),
  });

const cellsOf = (clean: Clean, name = "n.out.ipynb"): readonly Cell[] =>
  (JSON.parse(readFileSync(join(clean.folder, name), "utf8")) as { readonly cells: readonly Cell[] }).cells;

const shown = ({ outputs }: Cell): string =>
  outputs
    .map(({ text, data, ename }) => [...(text ?? []), ...(data?.["text/plain"] ?? []), ename ?? ""].join(""))
    .join("");

/**
 * Nine cells that compute on the cluster, and one that goes on and on; its pids and the runner's are said on stdout.
 */
const tenCells = notebook(
  "from dask.distributed import Client\nclient = Client()",
  ...Array.from({ length: 8 }, (_, index) => `client.submit(pow, ${index + 2}, 2).result()`),
  "import os, time\nprint('kernel', os.getpid(), 'runner', os.getppid(), flush=True)\nwhile True: time.sleep(0.1)",
);

const endedAtTenth = (clean: Clean, error?: string): void => {
  const cells = cellsOf(clean);
  expect(cells.slice(1, 9).map(shown)).toEqual([4, 9, 16, 25, 36, 49, 64, 81].map(String));
  if (error !== undefined) expect(cells[9]?.outputs.map(({ ename }) => ename ?? "")).toContain(error);
};

const begin = (launching: Pick<Launcher, "command">, clean: Clean, ...options: readonly string[]): Running => {
  clean.write("n.ipynb", tenCells);
  clean.allow(/^n\.out\.ipynb$/);
  return start(launching.command(3, program(...options, "n.ipynb")), {
    folder: clean.folder,
    env: clean.env,
    deadline: 110,
  });
};

const pids = async (running: Running): Promise<{ readonly kernel: number; readonly runner: number }> => {
  const [, kernel, runner] = await running.says(/kernel (\d+) runner (\d+)/, 60);
  return { kernel: Number(kernel), runner: Number(runner) };
};

describe.each(availableLaunchers("openmpi4", "local"))("a notebook at its tenth cell under $name", (launching) => {
  test("keeps its outputs when its kernel is killed, and says what that often is", async () => {
    await using clean = nothingLeft({ within: 10 });
    await using running = begin(launching, clean);
    process.kill((await pids(running)).kernel, "SIGKILL");
    const result = await running.finished;
    expect(result.code, tell(result)).toBe(137);
    expect(result.stderr).toMatch(/TSD-110[\s\S]*SIGKILL[\s\S]*cell 10 of 10/);
    endedAtTenth(clean, "DeadKernelError");
  });

  test("keeps its outputs when what executes it is killed", async () => {
    await using clean = nothingLeft({ within: 10 });
    await using running = begin(launching, clean);
    process.kill((await pids(running)).runner, "SIGKILL");
    const result = await running.finished;
    expect(result.code, tell(result)).toBe(137);
    endedAtTenth(clean);
  });

  test("keeps its outputs when the launcher is told to end", async () => {
    await using clean = nothingLeft({ within: 10 });
    // Open MPI 4 leaves ranks one second between SIGTERM and SIGKILL, which saving may take where others compute.
    const patient = (...words: Parameters<Launcher["command"]>): Command => {
      const line = launching.command(...words);
      return { ...line, env: { ...line.env, OMPI_MCA_odls_base_sigkill_timeout: "10" } };
    };
    await using running = begin({ command: patient }, clean);
    await pids(running);
    running.signal("SIGTERM");
    const result = await running.finished;
    expect(result.code, tell(result)).not.toBe(0);
    expect(result.timedOut).toBe(false);
    endedAtTenth(clean, "Terminated");
  });

  test("keeps its outputs when the launcher is killed", async () => {
    await using clean = nothingLeft({ within: 15 });
    await using running = begin(launching, clean);
    await pids(running);
    running.signal("SIGKILL");
    await running.finished;
    await clean.check(15);
    endedAtTenth(clean);
  });
});

describe("a notebook", () => {
  test.concurrent("keeps its outputs when its walltime is over", { timeout: 200_000 }, async () => {
    // A slow machine may need the second one to come to the tenth cell.
    for (const walltime of [30, 80]) {
      await using clean = nothingLeft({ within: 10 });
      await using running = begin(
        launcher("local"),
        clean,
        "--walltime",
        `${walltime}s`,
        "--drain",
        "4s",
        "--grace",
        "4s",
      );
      const result = await running.finished;
      expect(result.code, tell(result)).not.toBe(0);
      expect(result.timedOut).toBe(false);
      if (walltime === 30 && !/kernel \d+/.test(result.stdout)) {
        clean.allow(/./);
        continue;
      }
      expect(result.seconds).toBeLessThan(walltime + 10);
      endedAtTenth(clean, "Terminated");
      return;
    }
  });

  test.concurrent("ends with 130 on Ctrl-C, and the cell has the KeyboardInterrupt", async () => {
    await using clean = nothingLeft({ within: 10 });
    await using running = begin(launcher("local"), clean);
    await pids(running);
    running.signalGroup("SIGINT");
    const result = await running.finished;
    expect(result.code, tell(result)).toBe(130);
    endedAtTenth(clean, "KeyboardInterrupt");
  });

  test("that fails at its last cell has all outputs and the error, takes parameters, and shows stdout and stderr as they are", async () => {
    await using clean = nothingLeft();
    const text = notebook(
      "year = 1\nname = 'x'\nwhole = 'x'",
      "import sys\nprint(repr((year, name, whole, flag)))\nprint('to stderr', file=sys.stderr)",
      "import os, here\n(here.value, os.path.basename(os.getcwd()))",
      "import subprocess\n_ = subprocess.run(['echo', 'from below'])",
      "raise ValueError('at the last')",
    );
    clean.write("sub/n.ipynb", text);
    // The notebook's folder is on its path, but what executes it takes nothing from there.
    clean.write("sub/here.py", "value = 3\n");
    for (const folder of ["", "sub/"])
      clean.write(`${folder}types.py`, "raise SystemExit('the standard library is shadowed')\n");
    clean.write("kept.ipynb", "");
    const words = [
      "sub/n.ipynb",
      "-p",
      "year",
      "2.5",
      "-r",
      "whole",
      "007",
      "-p",
      "name",
      "None",
      "--parameter",
      "flag",
      "True",
      "--output",
      "kept.ipynb",
    ];
    const result = await run(launcher("local").command(3, program(...words)), {
      folder: clean.folder,
      env: clean.env,
      deadline: 60,
    });
    expect(result.code, tell(result)).toBe(1);
    expect(result.stdout).toBe("(2.5, None, '007', True)\n(3, 'sub')\nfrom below\n");
    expect(result.stderr).toMatch(/to stderr[\s\S]*ValueError: at the last[\s\S]*cell 6 of 6 failed/);
    expect(result.stderr).toContain('the cell tagged "parameters" has no flag');
    const cells = cellsOf(clean, "kept.ipynb");
    expect(cells.map(shown)).toEqual([
      "",
      "",
      expect.stringMatching(/2\.5[\s\S]*to stderr/),
      "(3, 'sub')",
      "from below\n",
      "ValueError",
    ]);
    expect(readFileSync(join(clean.folder, "sub/n.ipynb"), "utf8")).toBe(text);
  });

  test("shows and saves what a cell says while it runs, has no ports for its channels, and is saved in place when asked", async () => {
    await using clean = nothingLeft({ within: 10 });
    clean.write(
      "n.ipynb",
      notebook(
        "",
        "import os, pathlib, time\nprint('kernel', os.getpid(), 'runner', os.getppid())\nwhile not pathlib.Path('go').exists(): time.sleep(0.05)\nprint('gone on')",
      ),
    );
    await using running = start(launcher("local").command(3, program("n.ipynb", "--in-place")), {
      folder: clean.folder,
      env: clean.env,
      deadline: 60,
    });
    const { kernel, runner } = await pids(running);
    // ipykernel opens one port on the loopback for what forked processes print; whoever writes to it needs its secret.
    // The kernel's five channels are no ports.
    expect(listeners([runner])).toEqual([]);
    expect(listeners([kernel]).length).toBeLessThanOrEqual(1);
    await expect.poll(() => shown(cellsOf(clean, "n.ipynb")[1] as Cell), { timeout: 10_000 }).toContain("kernel");
    clean.write("go", "");
    const result = await running.finished;
    expect(result.code, tell(result)).toBe(0);
    expect(shown(cellsOf(clean, "n.ipynb")[1] as Cell)).toContain("gone on");
  });

  test("that cannot be executed is refused with 64 before anything starts", async () => {
    await using clean = nothingLeft();
    clean.write("empty.ipynb", "");
    clean.write("text.ipynb", "no JSON");
    clean.write("old.ipynb", '{"nbformat": 3, "worksheets": []}');
    clean.write("other.ipynb", "{}");
    clean.write("folder.ipynb/x", "");
    clean.write("n.ipynb", notebook("1"));
    const cases = [
      ["empty.ipynb", "it is empty"],
      ["text.ipynb", "not JSON"],
      ["old.ipynb", "its format is 3"],
      ["other.ipynb", "no notebook"],
      ["folder.ipynb", "it is a folder"],
      ["gone.ipynb", "TSD-015"],
      ["n.ipynb --output folder.ipynb", "it is a folder"],
      ["n.ipynb --output none/x.ipynb", "there is no folder"],
      ["n.ipynb --output n.ipynb", "--in-place if you mean it"],
      ["n.ipynb -p a", "TSD-008"],
    ] as const;
    for (const [words, part] of cases) {
      const result = await run(launcher("local").command(2, program("--inclusive-workers", ...words.split(" "))), {
        folder: clean.folder,
        env: clean.env,
      });
      expect([result.code, result.stderr.includes(part)], `${words}: ${result.stderr}`).toEqual([64, true]);
    }
  });

  test("whose kernel is not there, or whose parameter is no name, ends with 64", async () => {
    await using clean = nothingLeft();
    clean.write("n.ipynb", notebook("1"));
    for (const [words, part] of [
      ["--kernel elsewhere", "no kernel named 'elsewhere'"],
      ["-p 1x 2", "no name of a Python variable"],
    ] as const) {
      const result = await run(
        launcher("local").command(2, program("--inclusive-workers", "n.ipynb", ...words.split(" "))),
        { folder: clean.folder, env: clean.env },
      );
      expect([result.code, result.stderr.includes(part)], result.stderr).toEqual([64, true]);
    }
  });
});

describe("what belongs to the cluster's Python", () => {
  test("is found after `--`, also by what is started there", async () => {
    await using clean = nothingLeft();
    const code =
      "import subprocess, sys; print(sys.executable); print(subprocess.run(['python', '-c', 'import sys; print(sys.executable)'], capture_output=True, text=True).stdout, end='')";
    const [, python = ""] = program().slice(1);
    const result = await run(launcher("local").command(3, program("--", "python", "-c", code)), {
      folder: clean.folder,
      env: { ...clean.env, PATH: "/usr/bin:/bin" },
    });
    expect(result.code, tell(result)).toBe(0);
    expect(result.stdout).toBe(`${python}\n${python}\n`);
  });
});

describe("what lies beside is found by workers, too", () => {
  const helper = "def double(x):\n    return 2 * x\n";
  const submits = "from dask.distributed import Client\nimport helper\n";

  test.concurrent("a module beside a notebook in another folder", async () => {
    await using clean = nothingLeft();
    clean.write("deep/helper.py", helper);
    clean.write("deep/n.ipynb", notebook(`${submits}Client().submit(helper.double, 4).result()`));
    clean.allow(/^deep\/(n\.out\.ipynb$|__pycache__)/);
    const result = await run(launcher("local").command(3, program("deep/n.ipynb")), {
      folder: clean.folder,
      env: clean.env,
    });
    expect(result.code, tell(result)).toBe(0);
    expect(cellsOf(clean, "deep/n.out.ipynb").map(shown)).toEqual(["8"]);
  });

  test.concurrent("a package that `python -m` starts in its own folder", async () => {
    await using clean = nothingLeft();
    clean.write("pkg/__init__.py", "");
    clean.write("pkg/helper.py", helper);
    const main = "if __name__ == '__main__':\n    print(Client().submit(helper.double, 4).result())\n";
    clean.write("pkg/__main__.py", submits.replace("import helper", "from pkg import helper") + main);
    clean.allow(/__pycache__/);
    const result = await run(launcher("local").command(3, program("--", "python", "-m", "pkg")), {
      folder: clean.folder,
      env: clean.env,
    });
    expect(result.code, tell(result)).toBe(0);
    expect(result.stdout).toBe("8\n");
  });
});
