import { createPrivateKey, X509Certificate, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { Failure } from "../errors/failure.ts";
import type { ClusterCredentials } from "./cluster-folder.ts";

/** PEM files of a site's own certificates; `key` may be the same file as `cert`. */
export interface CertificateFiles {
  readonly caFile: string;
  readonly cert: string;
  readonly key: string;
}

/** RFC 5280, 4.2.1.12: what a certificate for both sides of a connection is good for, where it says so at all. */
const SERVER = "1.3.6.1.5.5.7.3.1";
const CLIENT = "1.3.6.1.5.5.7.3.2";

/**
 * Reads a site's own certificates and checks what would otherwise fail on every rank, and less clearly: that they are
 * PEM, belong together, are valid now, and serve both sides of a connection. Throws TSD-079 (a file cannot be read or
 * used).
 */
export function readSiteCertificates({ caFile, cert, key }: CertificateFiles): ClusterCredentials {
  const texts = { ca: read(caFile), cert: read(cert), key: read(key) };
  const authorities = certificates(texts.ca, caFile);
  const [leaf, ...chain] = certificates(texts.cert, cert);
  if (leaf === undefined || authorities.length === 0)
    throw unusable(leaf === undefined ? cert : caFile, "there is no certificate in it");
  const problem =
    certificateProblem(leaf) ??
    (isSignedBy(leaf, [...chain, ...authorities]) ? undefined : `it was not signed by the authority in ${caFile}`);
  if (problem !== undefined) throw unusable(cert, problem);
  if (!leaf.checkPrivateKey(privateKey(texts.key, key)))
    throw unusable(key, `its key does not belong to the certificate in ${cert}`);
  return texts;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw unusable(path, `it cannot be read (${error instanceof Error ? error.message : String(error)})`, error);
  }
}

function certificates(text: string, path: string): X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    throw unusable(path, "a certificate in it is damaged", error);
  }
}

function privateKey(text: string, path: string): KeyObject {
  if (/BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED/.test(text))
    throw unusable(path, "its key has a passphrase, which nobody could type on every rank");
  try {
    return createPrivateKey(text);
  } catch (error) {
    throw unusable(path, "there is no private key in it", error);
  }
}

function certificateProblem(leaf: X509Certificate): string | undefined {
  const now = new Date();
  if (leaf.validToDate < now) return `it expired on ${leaf.validTo}`;
  if (leaf.validFromDate > now) return `it is valid from ${leaf.validFrom} on only`;
  // Node types the list as always there; a certificate without the extension has none, and is good for everything.
  const purposes = leaf.keyUsage as readonly string[] | undefined;
  if (purposes !== undefined && !(purposes.includes(SERVER) && purposes.includes(CLIENT)))
    return "it is not for servers and clients both (serverAuth and clientAuth)";
  return undefined;
}

function isSignedBy(leaf: X509Certificate, issuers: readonly X509Certificate[]): boolean {
  return issuers.some((issuer) => leaf.checkIssued(issuer) && leaf.verify(issuer.publicKey));
}

function unusable(path: string, problem: string, cause?: unknown): Failure {
  return new Failure("TSD-079", { path, problem }, { cause });
}
