import { existsSync, readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Command, isRoot } from "../bed/command.ts";
import { hostsAvailable, startHosts } from "../bed/hosts.ts";
import { availableLaunchers } from "../bed/launchers.ts";
import { nothingLeft } from "../bed/left.ts";
import { freePort } from "../bed/ports.ts";
import { run, tell } from "../bed/run.ts";
import { program } from "../launch.ts";
import { codes, endsItself, endsWithin, faultLaunchers, launch, letGo, message } from "./fault.ts";

const quick = `
from dask.distributed import Client

if __name__ == "__main__":
    print("total", Client().submit(sum, range(1000)).result(), flush=True)
`;

/** A scheduler.json as plain Dask writes it, of a scheduler at this port of loopback. */
const fileOf = (port: number): string =>
  JSON.stringify({
    type: "Scheduler",
    id: "Scheduler-1",
    address: `tcp://127.0.0.1:${port}`,
    services: {},
    workers: {},
  });

const schedulerFiles = (folder: string): string[] =>
  readdirSync(folder).filter((name) => /^scheduler.*\.json$/.test(name));

/** Slurm starts its tasks outside of what a wrapper sets up. */
const wrappable = faultLaunchers.filter(({ name }) => !name.startsWith("srun"));

describe.each(faultLaunchers)("scheduler.json under $name", (launcher) => {
  test("of a cluster that is gone is replaced, and removed at the end", async () => {
    await using one = await launch(launcher, { script: quick, files: { "scheduler.json": fileOf(await freePort()) } });
    const finished = await one.ends();
    expect(finished.code, tell(finished)).toBe(0);
    expect(finished.stdout).toContain("total 499500");
    expect(schedulerFiles(one.clean.folder)).toEqual([]);
  });

  test("of two launches that start at once in one folder goes to one, the other takes a name of its own", async () => {
    await using clean = nothingLeft();
    await using one = await launch(launcher, { ...endsItself, clean });
    await using other = await launch(launcher, { ...endsItself, clean });
    await Promise.all([one, other].map(({ running }) => running.says(/^running$/m)));
    // A script may run before its scheduler's file is there.
    await expect.poll(() => schedulerFiles(clean.folder), { timeout: 30_000 }).toHaveLength(2);
    const files = schedulerFiles(clean.folder);
    expect(files).toContain("scheduler.json");
    expect(
      new Set(
        files.map(
          (name) => (JSON.parse(readFileSync(join(clean.folder, name), "utf8")) as { address: string }).address,
        ),
      ).size,
    ).toBe(2);
    letGo(one);
    const ends = await Promise.all([one, other].map(({ running }) => running.finished));
    for (const finished of ends) expect(finished.code, tell(finished)).toBe(7);
    expect(
      ends.filter(({ stderr }) => stderr.includes("belongs to another running cluster and is left alone")),
    ).toHaveLength(1);
    await clean.check();
  });
});

describe.each(faultLaunchers.filter(({ name }) => name === "local"))(
  "a named scheduler file under $name",
  (launcher) => {
    const options = ["--scheduler-file", "mine.json"];

    test("that is no scheduler.json at all is replaced", async () => {
      await using one = await launch(launcher, { script: quick, options, files: { "mine.json": "half a fi" } });
      const finished = await one.ends();
      expect(finished.code, tell(finished)).toBe(0);
      expect(existsSync(join(one.clean.folder, "mine.json"))).toBe(false);
    });

    test("of two launches that start at once goes to one, the other ends with 64", async () => {
      await using clean = nothingLeft();
      await using one = await launch(launcher, { clean, options });
      await using other = await launch(launcher, { clean, options });
      const refused = await Promise.race(
        [one, other].map(async (each) => ({ each, finished: await each.running.finished })),
      );
      expect(refused.finished.code, tell(refused.finished)).toBe(64);
      expect(refused.finished.seconds).toBeLessThan(endsWithin());
      expect(refused.finished.stderr).toMatch(message("TSD-025"));
      const winner = refused.each === one ? other : one;
      await winner.running.says(/^running$/m);
      letGo(winner);
      const finished = await winner.ends();
      expect(finished.code, tell(finished)).toBe(7);
    });

    test("whose name a folder has is refused with 64", async () => {
      await using one = await launch(launcher, { script: quick, options, files: { "mine.json/inside": "" } });
      const finished = await one.ends();
      expect(finished.code, tell(finished)).toBe(64);
      expect(finished.stderr).toMatch(message("TSD-026"));
    });
  },
);

describe.each(wrappable)("a folder that cannot be written under $name", (launcher) => {
  /** As on a node that mounts the home folders read-only; an ordinary user takes his own right to write away. */
  const readOnly = ({ file, args, env }: Command): Command => {
    if (!isRoot)
      return {
        file: "sh",
        args: ["-c", 'chmod 555 . && "$0" "$@"; code=$?; chmod 755 .; exit $code', file, ...args],
        env,
      };
    return {
      file: "unshare",
      args: [
        "--mount",
        "sh",
        "-c",
        'here=$(pwd -P) && mount --bind "$here" "$here" && mount -o remount,ro,bind "$here" && cd "$here" && exec "$0" "$@"',
        file,
        ...args,
      ],
      env,
    };
  };

  test("ends the launch with 69, and says where to start instead", async () => {
    await using one = await launch(launcher, { ...endsItself, script: quick, wrap: readOnly });
    const finished = await one.ends();
    expect(finished.code, tell(finished)).toBe(69);
    expect(finished.stderr).toMatch(message("TSD-072"));
    expect(finished.stderr.match(/TSD-072/g)).toHaveLength(1);
  });
});

describe.each(faultLaunchers)("a port that is taken under $name", (launcher) => {
  test("ends the launch with 69, and is named", async () => {
    const taken = createServer();
    const port = await new Promise<number>((resolve) => {
      taken.listen(0, () => {
        const address = taken.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
    try {
      await using one = await launch(launcher, {
        ...endsItself,
        script: quick,
        options: ["--scheduler-port", String(port)],
      });
      const finished = await one.ends();
      expect(finished.code, tell(finished)).toBe(69);
      expect(finished.stderr).toMatch(message("TSD-028"));
      expect(finished.stderr).toContain(`Port ${port} of`);
      expect(finished.stderr).not.toContain("Traceback");
      expect(codes(finished)).toEqual(["TSD-028"]);
    } finally {
      taken.close();
    }
  });
});

if (hostsAvailable() === true) {
  const kinds = availableLaunchers("openmpi4", "mpich4").map(({ name }) => name as "openmpi4" | "mpich4");
  describe.each(kinds)("a folder that only rank 0 can see under %s", (kind) => {
    test(
      kind === "mpich4" ? "does not matter: the hosts meet by PMI" : "ends the launch with 69 and says so",
      async () => {
        await using clean = nothingLeft();
        await using hosts = await startHosts({ names: ["h1", "h2"], unshared: { h2: [clean.folder] } });
        clean.write("script.py", quick);
        const finished = await run(hosts.mpirun(kind, { h1: 2, h2: 1 }, program("script.py")), {
          folder: clean.folder,
          env: clean.env,
          deadline: 100,
        });
        if (kind === "mpich4") {
          expect(finished.code, tell(finished)).toBe(0);
          expect(finished.stdout).toContain("total 499500");
          return;
        }
        expect(finished.code, tell(finished)).toBe(69);
        // Six of these seconds are the deadline for the record of a folder on a file system of one host alone.
        expect(finished.seconds).toBeLessThan(2 * endsWithin());
        expect(finished.stderr).toMatch(message("TSD-021"));
        await clean.check();
      },
    );
  });
}
