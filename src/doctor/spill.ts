import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { open, rm, rmdir, statfs } from "node:fs/promises";
import { join, resolve } from "node:path";
import { makeFolder } from "../security/private-files.ts";
import { bytesText } from "../ui/format.ts";
import { fileSystemName, isShared } from "../net/file-systems.ts";
import { fine, message, whySlow, type Row } from "./row.ts";

/** So much is written at a time, until so much is written or this time (ms) is over. */
const piece = 2 ** 20;
const most = 16 * piece;
const longest = 300;
/** A disk that takes less than this (bytes per second) makes workers that spill stand still. */
const slow = 5 * 2 ** 20;

/**
 * Where workers spill to: whether it can be written, what kind of disk it is, and how fast. Throws nothing but what is
 * no system's error.
 */
export async function spillRow(
  folder: string,
  from: string,
  { host, cwd }: { host: string; cwd: string },
): Promise<Row> {
  const path = resolve(cwd, folder);
  const probe = join(path, `.tsdask-doctor-${randomBytes(6).toString("hex")}`);
  const made: string[] = [];
  try {
    makeFolder(path, made);
    const { type, bavail, bsize } = await statfs(path);
    const { bytes, seconds } = await written(probe);
    const kind = fileSystemName(type);
    const speed = bytes / seconds;
    const text = `${path} (${from}): ${kind}, ${speedText(speed)}, ${bytesText(bavail * bsize)} free`;
    if (/memory/.test(kind)) return fine("files", "spill", `${text}; what is spilled there stays in memory`);
    if (speed < slow)
      return {
        ...{ group: "files", name: "spill", state: "warning", text },
        ...whySlow({
          cause: "The disk to which workers write what does not fit into memory is slow.",
          cure: "Name a faster one, best each host's own: --local-directory.",
        }),
      };
    if (!isShared(type)) return fine("files", "spill", text);
    return {
      ...{ group: "files", name: "spill", state: "warning", text },
      cause: "Workers of all hosts would write what does not fit into memory to one file system that the hosts share.",
      cure: "Name a disk of each host's own, where the site has one: --local-directory, or TMPDIR.",
    };
  } catch (error) {
    return message("files", "spill", "TSD-207", {
      host,
      why: error instanceof Error ? error.message : String(error),
      cause: `Workers would spill to ${path} (${from}), which is not there, full, read-only or not yours on this host.`,
      cure: "Name a folder on each host's own disk that you may write in, such as `--local-directory /tmp`.",
    });
  } finally {
    await rm(probe, { force: true }).catch(() => undefined);
    for (const one of made.toReversed()) await rmdir(one).catch(() => undefined);
  }
}

/** Writes for a moment, down to the disk. */
async function written(path: string): Promise<{ readonly bytes: number; readonly seconds: number }> {
  await using file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  const block = randomBytes(piece);
  const began = performance.now();
  let bytes = 0;
  while (bytes < most && performance.now() - began < longest) {
    await file.write(block);
    await file.datasync();
    bytes += piece;
  }
  return { bytes, seconds: (performance.now() - began) / 1000 };
}

/** In round figures: hosts that are alike have one row. */
function speedText(bytesPerSecond: number): string {
  const steps = [5, 20, 100, 500, 2000];
  const megabytes = bytesPerSecond / 2 ** 20;
  const under = steps.find((step) => megabytes < step);
  return under === undefined ? `over ${steps.at(-1)} MB/s` : `under ${under} MB/s`;
}
