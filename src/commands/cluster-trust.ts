import type { Trust } from "../security/trusted-file.ts";
import { readOptions } from "../config/read.ts";

/**
 * What was said of the cluster that a command uses: whose folder its file may lie in, and whether it may be one without
 * TLS.
 */
export interface ClusterTrust extends Required<Trust> {
  readonly security: "tls" | "none";
}

/**
 * The trust that a command's own words ask for, or else the launch's options in the environment and the configuration
 * files. Throws what `readOptions` throws.
 */
export async function clusterTrust(
  said: { readonly trustSharedFolder?: unknown; readonly security?: unknown },
  { env, cwd }: { readonly env: NodeJS.ProcessEnv; readonly cwd: string },
): Promise<ClusterTrust> {
  const { options } = await readOptions({ argv: [], env, cwd, mayBeUnset: true });
  return {
    shared: said.trustSharedFolder === true || options.trustSharedFolder,
    security: said.security === "none" || said.security === "tls" ? said.security : options.security,
  };
}

/** What a job that joins the same cluster must be told, as words of its command line and as variables. */
export function trustPassedOn({ shared, security }: ClusterTrust): {
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
} {
  return {
    words: [...(shared ? ["--trust-shared-folder"] : []), ...(security === "none" ? ["--security", "none"] : [])],
    env: {
      ...(shared ? { TSDASK_TRUST_SHARED_FOLDER: "true" } : {}),
      ...(security === "none" ? { TSDASK_SECURITY: "none" } : {}),
    },
  };
}
