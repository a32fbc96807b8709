import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, Page } from "playwright-core";
import { command } from "./command.ts";
import type { Clean } from "./left.ts";
import { python } from "./pythons.ts";
import { start, type Running } from "./run.ts";

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
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  for (let round = 0; ; round += 1) {
    try {
      await page.goto(link, { waitUntil: "domcontentloaded" });
      return page;
    } catch (error) {
      if (round === 240 || !String(error).includes("ERR_CONNECTION")) throw error;
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

/** The panes of the Dask extension that are looked at. */
const panes = ["Task Stream", "Progress", "Workers"] as const;

const work = `
import sys, time
from distributed import Client
with Client() as client:
    held = client.map(lambda x: time.sleep(0.05) or x, range(60), pure=False)
    print("sum", sum(client.gather(held)), flush=True)
    sys.stdin.read()
`;

/**
 * Computes something for the panes to show on the cluster of this folder, as a script beside it; holds what it has
 * computed until it is disposed of.
 */
export async function workForPanes(clean: Clean, folder: string): Promise<Running> {
  const file = clean.write("work.py", work);
  const env = { ...clean.env, DASK_CONFIG: folder, DASK_TEMPORARY_DIRECTORY: clean.tmp };
  const line = `sleep 600 | ${python().path} ${file}`;
  const working = start(command("sh", "-c", line), { folder: clean.folder, env, deadline: 280 });
  await working.says(/^sum 1770$/m, 80);
  return working;
}

/**
 * Opens JupyterLab's panes for Dask as a person does: the side bar lists the cluster under this name, and has a button
 * for each pane. On a busy machine the extension sometimes has no buttons until the page is loaded again.
 */
export async function openPanes(lab: Page, cluster: string): Promise<void> {
  await sideBar(lab, cluster);
  const first = lab.locator(`button[value="${panes[0]}"]`);
  const there = await first.waitFor({ timeout: 20_000 }).then(
    () => true,
    () => false,
  );
  if (!there) {
    await lab.reload();
    await sideBar(lab, cluster);
  }
  for (const pane of panes) await lab.locator(`button[value="${pane}"]`).click({ timeout: 60_000 });
}

/**
 * Opens the extension's side bar. A click that comes while JupyterLab still restores its layout is undone: a person
 * clicks again.
 */
async function sideBar(lab: Page, cluster: string): Promise<void> {
  const tab = lab.locator('.jp-SideBar [data-id="dask-dashboard-launcher"]');
  const listing = lab.locator(".dask-ClusterListing");
  await tab.waitFor({ timeout: 60_000 });
  for (let tries = 0; tries < 10; tries += 1) {
    if (!(await listing.isVisible())) await tab.click();
    const shown = listing.filter({ hasText: cluster }).waitFor({ timeout: 5000 });
    if (
      await shown.then(
        () => true,
        () => false,
      )
    )
      return;
  }
  throw new Error(`JupyterLab's side bar does not list ${cluster}`);
}

/**
 * Waits until each pane has drawn the work, on workers of which one is rank 2; resolves to the addresses of what they
 * show. `name` is for the pictures.
 */
export async function panesDraw(lab: Page, name: string): Promise<readonly string[]> {
  const texts = { "Task Stream": '"lambda"', Progress: "total: 60", Workers: "tsdask-2" } as const;
  const addresses: string[] = [];
  // Only the pane in front draws.
  for (const title of panes) {
    const pane = title.toLowerCase().replace(" ", "-");
    await lab.locator(".lm-TabBar-tab", { hasText: title }).click();
    const frame = lab.frames().find((one) => one.url().endsWith(`/individual-${pane}`));
    if (frame === undefined) throw new Error(`There is no pane ${title}: ${lab.frames().map((one) => one.url())}`);
    await frame
      .waitForFunction(drawn, texts[title], { timeout: 60_000, polling: 250 })
      .finally(() => picture(lab, `${name}-${pane}`));
    addresses.push(frame.url());
  }
  return addresses;
}
