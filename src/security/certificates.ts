import { createHash, generateKeyPairSync, randomBytes, sign, X509Certificate, type KeyObject } from "node:crypto";
import { isIP } from "node:net";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import * as asn from "@peculiar/asn1-x509";

/**
 * A certificate and its private key, both PEM; the key is unencrypted PKCS #8, which OpenSSL, Python and Node all read.
 */
export interface Credentials {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate is for: who carries it, under which names, and on which side of a connection it may stand. */
export interface CertificateRequest {
  readonly name: string;
  readonly dnsNames?: readonly string[];
  readonly addresses?: readonly string[];
  readonly server?: boolean;
  readonly client?: boolean;
  /** Days it is valid from now on; 30 when not given. */
  readonly days?: number;
}

/** The certificate authority of one launch; its private key never leaves this process's memory. */
export interface Authority {
  readonly certificate: string;
  readonly issue: (request: CertificateRequest) => Promise<Credentials>;
}

const DAY = 24 * 60 * 60 * 1000;
const VALID_DAYS = 30;
/** Clocks of two hosts may differ: certificates are valid from this long before now, and to this long after it (ms). */
export const certificateReach: { readonly back: number; readonly forth: number } = {
  back: 8 * DAY,
  forth: VALID_DAYS * DAY,
};

/** RFC 5758: ecdsa-with-SHA256. RFC 5480: id-ecPublicKey keys on the curve secp256r1. */
const ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2";
const COMMON_NAME = "2.5.4.3";
/** RFC 5280, upper bound of a common name. */
const COMMON_NAME_LENGTH = 64;

interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

interface Body {
  readonly subject: string;
  readonly issuer: string;
  readonly publicKey: KeyObject;
  readonly days: number;
  readonly extensions: asn.Extension[];
}

/**
 * Makes a new certificate authority (EC P-256) for one launch, good for signing leaf certificates only.
 * Certificates follow RFC 5280 as OpenSSL's strict mode reads it, which newer Pythons switch on.
 */
export async function createAuthority({ launch }: { readonly launch: string }): Promise<Authority> {
  const issuer = commonName(`tsdask-mpi ${launch}`);
  const pair = newKeyPair();
  const keyId = keyIdentifier(pair.publicKey);
  const certificate = signed(
    {
      subject: issuer,
      issuer,
      publicKey: pair.publicKey,
      days: VALID_DAYS,
      extensions: [
        extension(asn.id_ce_basicConstraints, new asn.BasicConstraints({ cA: true, pathLenConstraint: 0 }), "critical"),
        extension(asn.id_ce_keyUsage, new asn.KeyUsage(asn.KeyUsageFlags.keyCertSign), "critical"),
        extension(asn.id_ce_subjectKeyIdentifier, new asn.SubjectKeyIdentifier(keyId)),
      ],
    },
    pair.privateKey,
  );
  return { certificate, issue: async (request) => issue(request, { issuer, keyId, privateKey: pair.privateKey }) };
}

/**
 * The SHA-256 of a PEM certificate's DER bytes, as 64 lower-case hexadecimal digits. Throws when it is no certificate.
 */
export function fingerprint(certPem: string): string {
  return createHash("sha256").update(new X509Certificate(certPem).raw).digest("hex");
}

interface Issuer {
  readonly issuer: string;
  readonly keyId: ArrayBuffer;
  readonly privateKey: KeyObject;
}

function issue(request: CertificateRequest, { issuer, keyId, privateKey }: Issuer): Credentials {
  const pair = newKeyPair();
  const purposes = [
    ...(request.server ? [asn.id_kp_serverAuth] : []),
    ...(request.client ? [asn.id_kp_clientAuth] : []),
  ];
  const names = alternativeNames(request);
  const cert = signed(
    {
      subject: commonName(request.name),
      issuer,
      publicKey: pair.publicKey,
      days: request.days ?? VALID_DAYS,
      extensions: [
        extension(asn.id_ce_basicConstraints, new asn.BasicConstraints({ cA: false }), "critical"),
        extension(asn.id_ce_keyUsage, new asn.KeyUsage(asn.KeyUsageFlags.digitalSignature), "critical"),
        ...(purposes.length > 0 ? [extension(asn.id_ce_extKeyUsage, new asn.ExtendedKeyUsage(purposes))] : []),
        extension(asn.id_ce_subjectKeyIdentifier, new asn.SubjectKeyIdentifier(keyIdentifier(pair.publicKey))),
        extension(
          asn.id_ce_authorityKeyIdentifier,
          new asn.AuthorityKeyIdentifier({ keyIdentifier: new asn.KeyIdentifier(keyId) }),
        ),
        ...(names.length > 0 ? [extension(asn.id_ce_subjectAltName, new asn.SubjectAlternativeName(names))] : []),
      ],
    },
    privateKey,
  );
  return { cert, key: pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
}

function newKeyPair(): KeyPair {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

/** Signs a certificate with SHA-256 and ECDSA; PEM. */
function signed({ subject, issuer, publicKey, days, extensions }: Body, signer: KeyObject): string {
  const now = Date.now();
  const algorithm = new asn.AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 });
  const tbsCertificate = new asn.TBSCertificate({
    version: asn.Version.v3,
    serialNumber: serialNumber(),
    signature: algorithm,
    issuer: distinguishedName(issuer),
    subject: distinguishedName(subject),
    validity: new asn.Validity({
      notBefore: new Date(now - certificateReach.back),
      notAfter: new Date(now + days * DAY),
    }),
    subjectPublicKeyInfo: AsnConvert.parse(spki(publicKey), asn.SubjectPublicKeyInfo),
    extensions: new asn.Extensions(extensions),
  });
  const signature = sign("sha256", Buffer.from(AsnConvert.serialize(tbsCertificate)), signer);
  const certificate = new asn.Certificate({
    tbsCertificate,
    signatureAlgorithm: algorithm,
    signatureValue: arrayBuffer(signature),
  });
  return pem(Buffer.from(AsnConvert.serialize(certificate)));
}

function distinguishedName(common: string): asn.Name {
  const value = new asn.AttributeValue({ utf8String: common });
  return new asn.Name([
    new asn.RelativeDistinguishedName([new asn.AttributeTypeAndValue({ type: COMMON_NAME, value })]),
  ]);
}

function extension(id: string, value: object, critical?: "critical"): asn.Extension {
  const extnValue = new OctetString(AsnConvert.serialize(value));
  return new asn.Extension({ extnID: id, critical: critical === "critical", extnValue });
}

function alternativeNames({ dnsNames = [], addresses = [] }: CertificateRequest): asn.GeneralName[] {
  const hosts = [...new Set(dnsNames)].filter((name) => /^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/.test(name));
  const numbers = [...new Set(addresses.map((address) => address.replace(/%.*$/, "")))].filter((a) => isIP(a) !== 0);
  return [
    ...hosts.map((dNSName) => new asn.GeneralName({ dNSName })),
    ...numbers.map((iPAddress) => new asn.GeneralName({ iPAddress })),
  ];
}

/** RFC 5280, 4.2.1.2: the SHA-1 of the public key's bits names the key (a name, not a protection). */
function keyIdentifier(publicKey: KeyObject): ArrayBuffer {
  const { subjectPublicKey } = AsnConvert.parse(spki(publicKey), asn.SubjectPublicKeyInfo);
  return arrayBuffer(createHash("sha1").update(new Uint8Array(subjectPublicKey)).digest());
}

/** 127 random bits, positive and without a leading zero byte, as RFC 5280, 4.1.2.2 wants them. */
function serialNumber(): ArrayBuffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return arrayBuffer(bytes);
}

const spki = (key: KeyObject): Buffer => key.export({ type: "spki", format: "der" });

const commonName = (name: string): string => name.slice(0, COMMON_NAME_LENGTH);

const arrayBuffer = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

function pem(der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}
