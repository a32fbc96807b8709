import { lstatSync, readlinkSync, realpathSync, renameSync, rmSync, symlinkSync, unlinkSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { Failure } from "../errors/failure.ts";
import { readSmallFile } from "../security/small-file.ts";
import { installedCommand, ownProgram } from "./program.ts";
import type { CommandContext } from "./context.ts";
import { posixWord } from "./shells.ts";
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
 * `tsdask-mpi install-drop-in`: makes a link `dask-mpi` to the stand-in beside `own`, or takes it away; resolves to the
 * exit code. The stand-in itself is never touched. Throws TSD-166 when another dask-mpi is there, TSD-167 when the
 * folder cannot be written, and TSD-006 for wrong words.
 */
export function dropInCommand(
  argv: readonly string[],
  { cwd, stdout, stderr }: CommandContext,
  own: string = ownProgram() ?? "",
): number {
  const { help, words, options } = readSmallCommand(COMMAND, argv);
  if (help !== undefined) {
    stdout.write(help);
    return 0;
  }
  const say = (text: string): void => void stderr.write(`tsdask-mpi: ${text}\n`);
  const standIn = join(dirname(own), "dask-mpi");
  const folder = words[0] === undefined ? dirname(installedCommand(own)) : resolve(cwd, words[0]);
  const path = join(folder, "dask-mpi");
  const there = writing(path, () => standsAt(path, standIn));
  if (there.is === "itself")
    say(`${path} is the stand-in itself and stays; for a link to it name a folder of PATH, \`install-drop-in ~/bin\`.`);
  else if (there.is === "other" && (options["remove"] === true || options["force"] !== true))
    throw new Failure("TSD-166", { path });
  else if (options["remove"] === true) {
    if (there.is !== "nothing") writing(path, () => unlinkSync(path));
    say(there.is === "nothing" ? `there is no ${path}.` : `${path} is removed.`);
  } else if (there.is === "ours") say(`${path} is there already.`);
  else {
    // Relative beside its target, so that an environment which is copied or moved keeps its own.
    link(path, words[0] === undefined ? relative(folder, standIn) : standIn);
    if (there.is === "former") say(`${path} led to ${there.target}, another installation's.`);
    say(
      `${path} is run by tsdask-mpi now; \`tsdask-mpi install-drop-in --remove ${posixWord(folder)}\` takes it away.`,
    );
  }
  return 0;
}

/** What is at that path: a link to our stand-in, one to another installation's, the stand-in itself, or another's. */
function standsAt(path: string, standIn: string): Standing {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return { is: "nothing" };
  const leadsTo = real(path);
  if (leadsTo !== undefined && leadsTo === real(standIn)) return { is: found.isSymbolicLink() ? "ours" : "itself" };
  if (!found.isSymbolicLink()) return { is: "other" };
  const target = readlinkSync(path);
  return { is: isStandIn(leadsTo, target) ? "former" : "other", target };
}

interface Standing {
  readonly is: "nothing" | "itself" | "ours" | "former" | "other";
  /** Where another's link leads. */
  readonly target?: string;
}

/** Whether a link leads to a stand-in, or led to one: its installation may have been deleted. */
function isStandIn(leadsTo: string | undefined, target: string): boolean {
  if (leadsTo === undefined) return /(^|\/)tsdask-mpi[^/]*\/bin\/dask-mpi$/.test(target);
  try {
    return readSmallFile(leadsTo).includes("TSDASK_COMMAND=dask-mpi");
  } catch {
    // A folder, a large program, or nothing that this user may read: none of ours.
    return false;
  }
}

function real(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    // A link that leads nowhere.
    return undefined;
  }
}

/** Puts a link in the place of what is there, at one stroke. */
function link(path: string, target: string): void {
  const fresh = `${path}.${process.pid}`;
  writing(path, () => {
    try {
      symlinkSync(target, fresh);
      renameSync(fresh, path);
    } finally {
      rmSync(fresh, { force: true });
    }
  });
}

function writing<T>(path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw new Failure("TSD-167", { path, problem: (error as NodeJS.ErrnoException).code }, { cause: error });
  }
}
