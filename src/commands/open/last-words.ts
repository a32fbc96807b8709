import { constants } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../../security/file-problems.ts";
import type { ClusterEntry } from "../../registry/cluster-entry.ts";

/** How many lines of a job's output are shown, and how many bytes of its end are read for them. */
const mostLines = 8;
const mostBytes = 8_192;

/**
 * The last lines of the output of a job that ended before its cluster was up: it says why. Empty where it is not found,
 * or is not our own file.
 */
export async function lastWords({ job, cwd }: Pick<ClusterEntry, "job" | "cwd">): Promise<readonly string[]> {
  const id = /^\d+/.exec(job.id ?? "")?.[0];
  if (id === undefined) return [];
  try {
    const names = await readdir(cwd);
    const name = names.find(
      (one) => new RegExp(`(?:^|[^0-9])${id}(?:[^0-9].*)?$`).test(one) && /\.(?:out|o\d+|log)$/.test(one),
    );
    return name === undefined ? [] : await endOf(join(cwd, name));
  } catch (error) {
    // It is a help: the reason itself is told all the same.
    if (systemCode(error) !== undefined) return [];
    throw error;
  }
}

async function endOf(path: string): Promise<readonly string[]> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const { size, uid } = await file.stat();
  if (uid !== process.geteuid?.()) return [];
  const from = Math.max(0, size - mostBytes);
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(mostBytes), position: from });
  const lines = buffer.toString("utf8", 0, bytesRead).split("\n");
  return [
    `the end of ${path} there:`,
    ...lines
      .filter((line) => line.trim() !== "")
      .slice(-mostLines)
      .map((line) => `  ${line}`),
  ];
}
