import { clusterFiles } from "../security/cluster-folder.ts";

/** PEM files of the cluster's: its authority, and the certificate and key that open it (absolute paths). */
export interface SecurityFiles {
  readonly caFile: string;
  readonly cert: string;
  readonly key: string;
}

export interface ClusterAccess {
  readonly address: string;
  /** The cluster folder, absolute. */
  readonly folder: string;
  readonly security: "tls" | "none";
  readonly schedulerFile?: string | undefined;
}

/** The PEM files that open a cluster; undefined without security. */
export function securityFiles({
  folder,
  security,
}: Pick<ClusterAccess, "folder" | "security">): SecurityFiles | undefined {
  if (security === "none") return undefined;
  const { ca, cert, key } = clusterFiles(folder);
  return { caFile: ca, cert, key };
}

/**
 * The variables that connect a plain `Client()` (and `dask worker`) to a cluster; Dask reads `DASK_A__B_C` as its
 * setting `a.b-c` (dask/config.py, collect_env). They name files and hold no secret.
 */
export function clientEnvironment(access: ClusterAccess): Readonly<Record<string, string>> {
  const files = securityFiles(access);
  return {
    DASK_SCHEDULER_ADDRESS: access.address,
    ...(access.schedulerFile === undefined ? {} : { TSDASK_SCHEDULER_FILE: access.schedulerFile }),
    ...(files === undefined ? {} : tlsEnvironment(files)),
  };
}

function tlsEnvironment({ caFile, cert, key }: SecurityFiles): Record<string, string> {
  const roles = ["CLIENT", "WORKER", "SCHEDULER"].flatMap((role) => [
    [`DASK_DISTRIBUTED__COMM__TLS__${role}__CERT`, cert],
    [`DASK_DISTRIBUTED__COMM__TLS__${role}__KEY`, key],
  ]);
  return {
    DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION: "True",
    DASK_DISTRIBUTED__COMM__TLS__CA_FILE: caFile,
    ...Object.fromEntries(roles),
  };
}

/** The text of `dask.yaml` for the cluster folder, so that `DASK_CONFIG=<folder>` connects a plain `Client()`. */
export function daskYaml(access: ClusterAccess): string {
  const files = securityFiles(access);
  const lines = [
    "# Dask's settings for this cluster: with DASK_CONFIG set to this folder, Client() is connected.",
    `scheduler-address: ${quoted(access.address)}`,
  ];
  if (files !== undefined) lines.push(...tlsYaml(files));
  return `${lines.join("\n")}\n`;
}

function tlsYaml({ caFile, cert, key }: SecurityFiles): string[] {
  const pair = (role: string): string[] => [
    `      ${role}:`,
    `        cert: ${quoted(cert)}`,
    `        key: ${quoted(key)}`,
  ];
  return [
    "distributed:",
    "  comm:",
    "    require-encryption: true",
    "    tls:",
    `      ca-file: ${quoted(caFile)}`,
    ...["client", "worker", "scheduler"].flatMap(pair),
  ];
}

/** A JSON string is a YAML double-quoted string too (YAML 1.2, 1.3.1). */
const quoted = (text: string): string => JSON.stringify(text);
