import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isSnap, openBrowser } from "../../src/commands/open/browser.ts";
import { makeSessionFolder } from "../../src/commands/open/session-folder.ts";
import { deadlines } from "../../src/deadlines.ts";

const changed: { usualBrowser: number } = deadlines;
const { usualBrowser } = deadlines;

let base = "";
let env: NodeJS.ProcessEnv = {};
const place = (name: string): string => join(base, name);
const program = (name: string, text: string): void => {
  writeFileSync(join(base, "bin", name), `#!/bin/sh\n${text}\n`);
  chmodSync(join(base, "bin", name), 0o755);
};
beforeEach(() => {
  // A busy machine starts xdg-settings late.
  changed.usualBrowser = 60_000;
  base = mkdtempSync(join(tmpdir(), "tsdask-browser-"));
  for (const name of ["bin", "home", "run"]) mkdirSync(place(name), { mode: 0o700 });
  env = { PATH: `${place("bin")}:/usr/bin:/bin`, HOME: place("home"), XDG_RUNTIME_DIR: place("run"), DISPLAY: ":7" };
});
afterEach(() => {
  changed.usualBrowser = usualBrowser;
  rmSync(base, { recursive: true });
});

describe("the folder of a session", () => {
  test("is in XDG_RUNTIME_DIR", async () => {
    const folder = await makeSessionFolder(env);
    expect(dirname(folder)).toBe(place("run"));
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  test("is in the temporary folder where that is not there, a file, or open to all", async () => {
    writeFileSync(place("file"), "");
    mkdirSync(place("open"));
    chmodSync(place("open"), 0o777);
    for (const name of ["none", "file", "open"]) {
      const folder = await makeSessionFolder({ XDG_RUNTIME_DIR: place(name) });
      expect(dirname(folder)).toBe(tmpdir());
      rmSync(folder, { recursive: true });
    }
    expect(readdirSync(place("open"))).toEqual([]);
  });
});

test.each([
  ["firefox_firefox.desktop", true],
  ["chromium_chromium.desktop\n/usr/bin/chromium", true],
  ["firefox.desktop\n/snap/bin/firefox", true],
  ["firefox.desktop\n/var/lib/snapd/snap/bin/firefox", true],
  ['chromium-browser.desktop\n/usr/bin/chromium-browser\n#!/bin/sh\nexec /snap/bin/chromium "$@"', true],
  ["firefox-esr.desktop\n/usr/bin/firefox-esr", false],
  ["org.mozilla.firefox.desktop\n", false],
  ["/home/ada/snap/firefox", false],
  ["", false],
])("the browser %j is a snap: %s", (browser, expected) => {
  expect(isSnap(browser)).toBe(expected);
});

describe("the page that leads the browser on", () => {
  /** The page that the browser was given, and what closes it. */
  async function opened(): Promise<{ readonly page: string; readonly close: () => Promise<void> }> {
    program("xdg-open", `echo "$1" >'${place("told")}.part'; mv '${place("told")}.part' '${place("told")}'`);
    const close = await openBrowser("http://127.0.0.1:1/lab?token=secret", env);
    if (close === undefined) throw new Error("no browser was opened");
    await expect.poll(() => existsSync(place("told"))).toBe(true);
    return { page: readFileSync(place("told"), "utf8").trim(), close };
  }

  test("is in the session's folder for a browser that sees it", async () => {
    program("xdg-settings", "echo firefox-esr.desktop");
    const { page, close } = await opened();
    expect(dirname(dirname(page))).toBe(place("run"));
    await close();
    expect(readdirSync(place("run"))).toEqual([]);
  });

  test("is in the home folder, by a name that is not hidden, for a snap", async () => {
    program("xdg-settings", '[ "$*" = "get default-web-browser" ] && echo firefox_firefox.desktop');
    const { page, close } = await opened();
    expect(page).toMatch(/^\/.+\/home\/tsdask-open-[^/]+\/open\.html$/);
    expect(statSync(dirname(page)).mode & 0o777).toBe(0o700);
    expect(readFileSync(page, "utf8")).toContain("token=secret");
    await close();
    expect(readdirSync(place("home"))).toEqual([]);
  });

  test("is there as well for a program that starts the snap, which BROWSER names", async () => {
    program("xdg-settings", "exit 1");
    program("firefox", 'exec /snap/bin/firefox "$@"');
    env["BROWSER"] = "firefox";
    const { page, close } = await opened();
    expect(page.startsWith(`${place("home")}/`)).toBe(true);
    await close();
  });

  test("is where other pages are when the home folder cannot keep it private", async () => {
    program("xdg-settings", "echo firefox_firefox.desktop");
    chmodSync(place("home"), 0o777);
    const { page, close } = await opened();
    expect(dirname(dirname(page))).toBe(place("run"));
    await close();
    expect(readdirSync(place("home"))).toEqual([]);
  });
});
