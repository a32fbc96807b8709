import { type Availability, type Command, isRoot, needs } from "./command.ts";

/** Whether commands can be run as another Unix user here. */
export function strangerAvailable(): Availability {
  if (!isRoot) return { missing: "acting as another user needs root" };
  return needs(["setpriv"], "util-linux");
}

/** The same command as `nobody`, a user who owns nothing here and has no privilege. */
export function asStranger({ file, args, env }: Command): Command {
  const become = [
    "--reuid=nobody",
    "--regid=nogroup",
    "--clear-groups",
    "--no-new-privs",
    "--inh-caps=-all",
    "--bounding-set=-all",
  ];
  return {
    file: "setpriv",
    args: [...become, file, ...args],
    env: { ...env, HOME: "/nonexistent", USER: "nobody", LOGNAME: "nobody" },
  };
}
