import { execFileSync } from "node:child_process";
import { delimiter, join } from "node:path";
import { type Availability, isExecutable, projectRoot } from "./command.ts";

/**
 * A Python to test with: the newest Dask in the project's own environment, or Debian's, the oldest that is supported.
 */
export interface BedPython {
  readonly name: string;
  readonly path: string;
  /** Dask's version, such as "2022.12.1"; "" when it is not available. */
  readonly dask: string;
  readonly available: Availability;
}

/**
 * The Pythons that TSDASK_TEST_PYTHON lists (separated by colons), else the project's own and Debian's; usable here or
 * not.
 */
export const pythons: readonly BedPython[] = listed().map(([path, source]) => {
  const dask = daskVersion(path);
  const available = dask === undefined ? { missing: `Dask in ${path} (${source})` } : true;
  return { name: `Dask ${dask ?? source}`, path, dask: dask ?? "", available };
});

/** The first usable one, with which everything is tested that needs only one; throws when there is none. */
export function python(): BedPython {
  const found = pythons.find(({ available }) => available === true);
  if (found === undefined) throw new Error("No Python with Dask: npm test makes one in .venv");
  return found;
}

/** All usable ones: register a test per Python with these. */
export function availablePythons(): readonly BedPython[] {
  return pythons.filter(({ available }) => available === true);
}

/** Whether the Python to test with has JupyterLab and its Dask extension. */
export const hasDaskExtension = (): Availability => hasBoth("dask-labextension", "dask_labextension");

/** Whether the Python to test with has JupyterLab, and what Dask's cluster objects are shown with in a notebook. */
export const hasWidgets = (): Availability => hasBoth("ipywidgets", "ipywidgets");

function hasBoth(project: string, module: string): Availability {
  const found = pythons.find(({ available }) => available === true);
  if (found === undefined) return { missing: "a Python with Dask" };
  try {
    execFileSync(found.path, ["-c", `import jupyterlab, ${module}`], { stdio: "ignore" });
    return true;
  } catch {
    return { missing: `${project} from PyPI in ${found.path}` };
  }
}

function listed(): (readonly [path: string, source: string])[] {
  const named = process.env["TSDASK_TEST_PYTHON"];
  if (named !== undefined && named !== "")
    return named.split(delimiter).map((path) => [path, "named in TSDASK_TEST_PYTHON"] as const);
  return [
    [join(projectRoot, ".venv", "bin", "python"), "made by npm test"],
    ["/usr/bin/python3", "Debian: python3-distributed"],
  ];
}

function daskVersion(path: string): string | undefined {
  if (!isExecutable(path)) return undefined;
  try {
    const script =
      "import importlib.metadata as m; import importlib.util as u; assert u.find_spec('distributed'); print(m.version('dask'))";
    return execFileSync(path, ["-c", script], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return undefined; // This Python has no Dask: it is listed as missing.
  }
}
