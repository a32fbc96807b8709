import { readFileSync, readlinkSync } from "node:fs";
import { isatty } from "node:tty";
import { passingPrograms, rewritesOutput } from "../launcher/known.ts";
import { procStat } from "../launcher/proc-stat.ts";

/** What is read of a process; the default reads Linux's `/proc`. */
export interface ProcessView {
  readonly parent: number;
  readonly name: string;
  readonly args: readonly string[];
  /** What its standard error is: `/dev/pts/3`, `pipe:[123]`. */
  readonly stderr: string;
}

/**
 * Whether what this process writes on stderr is read on a terminal: directly, or through the launcher on the same
 * machine that started it. Launchers give their ranks pipes, so that a rank cannot see this from its own descriptor.
 */
export function terminalBehind({
  own = isatty(2),
  pid = process.ppid,
  view = readProcess,
}: {
  readonly own?: boolean;
  readonly pid?: number;
  readonly view?: (pid: number) => ProcessView | undefined;
} = {}): boolean {
  if (own) return true;
  const seen = outermost(pid, view)?.view;
  return (
    seen !== undefined &&
    /^\/dev\/(pts\/|tty|console)/.test(seen.stderr) &&
    !launcherOptions(seen.args).some(rewritesOutput)
  );
}

/**
 * The launcher on this machine that started the process `pid`: the outermost of its kind above it; undefined when there
 * is none.
 */
export function launcherOf(pid: number): number | undefined {
  return outermost(pid, readProcess)?.pid;
}

function outermost(
  pid: number,
  view: (pid: number) => ProcessView | undefined,
): { readonly pid: number; readonly view: ProcessView } | undefined {
  let seen: { readonly pid: number; readonly view: ProcessView } | undefined;
  let at = pid;
  for (let next = view(at), depth = 0; next !== undefined && depth < 8; at = next.parent, next = view(at), depth += 1) {
    // Between a rank and its launcher stands at most a shell of the launcher's own.
    if (passingPrograms.has(next.name)) seen = { pid: at, view: next };
    else if (seen !== undefined) break;
  }
  return seen;
}

/** The launcher's own options: those before our name, without their values. */
function launcherOptions(args: readonly string[]): string[] {
  const ours = args.findIndex((arg) => /(^|\/)(ts)?dask-mpi$/.test(arg));
  return args.slice(1, ours < 0 ? undefined : ours).map((arg) => arg.split("=")[0] ?? "");
}

function readProcess(pid: number): ProcessView | undefined {
  if (pid <= 1) return undefined;
  try {
    const parent = procStat(pid)?.parent;
    if (parent === undefined) return undefined;
    const args = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    const name = (args[0] ?? "").split("/").at(-1) ?? "";
    return { parent, name, args, stderr: readlinkSync(`/proc/${pid}/fd/2`) };
  } catch {
    // Another user's process, or one that has just ended.
    return undefined;
  }
}
