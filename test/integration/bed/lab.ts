import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, Page } from "playwright-core";

/** What a person would look at; kept where TSDASK_TEST_PICTURES says. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env["TSDASK_TEST_PICTURES"];
  if (folder === undefined) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

/** Opens a link until the tunnel behind it stands. */
export async function open(browser: Browser, link: string): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
  const page = await context.newPage();
  for (let round = 0; ; round += 1) {
    try {
      await page.goto(link, { timeout: 30_000, waitUntil: "domcontentloaded" });
      return page;
    } catch (error) {
      if (round === 40 || !String(error).includes("ERR_CONNECTION")) throw error;
      await sleep(250);
    }
  }
}

/** Clicks the launcher's Python. On a busy machine JupyterLab's page sometimes stays empty until it is loaded again. */
export async function newNotebook(lab: Page): Promise<void> {
  const card = lab.locator(".jp-LauncherCard", { hasText: "Python 3" }).first();
  if (
    !(await card.waitFor({ timeout: 40_000 }).then(
      () => true,
      () => false,
    ))
  )
    await lab.reload();
  await card.click({ timeout: 40_000 }).finally(() => picture(lab, "launcher"));
}

/** In the browser: whether anything that Bokeh holds for the page's plots says this. */
export function drawn(text: string): boolean {
  const { Bokeh } = globalThis as unknown as { Bokeh?: { documents: readonly { to_json_string(): string }[] } };
  return (Bokeh?.documents ?? []).some((document) => document.to_json_string().includes(text));
}
