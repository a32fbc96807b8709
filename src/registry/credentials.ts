import { spawn } from "node:child_process";
import type { TlsCredentials } from "../dask/comm.ts";
import { Failure } from "../errors/failure.ts";
import { clusterFiles, readClusterCredentials } from "../security/cluster-folder.ts";
import type { ClusterEntry } from "./cluster-entry.ts";

interface Asking {
  readonly env: NodeJS.ProcessEnv;
  readonly deadline: number;
}

/**
 * What opens a cluster of the list: its credentials, none for one without TLS. Throws TSD-073, and TSD-074 also where
 * the file system with its folder does not answer within `deadline` ms.
 */
export async function credentialsOf(
  { security, folder }: Pick<ClusterEntry, "security" | "folder">,
  asking: Asking,
): Promise<TlsCredentials | undefined> {
  if (security !== "tls") return undefined;
  const { key } = clusterFiles(folder);
  if (!(await fileSystemAnswers(key, asking)))
    throw new Failure("TSD-074", { path: key, problem: "its file system does not answer" });
  return readClusterCredentials(folder);
}

/**
 * Whether a file, there or not, can be read without its file system hanging for longer than `deadline` ms. A process of
 * its own looks: a read that hangs is never given up by Node, holds up one of the four threads that read all files, and
 * keeps even `process.exit` from ending the process. Never rejects.
 */
export function fileSystemAnswers(path: string, { env, deadline }: Asking): Promise<boolean> {
  return new Promise((resolve) => {
    const looks = spawn("cat", ["--", path], { env, stdio: "ignore" });
    const done = (answers: boolean): void => {
      clearTimeout(late);
      resolve(answers);
    };
    const late = setTimeout(() => {
      // Where it cannot be killed either, it is not waited for.
      looks.kill("SIGKILL");
      looks.unref();
      done(false);
    }, deadline);
    looks.once("exit", () => done(true));
    // No such program here: who reads the file will see.
    looks.once("error", () => done(true));
  });
}
