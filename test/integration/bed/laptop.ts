import { dirname, join } from "node:path";
import { jobEnvironment } from "../batch-jobs.ts";
import { command, projectRoot, type Command } from "./command.ts";
import type { Clean } from "./left.ts";
import type { Sshd } from "./sshd.ts";

/**
 * tsdask-mpi as it is installed on the login host, with what a profile there would set; `before` are words for the
 * shell before it.
 */
export function installed(clean: Clean, home: string, before = ""): string {
  const { XDG_STATE_HOME: _state, ...env }: Record<string, string> = { ...jobEnvironment(clean), HOME: home };
  const lines = Object.entries(env).map(([name, value]) => `export ${name}='${value}'`);
  return clean.write(
    "there",
    `#!/bin/sh\n${lines.join("\n")}\nexec ${before}${join(projectRoot, "bin", "tsdask-mpi")} "$@"\n`,
  );
}

/** `tsdask-mpi open` as on a laptop whose ssh leads to this sshd. */
export function fromLaptop(clean: Clean, sshd: Sshd, ...words: readonly string[]): Command {
  const { DISPLAY: _display, WAYLAND_DISPLAY: _wayland, ...env } = jobEnvironment(clean);
  const path = `${sshd.path}:${dirname(process.execPath)}:/usr/bin:/bin`;
  return {
    ...command(join(projectRoot, "bin", "tsdask-mpi"), "open", ...words),
    env: { ...env, SLURM_CONF: "/nowhere", PATH: path },
  };
}
