import { unlink } from "node:fs/promises";
import { Failure } from "../errors/failure.ts";
import { systemCode, unwritable } from "../security/file-problems.ts";
import { writePrivateFile } from "../security/private-files.ts";

/**
 * `scheduler.json`: the fields Dask's own scheduler writes (its `identity`), so that `Client(scheduler_file=…)` works,
 * plus `tsdask`. This file holds what rank 0 needs at its start and end, and loads nothing more; reading and checking
 * is in `read-scheduler-file.ts`.
 */
export interface SchedulerFile {
  readonly type: string;
  readonly id: string;
  readonly address: string;
  readonly services: Readonly<Record<string, unknown>>;
  readonly started?: number | undefined;
  readonly workers: Readonly<Record<string, unknown>>;
  /** What our own commands need; absent in a file that plain Dask wrote. */
  readonly tsdask?: ClusterRecord | undefined;
}

/** Where a web page of the cluster is served. */
export interface PageAddress {
  /** What it listens at, as other hosts reach it; a loopback address when only its own node does. */
  readonly host: string;
  readonly port: number;
  /** The name of its node, for `ssh`; `host` when absent. */
  readonly node?: string | undefined;
  /** What stands behind the port in a link: `/lab`, `/status`. */
  readonly path?: string | undefined;
  /** True: over TLS, with the cluster's certificate. */
  readonly https?: boolean | undefined;
}

/** The batch systems that a cluster's job may run in; `local` outside of any. */
export const batchNames = ["slurm", "pbs", "sge", "lsf", "flux", "htcondor", "kubernetes", "local"] as const;
export type BatchName = (typeof batchNames)[number];

/** A group of workers, as `--group` named it. */
export interface ClusterGroup {
  readonly name: string;
  /** What each of its workers has; empty where nothing was said. */
  readonly resources: Readonly<Record<string, number>>;
  /** Its workers' options: those of a launch, without dashes. */
  readonly options: Readonly<Record<string, string>>;
}

export interface ClusterRecord {
  readonly version: string;
  readonly launch: string;
  readonly pid: number;
  readonly host: string;
  readonly hub: { readonly addresses: readonly string[]; readonly fingerprint: string };
  /** The cluster folder, absolute. */
  readonly folder: string;
  readonly dashboard: PageAddress | null;
  /**
   * `dashboard` is the path at which Jupyter shows Dask's dashboard, behind its own login; absent where it does not.
   */
  readonly jupyter:
    | (PageAddress & {
        readonly dashboard?: string | undefined;
        /** A JupyterHub leads there, and no tunnel. */
        readonly hub?: boolean | undefined;
      })
    | null;
  /** JupyterLab was asked for: where `jupyter` is null, it is still starting. Absent for a JupyterHub's. */
  readonly jupyterComes?: boolean | undefined;
  readonly hosts: readonly string[];
  /** The Python that the cluster runs in, as rank 0's host names it: that of the worker jobs, too. */
  readonly python?: string | undefined;
  readonly security: "tls" | "none";
  /** How laptops get there: what `--tunnel` said, and the login host where it was known. */
  readonly tunnel?: { readonly kind: "direct" | "jump" | "reverse"; readonly login?: string | undefined } | undefined;
  /** The name by which a proxy of the facility leads there, and the proxy's port. */
  readonly public?: { readonly name: string; readonly port: number } | undefined;
  /** The batch job that the cluster runs in. */
  readonly job?: { readonly system: BatchName; readonly id?: string | undefined } | undefined;
  /** A scheduler that dies is started again, at the same address; `id` is then another. */
  readonly schedulerReturns?: boolean | undefined;
  /** How many workers the launch was made for, where these are so many that Dask's settings follow from it. */
  readonly expects?: number | undefined;
  /** Absent where there are none. */
  readonly groups?: readonly ClusterGroup[] | undefined;
  /** Seconds since the epoch. */
  readonly started: number;
}

/** The file of a cluster with ten thousand workers has about 10 MB. */
const largestFile = 64 * 1024 * 1024;

/** Writes scheduler.json as a whole, mode 0600. Throws TSD-072. */
export async function writeSchedulerFile(path: string, content: SchedulerFile): Promise<void> {
  await writePrivateFile(path, `${JSON.stringify(content, null, 2)}\n`);
}

/**
 * Removes scheduler.json if it is still the one of this launch; another launch's is left alone. Returns whether it was
 * removed. Throws TSD-072 when the system refuses.
 */
export async function removeSchedulerFile(path: string, launch: string): Promise<boolean> {
  try {
    if (launchOf((await ownText(path)) ?? "") !== launch) return false;
    await unlink(path);
    return true;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return false;
    throw unwritable(path, error);
  }
}

/**
 * What a scheduler.json of ours says; undefined for another user's, for a link, a pipe or a folder, and for what is too
 * large for one. Throws the system's error.
 */
export async function ownText(path: string): Promise<string | undefined> {
  const { readPlainFile } = await import("../security/trusted-file.ts");
  let ours = false;
  try {
    const text = await readPlainFile(path, {
      limit: largestFile,
      refuse: ({ uid }) => void (ours = uid === process.geteuid?.()),
    });
    return ours ? text : undefined;
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}

function launchOf(text: string): unknown {
  try {
    const content: unknown = JSON.parse(text);
    if (typeof content !== "object" || content === null || !("tsdask" in content)) return undefined;
    const { tsdask } = content;
    return typeof tsdask === "object" && tsdask !== null && "launch" in tsdask ? tsdask.launch : undefined;
  } catch {
    // Not JSON, so not ours: we write whole files only.
    return undefined;
  }
}
