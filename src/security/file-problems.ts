import { Failure } from "../errors/failure.ts";

interface Reason {
  readonly cause: string;
  readonly cure: string;
}

/** What the system's error numbers mean for someone who wanted a file written. */
const reasons: Readonly<Record<string, Reason>> = {
  ENOSPC: {
    cause: "The file system is full.",
    cure: "Free some space there, or start in a folder on another file system.",
  },
  EDQUOT: {
    cause: "Your quota on that file system is used up.",
    cure: "Free some space there (`quota -s` shows the figures), or start in a folder on another file system.",
  },
  EROFS: {
    cause: "That file system is mounted read-only on this host.",
    cure: "Start in a folder that compute nodes may write to (often a scratch file system, not your home).",
  },
  EACCES: {
    cause: "You have no permission to write there.",
    cure: "Start in a folder of your own, or correct its permissions (`ls -ld` shows them).",
  },
  EPERM: {
    cause: "You have no permission to write there.",
    cure: "Start in a folder of your own, or correct its permissions (`ls -ld` shows them).",
  },
  ENOENT: {
    cause: "A folder on the way to it does not exist, or is not mounted on this host.",
    cure: "Create it, or start in a folder that every host of the job can see.",
  },
  ENOTDIR: {
    cause: "Something on the way to it is a file, not a folder.",
    cure: "Choose another place, or move that file away.",
  },
  EISDIR: {
    cause: "There is a folder of that name.",
    cure: "Choose another name, or move that folder away.",
  },
  ESTALE: {
    cause: "The network file system has lost the folder (a stale handle).",
    cure: "Try again; if it stays so, tell your site's support, or use another file system.",
  },
  EIO: {
    cause: "The file system reports an input/output error.",
    cure: "Try another file system, and tell your site's support.",
  },
  ENAMETOOLONG: {
    cause: "The path is longer than the file system allows.",
    cure: "Start in a folder with a shorter path.",
  },
};

/** The system's code of an error (`ENOSPC`), or undefined when it is no error of the system's. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** TSD-072: a file or folder could not be written; cause and cure follow the system's error. */
export function unwritable(path: string, error: unknown): Failure {
  if (error instanceof Failure) return error;
  const code = systemCode(error) ?? "unknown error";
  const { cause, cure } = ofTemporary(path, code) ??
    reasons[code] ?? {
      cause: error instanceof Error ? error.message : String(error),
      cure: "Start in another folder.",
    };
  return new Failure("TSD-072", { path, problem: code, cause, cure }, { cause: error });
}

/**
 * The same for what a host or a command keeps in the temporary folder (`<TMPDIR>/tsdask-<uid>/…`), where another
 * working folder would not help.
 */
function ofTemporary(path: string, code: string): Reason | undefined {
  const folder = /^(.*)\/tsdask-(?:\d+(?:\/|$)|(?:open|script|worker-job)-)/.exec(path)?.[1];
  const state = {
    ENOENT: "is not there",
    ENOTDIR: "is not a folder",
    EACCES: "may not be written by you",
    EROFS: "is read-only",
    ENOSPC: "is full",
    EDQUOT: "is full (your quota)",
  }[code];
  if (folder === undefined || state === undefined) return undefined;
  return {
    cause: `The temporary folder ${folder || "/"} ${state} on this host. TMPDIR names it, else it is /tmp.`,
    cure: "Set TMPDIR to a folder on the host's own disk that is there and has space, for all ranks: `export TMPDIR=/tmp` in the job's script.",
  };
}
