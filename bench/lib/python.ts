import { existsSync } from "node:fs";
import { join } from "node:path";
import { command, isExecutable, projectRoot } from "../../test/integration/bed/command.ts";
import { output } from "../../test/integration/bed/run.ts";
import { refuse } from "./options.ts";
import { progress } from "./report.ts";

/** The Python with Dask that everything in a run uses, ours and the peers. */
export interface BenchPython {
  readonly path: string;
  /** What the peers need beside it, one folder for PYTHONPATH. */
  readonly peers: string;
  readonly versions: Readonly<Record<string, string>>;
}

/** The peers, without what they depend on: Dask is the one of the Python that they are compared on. */
const peerPackages = ["dask-mpi", "mpi4py", "dask-jobqueue"];

const versionsScript = `
import importlib.metadata as m, json, platform, sys
names = ["dask", "distributed", "numpy", "tornado", "bokeh", "dask-mpi", "mpi4py", "dask-jobqueue"]
found = {"python": platform.python_version()}
for name in names:
    try:
        found[name] = m.version(name)
    except m.PackageNotFoundError:
        pass
json.dump(found, sys.stdout)`;

/**
 * Takes the Python `requested`, or the project's own, installs the peers into `.tools/bench` when they are not there,
 * and asks for all versions.
 */
export async function benchPython(requested: string | undefined): Promise<BenchPython> {
  const path = requested ?? join(projectRoot, ".venv", "bin", "python");
  if (!isExecutable(path))
    refuse(`There is no ${path}: \`npm start\` makes it, or name a Python with Dask by --python.`);
  const peers = join(projectRoot, ".tools", "bench");
  if (!["dask_mpi", "mpi4py", "dask_jobqueue"].every((name) => existsSync(join(peers, name)))) {
    progress(`installing ${peerPackages.join(", ")} into .tools/bench`);
    await output(
      command(
        path,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-deps",
        "--target",
        peers,
        ...peerPackages,
      ),
      { deadline: 600 },
    ).catch((error: Error) => refuse(`${peerPackages.join(", ")} could not be installed: ${error.message}`));
  }
  const versions = JSON.parse(
    await output({ ...command(path, "-c", versionsScript), env: { PYTHONPATH: peers } }),
  ) as Record<string, string>;
  return { path, peers, versions };
}
