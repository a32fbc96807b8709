import { execFile, spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { promisify } from "node:util";
import { deadlines } from "../../deadlines.ts";
import { whichIn } from "../../doctor/which.ts";
import { Failure } from "../../errors/failure.ts";
import { html } from "../../report/html.ts";
import { writePrivateFile } from "../../security/private-files.ts";
import { readSmallFile } from "../../security/small-file.ts";
import { homeFolder } from "../../security/user.ts";
import { makeSessionFolder, pageName, sessionFolderIn } from "./session-folder.ts";

const mac = process.platform === "darwin";

/**
 * Opens a link in the user's browser. The link holds a token, and all users can see a process's words: the browser gets
 * a page of a private folder that leads on. Resolves to what removes that page, or to undefined where no browser can be
 * opened.
 */
export async function openBrowser(link: string, env: NodeJS.ProcessEnv): Promise<(() => Promise<void>) | undefined> {
  if (!mac && !env["DISPLAY"] && !env["WAYLAND_DISPLAY"] && !env["BROWSER"]) return undefined;
  const folder = await pageFolder(env);
  const page = join(folder, pageName);
  const { text } =
    html`<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=${link}"><a href="${link}">JupyterLab</a>
`;
  await writePrivateFile(page, text);
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  const child = spawn(mac ? "open" : "xdg-open", [page], { env, stdio: "ignore", detached: true });
  const started = await new Promise<boolean>((resolve) => {
    child.once("error", () => resolve(false));
    child.once("spawn", () => resolve(true));
  });
  child.unref();
  if (started) return remove;
  await remove();
  return undefined;
}

/**
 * Where the page lies. A browser that is a snap, as Ubuntu's are, has a /tmp of its own, and may read neither /run/user
 * nor what is hidden in the home folder (snapd's interface `home`).
 */
async function pageFolder(env: NodeJS.ProcessEnv): Promise<string> {
  if (!mac && isSnap(await usualBrowser(env)))
    try {
      return await sessionFolderIn(homeFolder(env));
    } catch (error) {
      // The home folder cannot keep it private, or is full; the link was printed.
      if (!(error instanceof Failure)) throw error;
    }
  return makeSessionFolder(env);
}

/**
 * Whether a browser is a snap, by what starts it or by its desktop file, which snapd calls `<snap>_<app>.desktop`.
 * Pure.
 */
export const isSnap = (browser: string): boolean =>
  /(?:^|[\s"'=])\/(?:var\/lib\/snapd\/)?snap\/|^[a-z\d-]+_[\w.-]+\.desktop$/m.test(browser);

/** What is known of the browser that xdg-open starts: its desktop file's name, and what the programs are. */
async function usualBrowser(env: NodeJS.ProcessEnv): Promise<string> {
  const asked = promisify(execFile)("xdg-settings", ["get", "default-web-browser"], {
    env,
    timeout: deadlines.usualBrowser,
  });
  const desktop = await asked.then(
    ({ stdout }) => stdout.trim(),
    () => "",
  );
  const [own = ""] = (env["BROWSER"] ?? "").split(/[:\s]/);
  return [desktop, ...[desktop.replace(/\.desktop$/, ""), own].map((name) => programText(name, env))].join("\n");
}

/** A program's path, and its text where it is a script, such as the one of Ubuntu's that starts the snap instead. */
function programText(name: string, env: NodeJS.ProcessEnv): string {
  const path = name === "" || isAbsolute(name) ? name : (whichIn(name, env) ?? "");
  try {
    const text = readSmallFile(path, { follow: true });
    return text.startsWith("#!") ? `${path}\n${text}` : path;
  } catch {
    // A program as programs are, or none.
    return path;
  }
}
