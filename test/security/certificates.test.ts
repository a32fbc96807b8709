import { execFile } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAuthority, fingerprint, type Authority, type Credentials } from "../../src/security/certificates.ts";

const run = promisify(execFile);

describe("certificates of a launch", () => {
  let folder: string;
  let authority: Authority;
  let leaf: Credentials;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tsdask-certificates-"));
    authority = await createAuthority({ launch: "3f9c" });
    leaf = await authority.issue({
      name: "scheduler",
      dnsNames: ["h1", "h1.example.org", "not a name"],
      addresses: ["10.77.0.1", "fe80::1%eth0", "nonsense"],
      server: true,
      client: true,
    });
    await writeFile(join(folder, "ca.pem"), authority.certificate);
    await writeFile(join(folder, "cert.pem"), leaf.cert);
    await writeFile(join(folder, "key.pem"), leaf.key);
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("a leaf is signed by its launch's authority and by no other", async () => {
    const other = await createAuthority({ launch: "3f9c" });
    const cert = new X509Certificate(leaf.cert);
    expect(cert.verify(new X509Certificate(authority.certificate).publicKey)).toBe(true);
    expect(cert.verify(new X509Certificate(other.certificate).publicKey)).toBe(false);
    expect(cert.checkPrivateKey(createPrivateKey(leaf.key))).toBe(true);
  });

  test("a leaf names its hosts and addresses, and leaves out what is neither", () => {
    expect(new X509Certificate(leaf.cert).subjectAltName).toBe(
      "DNS:h1, DNS:h1.example.org, IP Address:10.77.0.1, IP Address:FE80:0:0:0:0:0:0:1",
    );
  });

  test("a leaf is valid from eight days ago, for hosts whose clocks lag, and for 30 days", () => {
    const cert = new X509Certificate(leaf.cert);
    const day = 24 * 3600 * 1000;
    expect(Math.abs(cert.validFromDate.getTime() - (Date.now() - 8 * day))).toBeLessThan(60_000);
    expect(Math.abs(cert.validToDate.getTime() - (Date.now() + 30 * day))).toBeLessThan(60_000);
  });

  test("the authority signs leaves only, and a leaf is no authority", () => {
    expect(new X509Certificate(authority.certificate).ca).toBe(true);
    expect(new X509Certificate(leaf.cert).ca).toBe(false);
  });

  test("a fingerprint is the SHA-256 of the DER bytes", () => {
    const expected = new X509Certificate(leaf.cert).fingerprint256.replaceAll(":", "").toLowerCase();
    expect(fingerprint(leaf.cert)).toBe(expected);
  });

  test("OpenSSL accepts it in its strict mode, for both sides of a connection", async () => {
    for (const purpose of ["sslserver", "sslclient"]) {
      const { stdout } = await run("openssl", [
        "verify",
        "-x509_strict",
        "-purpose",
        purpose,
        "-CAfile",
        join(folder, "ca.pem"),
        join(folder, "cert.pem"),
      ]);
      expect(stdout).toContain("OK");
    }
  });

  test("a client's certificate is refused as a server's", async () => {
    const client = await authority.issue({ name: "client", client: true });
    await writeFile(join(folder, "client.pem"), client.cert);
    const verify = (purpose: string): Promise<unknown> =>
      run("openssl", ["verify", "-purpose", purpose, "-CAfile", join(folder, "ca.pem"), join(folder, "client.pem")]);
    await expect(verify("sslclient")).resolves.toBeDefined();
    await expect(verify("sslserver")).rejects.toThrow();
  });

  test("Python's ssl makes a strict, mutually authenticated connection with it", async () => {
    const script = `
import socket, ssl, sys, threading
ca, cert, key = (sys.argv[1] + "/" + name for name in ("ca.pem", "cert.pem", "key.pem"))
def context(purpose):
    made = ssl.create_default_context(purpose, cafile=ca)
    made.load_cert_chain(cert, key)
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    return made
left, right = socket.socketpair()
def serve():
    with context(ssl.Purpose.CLIENT_AUTH).wrap_socket(left, server_side=True) as server:
        server.sendall(server.getpeercert()["subject"][0][0][1].encode())
thread = threading.Thread(target=serve)
thread.start()
with context(ssl.Purpose.SERVER_AUTH).wrap_socket(right, server_hostname="h1") as client:
    print(client.version(), client.recv(100).decode())
thread.join()
`;
    const { stdout } = await run("python3", ["-c", script, folder]);
    expect(stdout.trim()).toBe("TLSv1.3 scheduler");
  });
});
