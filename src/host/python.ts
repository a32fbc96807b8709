import { accessSync, constants, readdirSync, readlinkSync, type Stats, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

import type { PythonReport } from "../protocol/messages.ts";
import { Failure } from "../errors/failure.ts";
import type { PythonTrouble } from "./python-trouble.ts";

/** The Python that runs Dask, and what named it, for people to read. */
export interface PythonFound {
  readonly path: string;
  readonly from: "--python" | "VIRTUAL_ENV" | "CONDA_PREFIX" | "its own environment" | "PATH";
}

/**
 * Finds the Python that runs Dask: `--python` (a path, or a name in PATH), the active virtual environment's, the active
 * conda environment's (neither where it has no Dask and PATH begins with a Python that has), that of the environment
 * with Dask that tsdask-mpi was installed into by pip, else the first `python3` or `python` in PATH. Looks at a few
 * files for each place; nothing is started. Throws Failure TSD-040 when there is none, TSD-041 when `--python` names
 * something that cannot be run, TSD-111 when what was chosen may not be read.
 */
export function findPython({
  requested,
  env,
  cwd,
  host,
  pythonRoot,
}: {
  /** The folder of our own Python modules. */
  readonly pythonRoot?: string;
  readonly requested: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly host: string;
}): PythonFound {
  if (requested !== undefined)
    return { path: readable(requestedPath(requested, env, cwd, host), "--python", host), from: "--python" };
  const own = ownEnvironment(pythonRoot);
  for (const from of ["VIRTUAL_ENV", "CONDA_PREFIX"] as const) {
    const prefix = env[from];
    const path = prefix ? join(prefix, "bin", "python") : undefined;
    if (prefix && !hasDask(prefix) && (own !== undefined || isOverruled(prefix, env))) continue;
    if (path !== undefined && (kind(path) === "program" || kind(path) === "denied"))
      return { path: readable(path, from, host), from };
  }
  if (own !== undefined) return { path: join(own, "bin", "python"), from: "its own environment" };
  const path = inPath(["python3", "python"], env);
  if (path !== undefined) return { path: readable(path, "PATH", host), from: "PATH" };
  throw new Failure("TSD-040", { host, path: env["PATH"] ?? "(empty)" });
}

/** The environment whose `share/tsdask-mpi/python` holds our modules, when Dask is in it. */
function ownEnvironment(pythonRoot = ""): string | undefined {
  const [, prefix] = /^(.+)\/share\/tsdask-mpi\/python$/.exec(resolve(pythonRoot)) ?? [];
  if (prefix === undefined || kind(join(prefix, "bin", "python")) !== "program") return undefined;
  return hasDask(prefix) ? prefix : undefined;
}

/**
 * Whether PATH begins with another Python than this environment's, one with Dask: what was activated first (conda's
 * `base`, by a shell's profile) is still named when a module was loaded after it. A module may bring Dask by
 * PYTHONPATH.
 */
function isOverruled(prefix: string, env: NodeJS.ProcessEnv): boolean {
  const path = inPath(["python3", "python"], env);
  if (path === undefined || dirname(path) === join(prefix, "bin")) return false;
  const added = (env["PYTHONPATH"] ?? "").split(":").filter((folder) => folder.startsWith("/"));
  return hasDask(dirname(dirname(path))) || added.some((folder) => kind(join(folder, "distributed")) === "folder");
}

/** Whether `distributed` is in an environment of Python. */
function hasDask(prefix: string): boolean {
  const names = kind(join(prefix, "lib")) === "folder" ? readdirSync(join(prefix, "lib")) : [];
  return names.some(
    (name) =>
      name.startsWith("python3") && kind(join(prefix, "lib", name, "site-packages", "distributed")) === "folder",
  );
}

function requestedPath(requested: string, env: NodeJS.ProcessEnv, cwd: string, host: string): string {
  if (!requested.includes("/")) {
    const path = inPath([requested], env);
    if (path !== undefined) return path;
    throw new Failure("TSD-041", { host, python: requested, problem: "no such program in PATH" });
  }
  const path = resolve(cwd, requested);
  const found = kind(path);
  if (found === "program" || found === "denied") return path;
  const inFolder = join(path, "bin", "python");
  // an environment's folder is what people often have at hand
  if (found === "folder" && ["program", "denied"].includes(kind(inFolder))) return inFolder;
  const problem = {
    folder: "it is a folder without bin/python",
    file: "it is not executable",
    nothing: "it is not there",
  }[found];
  throw new Failure("TSD-041", { host, python: path, problem });
}

function inPath(names: readonly string[], env: NodeJS.ProcessEnv): string | undefined {
  for (const folder of (env["PATH"] ?? "").split(":")) {
    if (!folder.startsWith("/")) continue; // an empty or relative entry means another folder for every rank
    for (const name of names) {
      const path = join(folder, name);
      if (kind(path) === "program") return path;
    }
  }
  return undefined;
}

/** The path, when it may be started by this user; else throws TSD-111 with what is in the way. */
function readable(path: string, from: PythonFound["from"], host: string): string {
  if (mayRun(path)) return path;
  const chain = links(path);
  const last = chain.at(-1) ?? path;
  const closed = closedFolder(last);
  const leads = last === path ? "" : `it is a link to ${last}, `;
  const what =
    closed === undefined
      ? `${leads === "" ? "" : "and "}you may not run ${leads === "" ? "it" : "that"}`
      : `${leads === "" ? "it is in " : "which is in "}${closed}, a folder that you may not enter`;
  throw new Failure("TSD-111", {
    python: path,
    from,
    host,
    problem: `${leads}${what}`,
    cause:
      leads === ""
        ? "It is in somebody else's folder, or its permissions were changed."
        : "An environment's python is a link to the interpreter that made it, which is somebody else's here.",
    cure: `Make the environment again with an interpreter that everybody may read (\`/usr/bin/python3 -m venv …\`, or a module's), name another one with --python, or ask the owner of ${closed ?? last} for access.`,
  });
}

function mayRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Not for this user; the caller finds out why.
    return false;
  }
}

