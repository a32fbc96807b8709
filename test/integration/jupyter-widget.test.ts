import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { chromiumAvailable, launchChromium } from "./bed/chromium.ts";
import { command, projectRoot } from "./bed/command.ts";
import { open, picture } from "./bed/lab.ts";
import { nothingLeft } from "./bed/left.ts";
import { freePort } from "./bed/ports.ts";
import { hasWidgets, python } from "./bed/pythons.ts";
import { signalAll } from "./bed/processes.ts";
import { start } from "./bed/run.ts";

const available = chromiumAvailable() === true && hasWidgets() === true;

const notebook = JSON.stringify({
  nbformat: 4,
  nbformat_minor: 5,
  metadata: { kernelspec: { name: "python3", display_name: "Python 3", language: "python" } },
  cells: [
    {
      cell_type: "code",
      id: "one",
      metadata: {},
      outputs: [],
      execution_count: null,
      source: "from tsdask_mpi import Cluster\ncluster = Cluster(np=2)\ncluster",
    },
  ],
});

/** The widget, as a person reads and presses it. */
class Widget {
  readonly #page: Page;
  constructor(page: Page) {
    this.#page = page;
  }

  /** Waits until its page for scaling says this, without a press. */
  async says(text: string): Promise<void> {
    const shown = this.#page.locator(".jp-OutputArea-output .widget-tab-contents > div:nth-child(2)");
    await shown
      .getByText(text)
      .waitFor({ timeout: 60_000 })
      .finally(() => picture(this.#page, text.replaceAll(/\W+/g, "-")));
  }

  async turnTo(heading: string): Promise<void> {
    await this.#page.getByText(heading, { exact: true }).click();
  }

  async press(button: string, values: Readonly<Record<string, number>>): Promise<void> {
    for (const [label, value] of Object.entries(values)) {
      const field = this.#page.locator(".widget-inline-hbox", { hasText: label }).locator("input");
      await field.fill(String(value));
      await field.press("Enter");
    }
    await this.#page.getByRole("button", { name: button, exact: true }).click();
  }
}

test.skipIf(!available)(
  "the notebook's widget follows the workers, its buttons scale and adapt, it says why one could not, and nothing is left of the cluster of a kernel that is killed",
  async () => {
    await using clean = nothingLeft({ within: 20 });
    clean.allow(
      /^node-compile-cache|^home|^\.ipynb_checkpoints|^\.virtual_documents|^dask-worker.*\.out$|^(global|purge)\.lock$/,
    );
    clean.write("cluster.ipynb", notebook);
    mkdirSync(join(clean.tmp, "home"));
    const port = await freePort();
    const settings = ["--allow-root", "--no-browser", `--port=${port}`, "--IdentityProvider.token=widget"];
    await using _ = start(command(python().path, "-m", "jupyterlab", ...settings), {
      folder: clean.folder,
      env: {
        ...clean.env,
        HOME: join(clean.tmp, "home"),
        PYTHONPATH: join(projectRoot, "python"),
        PYTHONDONTWRITEBYTECODE: "1",
      },
      deadline: 280,
    });
    await using browser = await launchChromium();
    const lab = await open(browser, `http://127.0.0.1:${port}/lab/tree/cluster.ipynb?token=widget`);
    // A cell that is run before its kernel is up is not run at all.
    await lab.getByText("Python 3 (ipykernel) | Idle").waitFor({ timeout: 60_000 });
    await lab.getByText("cluster = Cluster(np=2)").click();
    await lab.keyboard.press("Shift+Enter");
    const tab = lab.getByRole("tab", { name: "Scaling" });
    await tab.click({ timeout: 40_000 }).finally(() => picture(lab, "widget"));
    const widget = new Widget(lab);
    // The cell is done before the launch's worker is in: only who goes on asking sees it.
    await widget.says("Workers: 1");

    await widget.turnTo("Manual Scaling");
    await widget.press("Scale", { Workers: 2 });
    await widget.says("Workers: 2");
    await widget.press("Scale", { Workers: -1 });
    await widget.says("scale(-1): a cluster has 0 workers or more");
    await widget.turnTo("Adaptive Scaling");
    await widget.press("Adapt", {});
    await widget.says("adapt(minimum=0, maximum=0): maximum is at least 1");
    await widget.press("Adapt", { Minimum: 3, Maximum: 3 });
    await widget.says("Scaling mode: Adaptive");
    await widget.says("Workers: 3");

    const kernel = (): readonly number[] =>
      clean.processes().flatMap(({ pid, arguments: words }) => (words.includes("ipykernel_launcher") ? [pid] : []));
    // What it starts looks like it for a moment.
    await expect.poll(() => kernel().length, { timeout: 20_000, interval: 20 }).toBe(1);
    signalAll(kernel(), "SIGKILL");
    // Jupyter's server starts another kernel by and by; what the first one had goes by itself.
    const ofTheCluster = (): number =>
      clean.processes().filter(({ arguments: words }) => words.some((word) => word.includes("tsdask"))).length;
    await expect.poll(ofTheCluster, { timeout: 60_000, interval: 200 }).toBe(0);
  },
);
