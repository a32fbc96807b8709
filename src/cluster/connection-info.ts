import { fstatSync } from "node:fs";
import type { ClusterRecord } from "../dask/scheduler-file.ts";
import { clusterTunnel, tunnelLines } from "../net/cluster-tunnel.ts";
import { userName } from "../security/user.ts";
import { said } from "../ui/banner.ts";

/**
 * How to reach the cluster's pages from a laptop, as it is told on stderr: the ssh line and the links, with the token
 * only where the reader must be the cluster's owner; empty when the cluster has no page.
 */
export function reachText({
  record,
  token,
  certificate,
  ownerReads,
  schedulerFile,
  env,
}: {
  readonly record: ClusterRecord;
  readonly token: string | null;
  /** What the pages show when they are served over TLS (PEM). */
  readonly certificate?: string | undefined;
  readonly ownerReads: boolean;
  readonly schedulerFile: string;
  readonly env: NodeJS.ProcessEnv;
}): string {
  const shown = ownerReads && token !== null ? token : undefined;
  const tunnel = clusterTunnel({ record, user: userName(env), token: shown, certificate });
  if (tunnel === undefined) return "";
  const hint =
    token === null || shown !== undefined ? undefined : `the links with the token: tsdask-mpi connect ${schedulerFile}`;
  return said(tunnelLines(tunnel, hint));
}

/**
 * Whether only this user reads what is written on stderr: a terminal of theirs, or a file that is closed to everybody
 * else.
 */
export function readByOwner(tty: boolean): boolean {
  if (tty) return true;
  const stat = fstatSync(2);
  return stat.isFile() && (stat.mode & 0o077) === 0 && stat.uid === process.getuid?.();
}
