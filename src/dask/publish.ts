import { randomBytes } from "node:crypto";
import { link, lstat, rename, unlink } from "node:fs/promises";
import { systemCode, unwritable } from "../security/file-problems.ts";
import { claimSchedulerFile, type Judging } from "./claim-scheduler-file.ts";
import { writeSchedulerFile, type SchedulerFile } from "./scheduler-file.ts";

/**
 * Two launches that start at the same moment take turns; more turns than launches mean that something else is wrong.
 */
const mostTurns = 8;

/**
 * Publishes a scheduler.json where there is none, or only that of a cluster that is gone. Of several launches that try
 * at the same moment one succeeds; the others find its file and ask its scheduler. The file appears whole, mode 0600.
 * Throws TSD-025 when the file belongs to another cluster that runs, or may, TSD-026 and TSD-072 when it cannot be
 * written.
 */
export async function publishSchedulerFile(path: string, content: SchedulerFile, judging?: Judging): Promise<void> {
  const own = `${path}.${randomBytes(6).toString("hex")}`;
  await writeSchedulerFile(own, content);
  try {
    for (let turn = 0; turn < mostTurns; turn += 1) {
      const before = await inode(path);
      const claim = await claimSchedulerFile(path, judging);
      if (claim.state === "stale" && before !== undefined) await displace(path, before);
      if (await linked(own, path)) return;
    }
    throw unwritable(path, new Error("other launches write it again and again"));
  } finally {
    await unlink(own).catch(unlessMissing);
  }
}

/** Takes a stale file away, unless another launch has put its own there in between. */
async function displace(path: string, before: number): Promise<void> {
  const aside = `${path}.stale-${randomBytes(6).toString("hex")}`;
  try {
    await rename(path, aside);
    if ((await inode(aside)) !== before) await linked(aside, path);
    await unlink(aside);
  } catch (error) {
    unlessMissing(error);
  }
}

/** Gives a file a second name, which must be free; false when it is not. Throws TSD-072. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false;
    // A file system without hard links: the last one to rename wins, as it was before.
    if (["EPERM", "EOPNOTSUPP", "ENOSYS"].includes(systemCode(error) ?? "")) {
      await rename(from, to);
      return true;
    }
    throw unwritable(to, error);
  }
}

async function inode(path: string): Promise<number | undefined> {
  try {
    return (await lstat(path)).ino;
  } catch (error) {
    unlessMissing(error);
    return undefined;
  }
}

function unlessMissing(error: unknown): void {
  if (systemCode(error) !== "ENOENT") throw error;
}
