import { lstatSync, renameSync, symlinkSync, unlinkSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { Failure } from "../errors/failure.ts";
import { readSmallFile } from "../security/small-file.ts";
import { installedCommand, ownProgram } from "./program.ts";
import type { CommandContext } from "./context.ts";
import { readSmallCommand, type SmallCommand } from "./small-command.ts";

export const COMMAND: SmallCommand = {
  name: "tsdask-mpi install-drop-in",
  usage: "[options] [folder]",
  about: `Gives the stand-in for dask-mpi its name: afterwards \`dask-mpi\` is run by tsdask-mpi, with dask-mpi's own command line.
Without a folder: beside the command tsdask-mpi.`,
  options: [
    { flags: "--force", help: "in place of a dask-mpi that is there" },
    { flags: "--remove", help: "take it away again" },
  ],
};

/**
 * `tsdask-mpi install-drop-in`: makes a link `dask-mpi` to the stand-in; resolves to the exit code.
 * Throws TSD-166 when another dask-mpi is there, TSD-167 when the folder cannot be written, and TSD-006 for wrong
 * words.
 */
export function dropInCommand(argv: readonly string[], { cwd, stdout, stderr }: CommandContext): number {
  const { help, words, options } = readSmallCommand(COMMAND, argv);
  if (help !== undefined) {
    stdout.write(help);
    return 0;
  }
  const own = ownProgram() ?? "";
  const standIn = join(dirname(own), "dask-mpi");
  const folder = words[0] === undefined ? dirname(installedCommand(own)) : resolve(cwd, words[0]);
  const path = join(folder, "dask-mpi");
  const there = standsAt(path);
  if (options["remove"] === true) {
    if (there === "nothing") stderr.write(`tsdask-mpi: there is no ${path}.\n`);
    else if (there === "other") throw foreign(path);
    else {
      writing(path, () => unlinkSync(path));
      stderr.write(`tsdask-mpi: ${path} is removed.\n`);
    }
    return 0;
  }
  if (there === "ours") {
    stderr.write(`tsdask-mpi: ${path} is there already.\n`);
    return 0;
  }
  if (there === "other" && options["force"] !== true) throw foreign(path);
  // Relative beside its target, so that an environment which is copied or moved keeps its own.
  const target = words[0] === undefined ? relative(folder, standIn) : standIn;
  writing(path, () => {
    const fresh = `${path}.${process.pid}`;
    symlinkSync(target, fresh);
    renameSync(fresh, path);
  });
  stderr.write(
    `tsdask-mpi: ${path} is run by tsdask-mpi now; \`tsdask-mpi install-drop-in --remove\` takes it away.\n`,
  );
  return 0;
}

/** Whose `dask-mpi` is at that path. */
function standsAt(path: string): "nothing" | "ours" | "other" {
  try {
    lstatSync(path);
    return /TSDASK_COMMAND=dask-mpi/.test(readSmallFile(path, { follow: true })) ? "ours" : "other";
  } catch (error) {
    // A link that leads nowhere is still something that lies there.
    return (error as NodeJS.ErrnoException).code === "ENOENT" && !isLink(path) ? "nothing" : "other";
  }
}

const isLink = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

function writing(path: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw new Failure("TSD-167", { path, problem: (error as NodeJS.ErrnoException).code }, { cause: error });
  }
}

const foreign = (path: string): Failure => new Failure("TSD-166", { path });
