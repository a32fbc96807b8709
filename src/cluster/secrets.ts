import type { Credentials } from "../protocol/messages.ts";
import { publicName } from "../registry/names.ts";
import type { Options } from "../config/options.ts";
import type { Secrets } from "./launch.ts";

/** The launch's secrets and, where other hosts must find the hub, the hub's own certificate. */
export interface LaunchSecrets extends Secrets {
  readonly hub: { readonly cert: string; readonly key: string; readonly fingerprint: string } | undefined;
}

/**
 * Makes what a launch's connections prove themselves with: a certificate authority in this process's memory, a
 * certificate for Dask's processes and clients, one for the hub, and the token for web pages. With `--security none`
 * only the hub gets its certificate, and with a site's own certificates (`--tls-*`) Dask gets those. Throws TSD-079
 * when they cannot be used.
 */
export async function makeSecrets({
  options,
  launch,
  hub,
  host,
  addresses,
  join,
}: {
  readonly options: Options;
  readonly launch: string;
  readonly hub: boolean;
  readonly host: string;
  readonly addresses: readonly string[];
  /** The cluster that is joined: its secrets are Dask's, then. */
  readonly join: Promise<Secrets> | undefined;
}): Promise<LaunchSecrets> {
  const secure = options.security === "tls";
  // Jupyter is never without a token, whatever Dask's connections are.
  const wantsToken = secure || options.jupyter !== undefined;
  const own = secure && options.tls === undefined && join === undefined;
  const found = async (): Promise<Secrets> =>
    (await join) ?? { credentials: await siteCredentials(options), token: wantsToken ? await token() : null };
  if (!own && !hub) return { ...(await found()), hub: undefined };
  const { createAuthority, fingerprint } = await import("../security/certificates.ts");
  const authority = await createAuthority({ launch });
  const known = publicName(options, launch);
  const names = {
    dnsNames: [host, "localhost", ...(known === undefined ? [] : [known.name])],
    addresses: ["127.0.0.1", ...addresses],
  };
  const dask = own ? await authority.issue({ name: "dask", ...names, server: true, client: true }) : undefined;
  const hubCertificate = hub ? await authority.issue({ name: "hub", ...names, server: true }) : undefined;
  return {
    ...(dask === undefined
      ? await found()
      : { credentials: { ca: authority.certificate, ...dask }, token: await token() }),
    hub:
      hubCertificate === undefined ? undefined : { ...hubCertificate, fingerprint: fingerprint(hubCertificate.cert) },
  };
}

async function token(): Promise<string> {
  const { randomToken } = await import("../security/tokens.ts");
  return randomToken();
}

/** The site's own certificates, as `--tls-*` name them; null without. Throws TSD-079. */
export async function siteCredentials({ security, tls }: Options): Promise<Credentials | null> {
  if (security !== "tls" || tls === undefined) return null;
  const { readSiteCertificates } = await import("../security/site-certificates.ts");
  return readSiteCertificates(tls);
}
