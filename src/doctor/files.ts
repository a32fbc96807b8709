import { randomBytes } from "node:crypto";
import { constants, accessSync, type StatsFs } from "node:fs";
import { open, stat, statfs, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { probeCluster } from "../dask/live-cluster.ts";
import { deadlines } from "../deadlines.ts";
import { checkScript } from "../host/checks.ts";
import { hostPaths } from "../launcher/host-paths.ts";
import { unwritable } from "../security/file-problems.ts";
import { bytesText } from "../ui/format.ts";
import { fileSystemName, isShared } from "../net/file-systems.ts";
import { checked, fine, message, whySlow, type Row } from "./row.ts";
import { spillRow } from "./spill.ts";
import type { DoctorContext } from "./context.ts";

/** Below this much space (bytes), or so few files, a launch is likely to fail half-way. */
const littleSpace = 64 * 1024 * 1024;
const fewFiles = 200;
/** A small file that takes longer (ms) is slow. */
const slowWrite = 500;
/** How long a small file takes (ms), in round figures: hosts that are alike have one row. */
const quickness: readonly (readonly [number, string])[] = [
  [10, "a file takes under 10 ms"],
  [100, "a file takes under 0.1 s"],
  [slowWrite, "a file takes under 0.5 s"],
];

/** The working folder, where `scheduler.json` goes, and the host's temporary folder; `look` asks for a file system. */
export async function fileRows(
  { cwd, env, uid, host, options }: DoctorContext,
  { look = (path) => statfs(path) }: { readonly look?: (path: string) => Promise<StatsFs> } = {},
): Promise<Row[]> {
  const schedulerFile = options.schedulerFile?.replaceAll("{job_id}", "job") ?? join(cwd, "scheduler.json");
  const folder = dirname(schedulerFile);
  const tmp = dirname(hostPaths({ key: "doctor", tmpdir: env["TMPDIR"], uid }).base);
  const rows = [
    await checked("files", "cluster's folder", () =>
      folderRow("cluster's folder", folder, { made: join(folder, ".tsdask"), look }),
    ),
    await checked("files", "TMPDIR", () => folderRow("TMPDIR", tmp, { made: join(tmp, `tsdask-${uid}`), look })),
    await spillRow(
      options.localDirectory ?? tmp,
      options.localDirectory === undefined ? "TMPDIR" : "--local-directory",
      {
        host,
        cwd,
      },
    ),
    await checked("files", "scheduler.json", () => schedulerFileRow(schedulerFile)),
  ];
  const { script } = options;
  if (script !== undefined && script.kind !== "stdin")
    rows.push(
      await checked("files", "script", async () => {
        await checkScript(options, { argv: script.words, env, cwd }, host);
        return fine("files", "script", script.words[0] ?? "");
      }),
    );
  if (env["TMPDIR"] !== undefined && tmp !== env["TMPDIR"].replace(/\/+$/, ""))
    rows.push(
      fine("files", "socket path", `TMPDIR (${env["TMPDIR"]}) is too long for a socket's path: ${tmp} is used`),
    );
  return rows;
}

/**
 * Whether a folder takes a file, how quickly, and what space is left. `made` is the path that a launch would make
 * there.
 */
async function folderRow(
  name: "cluster's folder" | "TMPDIR",
  folder: string,
  { made, look }: { readonly made: string; readonly look: (path: string) => Promise<StatsFs> },
): Promise<Row> {
  const probe = join(folder, `.tsdask-doctor-${randomBytes(6).toString("hex")}`);
  const began = performance.now();
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    await using file = await open(probe, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    await file.writeFile("x".repeat(4096));
  } catch (error) {
    throw unwritable(made, error);
  } finally {
    await unlink(probe).catch(() => undefined);
  }
  const took = performance.now() - began;
  const { bavail, bsize, ffree, files, type } = await look(folder);
  const space = bavail * bsize;
  if (space < littleSpace || (files > 0 && ffree < fewFiles))
    return {
      ...message("files", name, "TSD-072", {
        path: folder,
        problem: space < littleSpace ? `${bytesText(space)} are left` : `${ffree} more files are left`,
        cause: "The file system is nearly full.",
        cure: "Free some space there, or use a folder on another file system (--scheduler-file, TMPDIR).",
      }),
      state: "warning",
    };
  const kind = fileSystemName(type);
  if (took > slowWrite)
    return {
      group: "files",
      name,
      state: "warning",
      text: `${folder} is slow: a small file took more than ${slowWrite / 1000} s (${kind})`,
      ...whySlow({
        cause: "The file system is far away or busy.",
        cure: "Start in a folder on another one, or give the start longer: --start-timeout 10m.",
      }),
      code: "TSD-034",
    };
  if (name === "TMPDIR" && isShared(type))
    return {
      group: "files",
      name,
      state: "warning",
      text: `${folder}: ${kind}, which hosts share`,
      cause: "TMPDIR names a file system that is not this host's own: sockets and starts there are slow, or fail.",
      cure: "`export TMPDIR=/tmp` in the job's script, or what the site has as a node's own disk.",
    };
  const quick = quickness.find(([within]) => took < within)?.[1] ?? "a file takes long";
  return fine("files", name, `${folder}: ${kind}, ${quick}, ${bytesText(space)} free`);
}

async function schedulerFileRow(path: string): Promise<Row> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return fine("files", "scheduler.json", "none here: no cluster runs in this folder");
  if (found.isDirectory())
    return message("files", "scheduler.json", "TSD-026", { path, problem: "there is a folder of that name" });
  const probe = await probeCluster(path, { deadline: deadlines.liveCluster });
  return fine(
    "files",
    "scheduler.json",
    {
      live: `${path} belongs to a cluster that runs now; the next one here gets a name of its own`,
      unknown: `${path} belongs to a cluster that cannot be reached from here; where your list does not say that it has ended, the next one here gets a name of its own: remove the file if it has`,
      gone: `${path} was left by a cluster that is over; the next launch replaces it`,
    }[probe.state],
  );
}
