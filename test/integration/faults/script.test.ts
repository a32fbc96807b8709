import { describe, expect, test } from "vitest";
import { availableLaunchers } from "../bed/launchers.ts";
import { python } from "../bed/pythons.ts";
import { nothingLeft } from "../bed/left.ts";
import { run, tell } from "../bed/run.ts";
import { tsdask } from "../launch.ts";
import { codes, endsItself, endsWithin, faultLaunchers, launch, message } from "./fault.ts";

/**
 * A script that starts processes which outlive it, and hold its output open: in its own group, and in a session of
 * their own.
 */
const abandoning = `
import subprocess, sys
from dask.distributed import Client

if __name__ == "__main__":
    Client().submit(sum, [1]).result()
    subprocess.Popen(["sleep", "300"])
    subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], start_new_session=True)
    print("left", flush=True)
    sys.exit(3)
`;

describe.each(faultLaunchers)("the script under $name", (launcher) => {
  test("that is not there is refused at once, with 64", async () => {
    await using clean = nothingLeft();
    await launcher.ready();
    const finished = await run(
      launcher.command(4, [tsdask, "--python", python().path, "absent.py"], { endsItself: true }),
      {
        folder: clean.folder,
        env: clean.env,
        deadline: endsWithin(),
      },
    );
    expect(finished.code, tell(finished)).toBe(64);
    expect(finished.stderr).toMatch(message("TSD-015"));
    expect(finished.stderr.match(/TSD-015/g)).toHaveLength(1);
  });

  test("with a syntax error ends with Python's own words and code", async () => {
    await using one = await launch(launcher, { ...endsItself, script: "print('hello'\n" });
    const finished = await one.ends();
    expect(finished.code, tell(finished)).toBe(1);
    expect(finished.stderr).toContain("SyntaxError");
    expect(codes(finished)).toEqual([]);
  });

  test("may leave processes behind: they end with it", async () => {
    await using one = await launch(launcher, { ...endsItself, script: abandoning });
    const finished = await one.ends();
    expect(finished.code, tell(finished)).toBe(3);
    expect(finished.stdout).toContain("left");
  });
});

// Without a PMI, the hosts meet by a file.
test.each(availableLaunchers("srun-pmi2", "srun-none"))(
  "a script that is not there ends all hosts with 64, under $name on two nodes",
  async (launcher) => {
    await using clean = nothingLeft();
    await launcher.ready();
    const finished = await run(
      launcher.command(4, [tsdask, "--python", python().path, "absent.py"], {
        nodes: 2,
        options: ["--kill-on-bad-exit=0"],
      }),
      {
        folder: clean.folder,
        env: clean.env,
        deadline: endsWithin(),
      },
    );
    expect(finished.code, tell(finished)).toBe(64);
    expect(codes(finished), tell(finished)).toEqual(["TSD-015"]);
  },
);

describe.each(faultLaunchers.filter(({ name }) => name === "local"))("the Python under $name", (launcher) => {
  const start = async (words: readonly string[], env: Readonly<Record<string, string | undefined>> = {}) => {
    await using clean = nothingLeft();
    clean.write("script.py", "");
    // An isolated Python without its site-packages has everything but Dask.
    clean.write("bare", `#!/bin/sh\nexec ${python().path} -I -S "$@"\n`);
    clean.write("broken", "#!/bin/sh\necho the module is not loaded >&2\nexit 1\n");
    const finished = await run(launcher.command(4, [tsdask, ...words, "script.py"]), {
      folder: clean.folder,
      env: { ...clean.env, VIRTUAL_ENV: undefined, CONDA_PREFIX: undefined, ...env },
      deadline: endsWithin(),
    });
    await clean.check();
    return finished;
  };

  test("without Dask: 64, and how to install it", async () => {
    const finished = await start(["--python", "./bare"]);
    expect(finished.code, tell(finished)).toBe(64);
    expect(finished.stderr).toMatch(message("TSD-043"));
    expect(finished.stderr).not.toContain("Traceback");
  });

  test("that ends before it says anything: its last words", async () => {
    const finished = await start(["--python", "./broken"]);
    expect(finished.code, tell(finished)).toBe(69);
    expect(finished.stderr).toMatch(message("TSD-047"));
    expect(finished.stderr).toContain("the module is not loaded");
  });

  test("that is nowhere: 64, and how to name one", async () => {
    const finished = await start([], { PATH: "/nonexistent", TSDASK_NODE: process.execPath });
    expect(finished.code, tell(finished)).toBe(64);
    expect(finished.stderr).toMatch(message("TSD-040"));
  });

  test("that is not where --python says: 64", async () => {
    const finished = await start(["--python", "/nonexistent/python"]);
    expect(finished.code, tell(finished)).toBe(64);
    expect(finished.stderr).toMatch(message("TSD-041"));
  });
});
