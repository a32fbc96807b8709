import { readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import type { Launcher } from "../bed/launchers.ts";
import type { Clean } from "../bed/left.ts";
import { type Finished, run } from "../bed/run.ts";
import { program } from "../launch.ts";

/** Makes a file two hours old; one that somebody is just removing needs no sweep. */
function age(path: string): void {
  const old = new Date(Date.now() - 7_200_000);
  try {
    utimesSync(path, old, old);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** A short launch in the same folder, two hours later as far as files tell: it removes what a killed one has left. */
export async function nextLaunch(clean: Clean, launcher: Launcher): Promise<Finished> {
  for (const base of readdirSync(clean.tmp).filter((name) => name.startsWith("tsdask-"))) {
    for (const name of readdirSync(join(clean.tmp, base))) age(join(clean.tmp, base, name));
  }
  for (const name of readdirSync(clean.folder).filter((name) => name.startsWith(".tsdask-")))
    age(join(clean.folder, name));
  clean.write("next.py", "");
  return await run(launcher.command(4, program("next.py")), { folder: clean.folder, env: clean.env });
}
