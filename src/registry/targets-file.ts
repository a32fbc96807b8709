import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../errors/failure.ts";
import { readPrivateFile } from "../security/private-files.ts";

/** Where a launch keeps its list of targets for Prometheus. */
export const targetsFile = (
  folder: string,
  { name, launch }: { readonly name: string; readonly launch: string },
): string => join(folder, `tsdask-${name}-${launch.replace(".", "-")}.json`);

/**
 * Removes the list of a launch that was killed with everything in it: it holds that launch's token. Resolves to whether
 * there was one.
 */
export async function removeTargetsFile(
  folder: string,
  entry: { readonly name: string; readonly launch: string },
): Promise<boolean> {
  const path = targetsFile(folder, entry);
  try {
    const groups = JSON.parse(await readPrivateFile(path)) as readonly {
      readonly labels?: { readonly launch?: unknown };
    }[];
    if (!Array.isArray(groups) || groups[0]?.labels?.launch !== entry.launch) return false;
  } catch (error) {
    if (error instanceof Failure || error instanceof SyntaxError) return false;
    throw error;
  }
  await rm(path, { force: true });
  return true;
}
