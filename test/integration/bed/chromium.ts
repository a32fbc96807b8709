import { createHash, X509Certificate } from "node:crypto";
import { type Browser, chromium } from "playwright-core";
import { type Availability, isRoot, which } from "./command.ts";

/** Whether a Chromium is there. */
export function chromiumAvailable(): Availability {
  return findChromium() === undefined ? { missing: "chromium (Debian: chromium)" } : true;
}

/**
 * Launches the system's Chromium without a window; close it with `await using`. Of certificates it has no authority
 * for, it takes those of `trusted` (PEM) alone.
 */
export async function launchChromium({ trusted }: { readonly trusted?: string } = {}): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error("There is no Chromium: npm test installs it as root on Debian");
  // Nothing that calls home: on a closed network each try is a refused connection.
  const quiet = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
  ];
  return await chromium.launch({
    executablePath,
    // Ten times what it takes on a quiet machine.
    timeout: 120_000,
    args: [
      ...quiet,
      ...(trusted === undefined ? [] : [`--ignore-certificate-errors-spki-list=${keyDigest(trusted)}`]),
      ...(isRoot ? ["--no-sandbox"] : []),
    ],
  });
}

/** The SHA-256 of a certificate's public key, in base64. */
function keyDigest(pem: string): string {
  const key = new X509Certificate(pem).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(key).digest("base64");
}

function findChromium(): string | undefined {
  return which("chromium") ?? which("chromium-browser") ?? which("google-chrome");
}
