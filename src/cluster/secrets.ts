import type { Credentials } from "../protocol/messages.ts";
import { publicName } from "../registry/names.ts";
import type { Options } from "../config/options.ts";
import type { Authority, fingerprint } from "../security/certificates.ts";
import type { Secrets } from "./launch.ts";

/** What the hub is known by, where other hosts must find it. */
export interface HubCertificate {
  readonly cert: string;
  readonly key: string;
  readonly fingerprint: string;
}

/**
 * Makes what a launch's connections prove themselves with: a certificate authority in this process's memory, a
 * certificate for Dask's processes and clients, one for the hub, and the token for web pages. With `--security none`
 * only the hub gets its certificate, and with a site's own certificates (`--tls-*`) Dask gets those; `secrets` rejects
 * with TSD-079 when they cannot be used, and as `join` does. The hub's waits for none of that: where Dask
 * gets no secrets, the other hosts are to hear so.
 */
export function makeSecrets({
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
}): { readonly secrets: Promise<Secrets>; readonly hub: Promise<HubCertificate | undefined> } {
  const secure = options.security === "tls";
  // Jupyter is never without a token, whatever Dask's connections are.
  const wantsToken = secure || options.jupyter !== undefined;
  const own = secure && options.tls === undefined && join === undefined;
  const known = publicName(options, launch);
  const names = {
    dnsNames: [host, "localhost", ...(known === undefined ? [] : [known.name])],
    addresses: ["127.0.0.1", ...addresses],
  };
  let opened: ReturnType<typeof openAuthority> | undefined;
  const authority = (): ReturnType<typeof openAuthority> => (opened ??= openAuthority(launch));
  const found = async (): Promise<Secrets> =>
    (await join) ?? { credentials: await siteCredentials(options), token: wantsToken ? await token() : null };
  const issued = async (): Promise<Secrets> => {
    const { certificate: ca, issue } = await authority();
    return {
      credentials: { ca, ...(await issue({ name: "dask", ...names, server: true, client: true })) },
      token: await token(),
    };
  };
  const forHub = async (): Promise<HubCertificate> => {
    const { issue, fingerprint } = await authority();
    const certificate = await issue({ name: "hub", ...names, server: true });
    return { ...certificate, fingerprint: fingerprint(certificate.cert) };
  };
  return { secrets: own ? issued() : found(), hub: hub ? forHub() : Promise.resolve(undefined) };
}

async function openAuthority(launch: string): Promise<Authority & { readonly fingerprint: typeof fingerprint }> {
  const { createAuthority, fingerprint: print } = await import("../security/certificates.ts");
  return { ...(await createAuthority({ launch })), fingerprint: print };
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
