import { readFileSync } from "node:fs";
import { clientEnvironment } from "../dask/configuration.ts";
import { credentialsFor } from "../dask/live-cluster.ts";
import { refuseOpen } from "../dask/open-cluster.ts";
import { readSchedulerFile } from "../dask/read-scheduler-file.ts";
import { clusterFileOf } from "./cluster-argument.ts";
import { clusterTrust, type ClusterTrust } from "./cluster-trust.ts";
import type { CommandContext } from "./context.ts";
import { exportLine, SHELLS, shellNamed, unsetLine, type Shell } from "./shells.ts";
import { readSmallCommand, type SmallCommand } from "./small-command.ts";

export const COMMAND: SmallCommand = {
  name: "tsdask-mpi env",
  usage: "[options] [name | scheduler.json]",
  about: `Prints what connects a shell to a running cluster: Client() then needs no argument.
  bash, zsh, sh:  eval "$(tsdask-mpi env)"
  fish:           tsdask-mpi env | source
  csh, tcsh:      eval "\`tsdask-mpi env\`"
Without a name or a file: the one that TSDASK_SCHEDULER_FILE names, else scheduler.json in this folder.`,
  options: [
    { flags: "--shell <name>", help: "the shell to write for (default: the one that calls)", choices: SHELLS },
    { flags: "--trust-shared-folder", help: "believe a scheduler.json in a folder that your group may write in" },
    { flags: "--security <kind>", help: "none: connect to a cluster without TLS", choices: ["tls", "none"] },
    { flags: "--unset", help: "print what disconnects the shell again" },
  ],
};

/**
 * `tsdask-mpi env`: prints shell lines that connect (or, with --unset, disconnect); resolves to the exit code.
 * Throws TSD-023, TSD-024, TSD-120, TSD-121 (the cluster's file), TSD-073, TSD-074 (its credentials), and TSD-006,
 * TSD-008 for wrong words.
 */
export async function envCommand(argv: readonly string[], context: CommandContext): Promise<number> {
  const { help, words, options } = readSmallCommand(COMMAND, argv);
  if (help !== undefined) {
    context.stdout.write(help);
    return 0;
  }
  const shell = SHELLS.find((name) => name === options["shell"]) ?? callingShell();
  const lines =
    options["unset"] === true
      ? unsetLines(shell)
      : await exportLines(shell, await clusterFileOf(words[0], context), await clusterTrust(options, context));
  context.stdout.write(`${lines.join("\n")}\n`);
  return 0;
}

async function exportLines(shell: Shell, path: string, trust: ClusterTrust): Promise<string[]> {
  const file = await readSchedulerFile(path, trust);
  refuseOpen(path, file, trust.security);
  // Better told here than by a traceback of Dask's later: credentials that are gone, or that others could have changed.
  await credentialsFor(file, trust);
  const { address, tsdask } = file;
  const variables = clientEnvironment({
    address,
    folder: tsdask?.folder ?? "",
    security: tsdask?.security ?? "none",
    schedulerFile: path,
  });
  return Object.entries(variables).map(([name, value]) => exportLine(shell, name, value));
}

function unsetLines(shell: Shell): string[] {
  const names = Object.keys(clientEnvironment({ address: "", folder: "", security: "tls", schedulerFile: "" }));
  return names.map((name) => unsetLine(shell, name));
}

/** The shell in whose `$(…)` or pipe this runs is this process's parent. */
function callingShell(): Shell {
  try {
    return shellNamed(readFileSync(`/proc/${process.ppid}/comm`, "utf8").trim()) ?? "bash";
  } catch {
    // No /proc: most shells take the lines of sh.
    return "bash";
  }
}
