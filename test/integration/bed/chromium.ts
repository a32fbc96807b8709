import { type Browser, chromium } from "playwright-core";
import { type Availability, isRoot, which } from "./command.ts";

/** Whether a Chromium is there. */
export function chromiumAvailable(): Availability {
  return findChromium() === undefined ? { missing: "chromium (Debian: chromium)" } : true;
}

/** Launches the system's Chromium without a window; close it with `await using`. */
export async function launchChromium(): Promise<Browser> {
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
  return await chromium.launch({ executablePath, args: [...quiet, ...(isRoot ? ["--no-sandbox"] : [])] });
}

function findChromium(): string | undefined {
  return which("chromium") ?? which("chromium-browser") ?? which("google-chrome");
}
