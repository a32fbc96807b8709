import type { Facts } from "../errors/failure.ts";
import type { MessageCode } from "../errors/messages.ts";
import type { ChildEvent } from "../protocol/fork-server.ts";
import { startTrouble, type StartTrouble } from "./start-trouble.ts";

type Failed = Extract<ChildEvent, { event: "failed" }>;

/**
 * What keeps a worker from starting by the word that Python has for it (python/tsdask_mpi/failures.py): trying again
 * would not help.
 */
const troubles: Readonly<Partial<Record<Failed["code"], StartTrouble>>> = {
  folder: {
    cause:
      "Where a worker spills to is not there, full, read-only or not yours on that host: --local-directory, `temporary-directory` of Dask's configuration, else TMPDIR.",
    cure: "Name a folder on each host's own disk that you may write in, such as `--local-directory /tmp`; `ls -ld` and `df -h` on that host show what is wrong with this one.",
  },
  import: {
    cause:
      "The class of --worker-class, or a module of --preload or of Dask's own configuration, is not in this Python.",
    cure: "Install it, correct its name, or leave it out; `python -c 'import MODULE'` with the cluster's Python shows the same error.",
  },
  arguments: {
    cause: "An option that this worker's class or this release of Dask does not have: in --worker-options, most often.",
    cure: "Leave it out or correct its name; `tsdask-mpi config` shows where each option comes from.",
  },
  encryption: startTrouble("encryption"),
  yaml: startTrouble("yaml"),
  address: startTrouble("address"),
};

/** The message of a worker that will never start; undefined where another try may help. Pure. */
export function neverStarts(
  { code, message }: Failed,
  { host, python }: { readonly host: string; readonly python: string },
): { readonly code: MessageCode; readonly facts: Facts } | undefined {
  if (code === "preload") return { code: "TSD-154", facts: { role: "worker", problem: message } };
  if (code === "incompatible") return { code: "TSD-179", facts: { host, python, problem: message } };
  const trouble = troubles[code];
  return trouble && { code: "TSD-207", facts: { host, why: message, ...trouble } };
}