/** The path and where its links lead, one after the other, as far as they can be read. */
function links(path: string): readonly string[] {
  const chain = [path];
  while (chain.length < 40) {
    const last = chain.at(-1) ?? path;
    try {
      chain.push(resolve(dirname(last), readlinkSync(last)));
    } catch {
      // No link, or not to be read: the chain's end.
      return chain;
    }
  }
  return chain;
}

/** The first folder on the way to a path that may not be entered. */
function closedFolder(path: string): string | undefined {
  const folders = path
    .split("/")
    .slice(1, -1)
    .map((_, index, parts) => `/${parts.slice(0, index + 1).join("/")}`);
  return folders.find((folder) => !mayRun(folder));
}

function kind(path: string): "program" | "file" | "folder" | "nothing" | "denied" {
  let stat: Stats | undefined;
  try {
    stat = statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    // A link into a closed folder, one in a circle, or a file in place of a folder.
    return (error as NodeJS.ErrnoException).code === "EACCES" ? "denied" : "nothing";
  }
  if (stat === undefined) return "nothing";
  if (stat.isDirectory()) return "folder";
  return stat.isFile() && (stat.mode & 0o111) !== 0 ? "program" : "file";
}

/**
 * Whether the Pythons of all hosts can work together; pure. Python's minor version, Dask's and distributed's must be
 * the same everywhere (tasks travel as pickled bytecode, messages in distributed's own form): else `trouble` is
 * TSD-044. Other packages that differ are worth a warning each.
 */
export function checkPythons(reports: readonly PythonReport[]): {
  readonly trouble: PythonTrouble | undefined;
  readonly warnings: readonly string[];
} {
  const must: readonly [string, (report: PythonReport) => string][] = [
    ["Python", ({ python }) => python.split(".").slice(0, 2).join(".")],
    ["dask", ({ dask }) => dask],
    ["distributed", ({ distributed }) => distributed],
  ];
  const wrong = must.flatMap(([name, versionOf]) => difference(name, reports, versionOf) ?? []);
  const packages = [...new Set(reports.flatMap((report) => Object.keys(report.packages)))].sort();
  const warnings = packages.flatMap((name) => difference(name, reports, ({ packages: found }) => found[name]) ?? []);
  const [first, other] = odd(reports, must);
  const trouble: PythonTrouble | undefined =
    wrong.length === 0
      ? undefined
      : {
          code: "TSD-044",
          facts: {
            problem: wrong.join("; "),
            first: `${first?.executable} on ${first?.host}`,
            other: `${other?.executable} on ${other?.host}`,
          },
          fatal: true,
        };
  return { trouble, warnings };
}

/** `dask 2024.1.0 on node1, node2 but 2023.12.1 on node3`; `undefined` when all that have it agree. */
function difference(
  name: string,
  reports: readonly PythonReport[],
  versionOf: (report: PythonReport) => string | undefined,
): string | undefined {
  const hosts = new Map<string, string[]>();
  for (const report of reports) {
    const version = versionOf(report);
    if (version !== undefined) hosts.set(version, [...(hosts.get(version) ?? []), report.host]);
  }
  if (hosts.size < 2) return undefined;
  const most = [...hosts].sort(([, a], [, b]) => b.length - a.length);
  return `${name} ${most.map(([version, on]) => `${version} on ${some(on)}`).join(" but ")}`;
}

function some(hosts: readonly string[]): string {
  return hosts.length <= 3 ? hosts.join(", ") : `${hosts.slice(0, 3).join(", ")} and ${hosts.length - 3} more`;
}

/** The first host's report, and the first one that differs from it. */
function odd(
  reports: readonly PythonReport[],
  must: readonly [string, (report: PythonReport) => string][],
): readonly [PythonReport | undefined, PythonReport | undefined] {
  const [first] = reports;
  const other = reports.find(
    (report) => first !== undefined && must.some(([, versionOf]) => versionOf(report) !== versionOf(first)),
  );
  return [first, other];
}
