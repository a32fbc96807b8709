import { join } from "node:path";
import { readPrivateFile, writePrivateFile } from "./private-files.ts";

/** So begins what a host makes for a moment in a folder, to see what is new there: nothing of a launch's. */
export const lookPrefix = ".tsdask-look-";

/**
 * The files of a cluster's folder (0700; each 0600): what opens the cluster's doors, and nobody but its owner may read.
 */
export interface ClusterFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly token: string;
  readonly daskConfig: string;
}

/** Where the files of the cluster folder `folder` are. */
export function clusterFiles(folder: string): ClusterFiles {
  return {
    ca: join(folder, "ca.pem"),
    cert: join(folder, "cert.pem"),
    key: join(folder, "key.pem"),
    token: join(folder, "token"),
    daskConfig: join(folder, "dask.yaml"),
  };
}

/** The authority's certificate, a certificate and its key, as PEM texts. */
export interface ClusterCredentials {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Writes the credentials that open the cluster into its folder. Throws TSD-072. */
export async function writeClusterCredentials(folder: string, { ca, cert, key }: ClusterCredentials): Promise<void> {
  const files = clusterFiles(folder);
  await Promise.all([
    writePrivateFile(files.ca, ca),
    writePrivateFile(files.cert, cert),
    writePrivateFile(files.key, key),
  ]);
}

/**
 * Reads the credentials of a cluster from its folder. Throws TSD-073 (they are not safe there) and TSD-074 (they are
 * not there).
 */
export async function readClusterCredentials(folder: string): Promise<ClusterCredentials> {
  const files = clusterFiles(folder);
  const [ca, cert, key] = await Promise.all([
    readPrivateFile(files.ca),
    readPrivateFile(files.cert),
    readPrivateFile(files.key),
  ]);
  return { ca, cert, key };
}

/** Reads the token that opens the cluster's pages (one line). Throws TSD-073 and TSD-074. */
export async function readClusterToken(folder: string): Promise<string> {
  return (await readPrivateFile(clusterFiles(folder).token)).trim();
}
