import { accessSync, constants } from "node:fs";
import { Failure } from "../errors/failure.ts";
import { systemCode } from "./file-problems.ts";

const notThere = {
  problem: "is not there",
  cause: "Its name is misspelt, or it is not mounted on this host.",
  cure: "Make it (`mkdir -p`), or name another one.",
};

/** Node reads names as UTF-8, with U+FFFD in place of what is not; by the name that it read nothing is found. */
const notUtf8 = {
  problem: "has a name that is not UTF-8",
  cause: "Its name, or that of a folder above it, was written in another encoding (Latin-1, for instance).",
  cure: "Rename it (`mv`; `convmv` does it for many), or work in another folder.",
};

/** TSD-208: the folder that a launch or command was started in was removed. */
export function goneFolder(folder: string): Failure {
  return new Failure("TSD-208", {
    folder,
    problem: "is gone",
    cause: "It was removed, or removed and made again, and the shell still stands in the old one.",
    cure: "`cd` to it again, or to another folder, and start again.",
  });
}

/** Throws TSD-208 for a folder in which no process can be started: it is not there, or this user may not enter it. */
export function refuseClosedFolder(folder: string): void {
  try {
    accessSync(folder, constants.X_OK);
  } catch (error) {
    const code = systemCode(error) ?? "unknown error";
    const missing = folder.includes("\ufffd") ? notUtf8 : notThere;
    if (code === "ENOENT") throw new Failure("TSD-208", { folder, ...missing }, { cause: error });
    throw new Failure(
      "TSD-208",
      {
        folder,
        problem: `cannot be entered by you (${code})`,
        cause: "A shell that became another user (`su ada`, `sudo -u ada`) still stands in the former user's folder.",
        cure: "`cd` to a folder of your own (`su - ada` begins in one), and start again.",
      },
      { cause: error },
    );
  }
}
