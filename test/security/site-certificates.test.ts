import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAuthority, type Authority } from "../../src/security/certificates.ts";
import { readSiteCertificates } from "../../src/security/site-certificates.ts";

let folder: string;
let authority: Authority;
const path = (name: string): string => join(folder, name);
const put = (name: string, text: string): string => {
  writeFileSync(path(name), text);
  return path(name);
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tsdask-site-"));
  authority = await createAuthority({ launch: "site" });
  const pair = await authority.issue({ name: "both", server: true, client: true });
  put("ca.pem", authority.certificate);
  put("cert.pem", pair.cert);
  put("key.pem", pair.key);
  put("both.pem", `${pair.key}${pair.cert}`);
});
afterAll(() => rmSync(folder, { recursive: true }));

const files = (
  changes: Partial<Parameters<typeof readSiteCertificates>[0]> = {},
): Parameters<typeof readSiteCertificates>[0] => ({
  caFile: path("ca.pem"),
  cert: path("cert.pem"),
  key: path("key.pem"),
  ...changes,
});

describe("a site's own certificates", () => {
  test("are taken when they belong together, key and certificate in one file too", () => {
    expect(readSiteCertificates(files()).cert).toBe(readFileSync(path("cert.pem"), "utf8"));
    expect(readSiteCertificates(files({ cert: path("both.pem"), key: path("both.pem") })).key).toContain("PRIVATE KEY");
  });

  test("made by OpenSSL with RSA are taken, without a word on what they are for", () => {
    const make = (...args: string[]): unknown => execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });
    make(
      "req",
      "-x509",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-keyout",
      "own-key.pem",
      "-out",
      "own.pem",
      "-days",
      "2",
      "-subj",
      "/CN=own",
    );
    expect(
      readSiteCertificates({ caFile: path("own.pem"), cert: path("own.pem"), key: path("own-key.pem") }).ca,
    ).toContain("BEGIN CERTIFICATE");
    make("pkcs8", "-topk8", "-in", "own-key.pem", "-out", "locked.pem", "-passout", "pass:x");
    expect(() =>
      readSiteCertificates({ caFile: path("own.pem"), cert: path("own.pem"), key: path("locked.pem") }),
    ).toThrow(/TSD-079.*passphrase/);
  });

  test("that cannot be used are told one by one", async () => {
    const other = await createAuthority({ launch: "other" });
    const strange = await other.issue({ name: "x", server: true, client: true });
    const late = await authority.issue({ name: "x", server: true, client: true, days: -0.01 });
    const client = await authority.issue({ name: "x", client: true });
    expect(() => readSiteCertificates(files({ key: put("strange-key.pem", strange.key) }))).toThrow(
      /TSD-079.*does not belong to the certificate/,
    );
    expect(() => readSiteCertificates(files({ cert: put("strange.pem", strange.cert) }))).toThrow(
      /TSD-079.*not signed by the authority/,
    );
    expect(() => readSiteCertificates(files({ cert: put("late.pem", late.cert) }))).toThrow(/TSD-079.*expired on/);
    expect(() => readSiteCertificates(files({ cert: put("client.pem", client.cert) }))).toThrow(
      /TSD-079.*servers and clients both/,
    );
    expect(() => readSiteCertificates(files({ caFile: put("empty.pem", "") }))).toThrow(
      /TSD-079.*empty\.pem.*no certificate/,
    );
    expect(() =>
      readSiteCertificates(
        files({ cert: put("torn.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") }),
      ),
    ).toThrow(/TSD-079.*damaged/);
    expect(() => readSiteCertificates(files({ key: path("cert.pem") }))).toThrow(/TSD-079.*no private key/);
    expect(() => readSiteCertificates(files({ caFile: path("none.pem") }))).toThrow(
      /TSD-079.*none\.pem.*it cannot be read/,
    );
  });
});
