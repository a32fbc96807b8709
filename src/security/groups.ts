import { deadlines } from "../deadlines.ts";
import { statsOf } from "./stats.ts";
import { systemUserName } from "./user.ts";

const GROUP_WRITE = 0o020;
const STICKY = 0o1000;

/**
 * The group whose members may rename what is in a folder, although it is ours; undefined where none may. Only a folder
 * that others may write in at all is looked at.
 */
export function sharingGroup(folder: string): string | undefined {
  const found = statsOf(`${folder}/.`);
  if (found === undefined || (found.mode & GROUP_WRITE) === 0 || (found.mode & STICKY) !== 0 || isOwnGroup(found.gid))
    return undefined;
  return groupName(found.gid);
}

/** Whether a group is the private one that many systems give each user: of his name, with nobody else in it. */
export function isOwnGroup(gid: number): boolean {
  const group = groupOf(gid);
  if (group === undefined) return false;
  // Only the system's word counts: a name that the environment gives proves nothing.
  const name = systemUserName();
  return name !== undefined && group.name === name && group.members.every((member) => member === name);
}

/** A group's name, or its number where the system knows none. */
export const groupName = (gid: number): string => groupOf(gid)?.name ?? `gid ${gid}`;

const groups = new Map<number, { readonly name: string; readonly members: readonly string[] } | undefined>();

/**
 * A group by its number, from whatever the system knows its groups by (getent(1)); asked only where a folder is open to
 * its group.
 */
function groupOf(gid: number): { readonly name: string; readonly members: readonly string[] } | undefined {
  if (!groups.has(gid)) {
    try {
      const [name = "", , , members = ""] = process
        .getBuiltinModule("node:child_process")
        .execFileSync("/usr/bin/getent", ["group", String(gid)], {
          encoding: "utf8",
          timeout: deadlines.groupNames,
          stdio: ["ignore", "pipe", "ignore"],
        })
        .trim()
        .split(":");
      groups.set(gid, { name, members: members.split(",").filter((member) => member !== "") });
    } catch {
      // No such group, or no answer: then it is not known to be private.
      groups.set(gid, undefined);
    }
  }
  return groups.get(gid);
}
