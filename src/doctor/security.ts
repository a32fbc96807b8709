import { existsSync, lstatSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Failure } from "../errors/failure.ts";
import { hostPaths } from "../launcher/host-paths.ts";
import { refuseOpenParent } from "../security/private-files.ts";
import { readSiteCertificates } from "../security/site-certificates.ts";
import { statsOf } from "../security/stats.ts";
import { refuseReplaceable } from "../security/trusted-file.ts";
import { checked, fine, message, type Row } from "./row.ts";
import type { DoctorContext } from "./context.ts";
import { whichIn } from "./which.ts";

/** Who else could read or replace what a launch writes. */
export async function securityRows({ cwd, env, uid, options }: DoctorContext): Promise<Row[]> {
  const file = options.schedulerFile ?? join(cwd, "scheduler.json");
  const { base } = hostPaths({ key: "doctor", tmpdir: env["TMPDIR"], uid });
  return [
    await checked("security", "cluster's folder", () => replaceableRow(file, options.trustSharedFolder)),
    await checked("security", "host's folder", () => ownRow(base, uid)),
    fine("security", "umask", umaskText()),
    sshRow(env, uid),
    await checked("security", "connections", () => {
      if (options.security === "none")
        return {
          group: "security",
          name: "connections",
          state: "warning",
          text: "no TLS (--security none): everyone who reaches this network can run code as you",
          cause: "An option, a variable or a file says --security none.",
          cure: "Leave it out; `tsdask-mpi config` shows where it was said.",
        };
      if (options.tls !== undefined) readSiteCertificates(options.tls);
      return fine(
        "security",
        "connections",
        options.tls === undefined ? "TLS, with certificates of each launch's own" : "TLS, with the site's certificates",
      );
    }),
  ];
}

function replaceableRow(file: string, trusted: boolean): Row {
  const folder = dirname(file);
  if (!existsSync(folder)) return fine("security", "cluster's folder", folder);
  refuseOpenParent(join(folder, ".tsdask"), true);
  if (trusted) return fine("security", "cluster's folder", folder);
  try {
    refuseReplaceable(file);
  } catch (error) {
    if (error instanceof Failure)
      return message("security", "cluster's folder", "TSD-122", { folder, problem: String(error.facts["problem"]) });
    throw error;
  }
  return fine("security", "cluster's folder", `${folder} is yours to write in`);
}

function ownRow(base: string, uid: number): Row {
  if (existsSync(dirname(base))) refuseOpenParent(base, false);
  const found = lstatSync(base, { throwIfNoEntry: false });
  const problem =
    found === undefined
      ? undefined
      : !found.isDirectory()
        ? "it is not a folder"
        : found.uid !== uid
          ? `it belongs to another user (uid ${found.uid})`
          : (found.mode & 0o022) !== 0
            ? "others may write in it"
            : undefined;
  return problem === undefined
    ? fine("security", "host's folder", `${base} is private`)
    : message("security", "host's folder", "TSD-071", { path: base, problem });
}

/**
 * What ssh needs: a client for tunnels, and files that sshd believes (sshd_config(5), StrictModes: the home folder,
 * ~/.ssh, and the keys).
 */
function sshRow(env: NodeJS.ProcessEnv, uid: number): Row {
  const home = env["HOME"];
  const client =
    whichIn("ssh", env) === undefined ? "no ssh in PATH: tunnels start on the laptop alone" : "a client is there";
  const places = home === undefined ? [] : [home, join(home, ".ssh"), join(home, ".ssh/authorized_keys")];
  // Whether a group may write there is sshd's own decision, which differs among systems.
  const open = places.find((path) => {
    const found = statsOf(path);
    return found !== undefined && ((found.mode & 0o002) !== 0 || ![0, uid].includes(found.uid));
  });
  if (open === undefined) return fine("security", "ssh", client);
  return {
    group: "security",
    name: "ssh",
    state: "warning",
    text: `others may write to ${open}, or it is not yours`,
    cause: "sshd does not believe keys in such a place (StrictModes): logins and tunnels with a key are refused.",
    cure: `\`chmod go-w ${open}\``,
  };
}

/** proc(5), `Umask` of status: `process.umask()` would have to set it to read it. */
function umaskText(): string {
  const umask = /^Umask:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? "unknown";
  return `${umask}; what a launch writes is private whatever it is`;
}
