import { readlinkSync } from "node:fs";

/** The commands that need no folder: what they are about has a name, or is far away. */
const elsewhere: readonly string[] = [
  ...["help", "version", "list", "status", "logs", "explain", "stop", "connect", "env", "open", "config"],
  "completion",
];

/** Whether a command can do its work from a folder that is gone. */
export const needsNoFolder = (kind: string): boolean => elsewhere.includes(kind);

/** The folder that this process stands in, which may be gone: it was removed, or removed and made again (NFS). */
export function workingFolder(): { readonly path: string; readonly gone: boolean } {
  try {
    return { path: process.cwd(), gone: false };
  } catch {
    return { path: formerName(), gone: true };
  }
}

/** What a folder was called that is gone (proc(5), `cwd`). */
function formerName(): string {
  try {
    return readlinkSync("/proc/self/cwd").replace(/ \(deleted\)$/, "");
  } catch {
    return "/";
  }
}
