import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { html } from "../../report/html.ts";
import { writePrivateFile } from "../../security/private-files.ts";
import { makeSessionFolder, pageName } from "./session-folder.ts";

/**
 * Opens a link in the user's browser. The link holds a token, and all users can see a process's words: the browser gets
 * a page of a private folder that leads on. Resolves to what removes that page, or to undefined where no browser can be
 * opened.
 */
export async function openBrowser(link: string, env: NodeJS.ProcessEnv): Promise<(() => Promise<void>) | undefined> {
  const mac = process.platform === "darwin";
  if (!mac && !env["DISPLAY"] && !env["WAYLAND_DISPLAY"] && !env["BROWSER"]) return undefined;
  const folder = await makeSessionFolder(env);
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
