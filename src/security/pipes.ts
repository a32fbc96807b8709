import { execFile } from "node:child_process";
import { promisify } from "node:util";

/**
 * Makes named pipes that only we can open; Node has no call for it. A PATH that somebody has overwritten does not
 * matter. Rejects where the program or the place refuses.
 */
export async function makePipes(...paths: readonly string[]): Promise<void> {
  const env = { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/bin:/bin` };
  await promisify(execFile)("mkfifo", ["-m", "600", ...paths], { env });
}
