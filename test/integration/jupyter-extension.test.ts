import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Locator, Page } from "playwright-core";
import { expect, test } from "vitest";
import { chromiumAvailable, launchChromium } from "./bed/chromium.ts";
import { command } from "./bed/command.ts";
import { open, openPanes, panesDraw, picture, workForPanes } from "./bed/lab.ts";
import { nothingLeft } from "./bed/left.ts";
import { freePort } from "./bed/ports.ts";
import { hasDaskExtension, python } from "./bed/pythons.ts";
import { output, start } from "./bed/run.ts";
import { sshdAvailable, startSshd } from "./bed/sshd.ts";
import { startCluster } from "./security/cluster.ts";

const available = chromiumAvailable() === true && hasDaskExtension() === true && sshdAvailable() === true;

interface Model {
  readonly id: string;
  readonly name: string;
  readonly workers: number;
}

/** The launcher's card, and what it asks for. */
async function byTheCard(lab: Page, workers: number): Promise<void> {
  await lab.locator(".jp-LauncherCard", { hasText: "Dask cluster…" }).click({ timeout: 60_000 });
  const dialog = lab.locator(".jp-Dialog", { hasText: "Client() in a notebook" });
  expect(await dialog.textContent()).toContain("runs in a Dask cluster of 2 workers (2 threads, ");
  await picture(lab, "card");
  await dialog.locator("input").fill(String(workers));
  await dialog.getByText("Scale", { exact: true }).click();
  await lab.getByText("for 1 more worker; 2 are in").waitFor({ timeout: 60_000 });
  await picture(lab, "card-scaled");
}

/** The side bar's buttons, as a person clicks them. */
class SideBar {
  readonly #page: Page;
  constructor(page: Page) {
    this.#page = page;
  }

  entry(name: string): Locator {
    return this.#page.locator(".dask-ClusterListingItem").filter({ has: this.#page.getByText(name, { exact: true }) });
  }

  /** "SCALE", and a number of workers. */
  async scale(name: string, workers: number): Promise<void> {
    await this.entry(name).getByText("SCALE").click();
    const dialog = this.#page.locator(".jp-Dialog", { hasText: "Manual Scaling" });
    await dialog.locator("input.dask-ScalingInput").first().fill(String(workers));
    await dialog.locator("button.jp-mod-accept").click();
  }

  /** What a dialog says that tells of a failure; it is closed. */
  async failure(): Promise<string> {
    const dialog = this.#page.locator(".jp-Dialog", { hasText: "Failed" });
    const text = await dialog.textContent({ timeout: 60_000 });
    await picture(this.#page, "scale-refused");
    await dialog.getByText("Close").click();
    return text ?? "";
  }

  async shutDown(name: string): Promise<void> {
    await this.entry(name).getByText("SHUTDOWN").click();
    await this.entry(name).waitFor({ state: "detached", timeout: 60_000 });
  }
}

test.skipIf(!available)(
  "the Dask extension of JupyterLab lists the launch, shows it live through a tunnel without anything pasted, brings it a worker by a click, and its stop leaves it running",
  async () => {
    await using clean = nothingLeft();
    clean.allow(/^node-compile-cache|^home|^\.ipynb_checkpoints|^\.virtual_documents/);
    mkdirSync(join(clean.tmp, "home"));
    await using cluster = await startCluster(clean, {
      jupyter: true,
      words: ["--script-scale", "3"],
      env: { HOME: join(clean.tmp, "home") },
    });
    const { host, port } = cluster.file.tsdask?.jupyter ?? {};
    const page = `http://${host}:${port}`;
    const ask = async (path: string, method = "GET"): Promise<Response> =>
      fetch(`${page}/dask/${path}`, { method, headers: { Authorization: `token ${cluster.token}` } });
    const listed = async (): Promise<Model[]> => (await (await ask("clusters")).json()) as Model[];

    // The extension makes its first clusters when JupyterLab listens already: until then it lists none.
    await expect.poll(async () => (await listed()).length, { timeout: 60_000 }).toBe(1);
    const [launch] = await listed();
    expect(launch).toMatchObject({ name: "this launch", workers: 2, dashboard_link: "/tsdask/status" });
    expect((await fetch(`${page}/dask/dashboard/${launch?.id}/individual-plots.json`)).url).toContain("/login");

    // The browser comes as from a laptop, by ssh: the page is at another port for it.
    await using sshd = await startSshd();
    const local = await freePort();
    const forward = ["-N", "-L", `${local}:${host}:${port}`, "login"];
    const line = command(join(sshd.path, "ssh"), ...forward);
    await using _ = start(line, { folder: clean.folder, env: clean.env, deadline: 280 });
    await using browser = await launchChromium();
    const lab = await open(browser, `http://127.0.0.1:${local}/lab?token=${cluster.token}`);
    await byTheCard(lab, 3);
    await openPanes(lab, "this launch");
    const working = await workForPanes(clean, cluster.folder);
    for (const address of await panesDraw(lab, "tunnel")) {
      expect(address).toContain(`http://127.0.0.1:${local}/dask/dashboard/${launch?.id}/`);
    }

    const bar = new SideBar(lab);
    await bar.scale("this launch", 4);
    expect(await bar.failure()).toContain("--script-scale allows 3 workers");
    await bar.entry("this launch").getByText("Number of Workers: 3").waitFor({ timeout: 60_000 });
    await bar.scale("this launch", 2);
    await bar.entry("this launch").getByText("Number of Workers: 2").waitFor({ timeout: 60_000 });
    await picture(lab, "scaled");
    await lab.locator('jp-button[data-command="dask:launch-cluster"]').click();
    await bar.entry("this launch 2").getByText("Number of Workers: 2").waitFor({ timeout: 60_000 });
    for (const { name } of await listed()) await bar.shutDown(name);
    expect(await listed()).toEqual([]);
    await working[Symbol.asyncDispose]();
    const environment = { ...clean.env, DASK_CONFIG: cluster.folder, DASK_TEMPORARY_DIRECTORY: clean.tmp };
    expect(
      await output(command(python().path, join(clean.folder, "work.py")), { folder: clean.folder, env: environment }),
    ).toContain("sum 1770");
    await cluster.stop();
    expect((await cluster.running.finished).code).toBe(0);
  },
);
