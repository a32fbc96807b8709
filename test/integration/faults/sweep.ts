import { readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import type { Launcher } from "../bed/launchers.ts";
import type { Clean } from "../bed/left.ts";
import { type Finished, run } from "../bed/run.ts";
import { program } from "../launch.ts";

/** A short launch in the same folder, two hours later as far as files tell: it removes what a killed one has left. */
export async function nextLaunch(clean: Clean, launcher: Launcher): Promise<Finished> {
  const old = new Date(Date.now() - 7_200_000);
  for (const base of readdirSync(clean.tmp).filter((name) => name.startsWith("tsdask-"))) {
    for (const name of readdirSync(join(clean.tmp, base))) utimesSync(join(clean.tmp, base, name), old, old);
  }
  for (const name of readdirSync(clean.folder).filter((name) => name.startsWith(".tsdask-")))
    utimesSync(join(clean.folder, name), old, old);
  clean.write("next.py", "");
  return await run(launcher.command(4, program("next.py")), { folder: clean.folder, env: clean.env });
}
