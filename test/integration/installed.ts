import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { expect } from "vitest";
import { command, type Command } from "./bed/command.ts";
import { availableLaunchers } from "./bed/launchers.ts";
import type { Clean } from "./bed/left.ts";
import { run, tell, type RunOptions } from "./bed/run.ts";
import { script } from "./launch.ts";

const [launcher] = availableLaunchers("openmpi4", "mpich4", "local");

/** A PATH with everything of the system but Node, made in that folder once; `first` come before it. */
export function pathWithoutNode(base: string, ...first: string[]): string {
  const folder = join(base, "system");
  if (!existsSync(folder)) {
    mkdirSync(folder);
    for (const from of ["/usr/bin", "/bin"])
      for (const name of readdirSync(from))
        if (!/^node(js)?$/.test(name) && lstatSync(join(folder, name), { throwIfNoEntry: false }) === undefined)
          symlinkSync(join(from, name), join(folder, name));
  }
  return [...first, folder].join(delimiter);
}

/** A folder whose `node` believes to be Node 20: what stands first in PATH on many machines. */
export function oldNodeFolder(base: string): string {
  const folder = join(base, "old-node");
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, "version.cjs"),
    'Object.defineProperty(process.versions, "node", { value: "20.20.2" });\n',
  );
  const words = `exec '${process.execPath}' --require '${join(folder, "version.cjs")}' "$@"`;
  writeFileSync(join(folder, "node"), `#!/bin/sh\n${words}\n`);
  chmodSync(join(folder, "node"), 0o755);
  return folder;
}

/**
 * Runs a script on four ranks of that command under a launcher, and expects two workers, their result and the script's
 * exit code.
 */
export async function computes(
  clean: Clean,
  program: readonly string[],
  { become = (line) => line, ...options }: RunOptions & { readonly become?: (line: Command) => Command } = {},
): Promise<void> {
  const file = clean.write("script.py", script);
  const line = launcher?.command(4, [...program, "--wait-workers", "all", file, "7"]) ?? command("false");
  const finished = await run(become(line), {
    folder: clean.folder,
    deadline: 60,
    ...options,
    env: { ...clean.env, ...options.env },
  });
  expect(finished.code, tell(finished)).toBe(7);
  expect(finished.stdout).toMatch(/^workers 2 hosts \S+ total 499500 scheme tls$/m);
}
