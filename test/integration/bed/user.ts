import { type Availability, type Command, isRoot, needs } from "./command.ts";

/** Whether commands can be run as another Unix user here. */
export function strangerAvailable(): Availability {
  if (!isRoot) return { missing: "acting as another user needs root" };
  return needs(["setpriv"], "util-linux");
}

/** The same command as `nobody`, a user who owns nothing here and has no privilege. */
export function asStranger(command: Command): Command {
  return asUser(command, ["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
}

/** The same command as a third user, who has a group in common with `nobody` and no name on this machine. */
export function asColleague(command: Command): Command {
  return asUser(command, ["--reuid=60123", "--regid=60123", "--groups=nogroup"]);
}

function asUser({ file, args, env }: Command, who: readonly string[]): Command {
  const become = [...who, "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"];
  return {
    file: "setpriv",
    args: [...become, file, ...args],
    env: { ...env, HOME: "/nonexistent", USER: "nobody", LOGNAME: "nobody" },
  };
}
