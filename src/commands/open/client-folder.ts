import { rm } from "node:fs/promises";
import { execa } from "execa";
import * as v from "valibot";
import { daskYaml } from "../../dask/configuration.ts";
import { deadlines } from "../../deadlines.ts";
import { visibleLine } from "../../errors/visible.ts";
import { makeStateFolder, statePaths } from "../../registry/place.ts";
import { clusterFiles, writeClusterCredentials } from "../../security/cluster-folder.ts";
import { privateFolder, writePrivateFile } from "../../security/private-files.ts";
import { posixQuoted } from "../shells.ts";
import { clientFolder } from "./remember.ts";
import type { Told } from "./lines.ts";

/** Packages' names and versions, null for one that is not there. */
type Versions = Readonly<Record<string, string | null>>;
type Credentials = Extract<Told, { event: "credentials" }>;

/** A folder of this computer that connects a plain `Client()` to the cluster. */
export interface ClientFolder {
  /** The scheduler's address here. */
  readonly address: string;
  /** What to type, for people. */
  readonly lines: readonly string[];
  remove(): Promise<void>;
}

/** What must be the same on both sides: Dask's wire and pickles hang on it (distributed/versions.py). */
const compared = ["python", "dask", "distributed", "msgpack", "cloudpickle", "tornado"] as const;

/** Says the versions of a Python, as JSON. */
const versionsProgram =
  "import json, distributed.versions as v; print(json.dumps({k: x for k, x in v.get_versions()['packages'].items()}))";

/**
 * Compares this computer's versions with the cluster's, and writes the folder (0700, its files 0600). Throws TSD-071
 * and TSD-072; versions that differ are told, for the same minor version of Python often does.
 */
export async function makeClientFolder({
  name,
  address,
  credentials,
  python,
  env,
  say,
}: {
  readonly name: string;
  readonly address: string;
  readonly credentials: Credentials;
  readonly python: string;
  readonly env: NodeJS.ProcessEnv;
  readonly say: (line: string) => void;
}): Promise<ClientFolder> {
  const here = await versionsHere(python, env);
  for (const line of typeof here === "string" ? [here] : differences(here, credentials.packages)) say(line);
  const { opened } = statePaths(env);
  makeStateFolder(opened);
  const folder = privateFolder(clientFolder(name, env), { groupParent: true });
  const { ca, cert, key } = credentials;
  const tls = ca !== undefined && cert !== undefined && key !== undefined;
  if (tls) await writeClusterCredentials(folder, { ca, cert, key });
  const { daskConfig } = clusterFiles(folder);
  await writePrivateFile(daskConfig, daskYaml({ address, folder, security: tls ? "tls" : "none" }));
  return {
    address,
    lines: [`Client  export DASK_CONFIG=${posixQuoted(folder)}   # then Client() in Python computes on ${name}`],
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

async function versionsHere(python: string, env: NodeJS.ProcessEnv): Promise<Versions | string> {
  const ran = await execa(python, ["-c", versionsProgram], {
    env,
    extendEnv: false,
    reject: false,
    timeout: deadlines.pythonVersions,
  });
  if (ran.exitCode !== 0)
    return `note: ${python} here has no Dask that could be compared (${visibleLine(
      String(ran.stderr ?? "")
        .trim()
        .split("\n")
        .at(-1) ?? "it cannot be run",
    )}); --python names another`;
  return versionsIn(ran.stdout) ?? `note: ${python} here does not say its versions, so that they are not compared`;
}

const VersionsSchema = v.record(v.string(), v.nullable(v.string()));

/** What a Python has said of its versions; its own start and end may have written to the same stream. Pure. */
export function versionsIn(stdout: string): Versions | undefined {
  const line = stdout.split("\n").findLast((one) => one.startsWith("{"));
  try {
    const found = v.safeParse(VersionsSchema, JSON.parse(line ?? ""));
    return found.success ? found.output : undefined;
  } catch {
    // Half a line, or something else that begins as one.
    return undefined;
  }
}

/** A line for what differs; none when nothing does. Pure. */
export function differences(here: Versions, there: Versions): readonly string[] {
  const minor = (version: string): string => version.split(".").slice(0, 2).join(".");
  const differ = compared.flatMap((name) => {
    const [mine, theirs] = [here[name], there[name]];
    if (typeof mine !== "string" || typeof theirs !== "string") return [];
    const same = name === "python" ? minor(mine) === minor(theirs) : mine === theirs;
    return same ? [] : [`${name} ${mine.split(".final")[0]} (the cluster: ${theirs.split(".final")[0]})`];
  });
  return differ.length === 0
    ? []
    : [`note: other versions here than on the cluster, which may not understand each other: ${differ.join(", ")}`];
}
