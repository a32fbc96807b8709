import type { ChildFailure } from "../protocol/fork-server.ts";

/** Why a scheduler, or a worker, did not start and what to do about it, in words. */
export interface StartTrouble {
  readonly cause: string;
  readonly cure: string;
}

const troubles: Readonly<Partial<Record<ChildFailure, StartTrouble>>> = {
  import: {
    cause:
      "A module that was asked for (--preload, or Dask's own configuration) is not in this Python, or a file beside the script hides one of that name.",
    cure: "Install the module, correct its name, or leave it out; `python -c 'import NAME'` with the cluster's Python shows the same error.",
  },
  preload: {
    cause: "A module that was asked for with --preload, or in Dask's own configuration, raised this.",
    cure: "Mend the module at that line, or leave it out.",
  },
  encryption: {
    cause:
      "Dask's own configuration says `distributed.comm.require-encryption: true` (a YAML file of its, or DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION), and this launch is without TLS.",
    cure: "Leave out --security none (and --protocol tcp), so that the cluster has TLS; or set require-encryption to false.",
  },
  yaml: {
    cause: "The named file of Dask's own configuration is not YAML.",
    cure: "Mend it at the named line, or take it away.",
  },
  memory: {
    cause: "It could not have the memory that it asked for: `ulimit -v`, or a job with too little of it.",
    cure: "Look at `ulimit -a` and the job's memory on that host.",
  },
  tls: {
    cause: "The certificate or key cannot be used: not PEM, not a pair, out of date, or of another authority.",
    cure: "Check what --tls-ca-file, --tls-cert and --tls-key name, or leave all three out for certificates made for this launch.",
  },
  port: {
    cause: "A port that was asked for is taken.",
    cure: "Let Dask choose (leave out --scheduler-port and --dashboard-address), or free the port: `ss -ltnp` shows who has it.",
  },
  folder: {
    cause: "A file or folder that the words above name is not there, full, read-only or not this user's.",
    cure: "Name another one; `ls -ld` and `df -h` on that host show why it cannot be used.",
  },
  permission: {
    cause: "The system refuses a port below 1024.",
    cure: "Choose another port with --scheduler-port, or let Dask choose (leave it out).",
  },
  address: {
    cause: "The address that --host or --interface names is not one of this host's.",
    cure: "Leave out --host and --interface, or name what `ip -br addr` lists on that host.",
  },
  arguments: {
    cause: "An option that this release of Dask does not have: in --scheduler-options, or in Dask's own configuration.",
    cure: "Leave it out, or use a release of Dask that has it; `tsdask-mpi config` shows where each option comes from.",
  },
  timeout: {
    cause: "The host is too busy, or a file system that Python imports from stalls.",
    cure: "Try again on an idle node; give it longer with --start-timeout.",
  },
};

const killed: StartTrouble = {
  cause:
    "Something ended it before it was up: the system for want of memory, the batch system, somebody by hand, or a crash in compiled code that it imports.",
  cure: "Look at the memory of its host (`dmesg | grep -i oom` there, or the batch system's accounting), and start again.",
};

const other: StartTrouble = {
  cause:
    "The words above are Dask's or Python's own: an option, a preload, Dask's configuration or a limit of the system that they name.",
  cure: "Leave out what they name; `tsdask-mpi config` shows where each option comes from, `--log-level debug` shows more of Dask's own log.",
};

/**
 * The cause and cure for what Python said of a scheduler that did not start; `kind` is its word for the exception
 * (python/tsdask_mpi/failures.py), `signal` the number of the one that ended it.
 */
export function startTrouble(kind: ChildFailure | undefined, signal: number | null = null): StartTrouble {
  if (kind === undefined && signal !== null) return killed;
  return (kind === undefined ? undefined : troubles[kind]) ?? other;
}
