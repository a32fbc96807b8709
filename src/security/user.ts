/**
 * The name that the system gives this user; undefined where it has none, as for a container's `--user 12345`
 * (getpwuid(3) finds nothing, and Node throws), or where its user table does not answer.
 */
export function systemUserName(): string | undefined {
  try {
    return process.getBuiltinModule("node:os").userInfo().username;
  } catch {
    return undefined;
  }
}

/** The user's name for ssh: the system's, else what the environment calls him; empty where nobody knows it. */
export function userName(env: NodeJS.ProcessEnv): string {
  const told = [env["USER"], env["LOGNAME"]].find((name) => name !== undefined && /^\w[\w.@+-]*$/.test(name));
  return systemUserName() ?? told ?? "";
}

/** The user's home folder: HOME, else what the system's user table says, else the root, as containers have it. */
export function homeFolder(env: NodeJS.ProcessEnv): string {
  if (env["HOME"]) return env["HOME"];
  try {
    return process.getBuiltinModule("node:os").homedir();
  } catch {
    return "/";
  }
}
