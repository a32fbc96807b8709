import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { chromiumAvailable, launchChromium } from "./bed/chromium.ts";
import { command } from "./bed/command.ts";
import { drawn, open, picture } from "./bed/lab.ts";
import { nothingLeft } from "./bed/left.ts";
import { hasDaskExtension, python } from "./bed/pythons.ts";
import { output, start } from "./bed/run.ts";
import { startCluster } from "./security/cluster.ts";

const available = chromiumAvailable() === true && hasDaskExtension() === true;

/** Computes, says so, and holds what it has computed until its input ends. */
const WORK = `
import sys, time
from distributed import Client
with Client() as client:
    held = client.map(lambda x: time.sleep(0.05) or x, range(60), pure=False)
    print("sum", sum(client.gather(held)), flush=True)
    sys.stdin.read()
`;

interface Model {
  readonly id: string;
  readonly name: string;
  readonly workers: number;
}

test.skipIf(!available)(
  "the Dask extension of JupyterLab lists the launch, shows it live without anything pasted, and its stop leaves it running",
  async () => {
    await using clean = nothingLeft();
    clean.allow(/^node-compile-cache|^home|^\.ipynb_checkpoints|^\.virtual_documents/);
    mkdirSync(join(clean.tmp, "home"));
    await using cluster = await startCluster(clean, { jupyter: true, env: { HOME: join(clean.tmp, "home") } });
    const { host, port } = cluster.file.tsdask?.jupyter ?? {};
    const page = `http://${host}:${port}`;
    const ask = async (path: string, method = "GET"): Promise<Response> =>
      fetch(`${page}/dask/${path}`, { method, headers: { Authorization: `token ${cluster.token}` } });
    const listed = async (): Promise<Model[]> => (await (await ask("clusters")).json()) as Model[];

    const [launch] = await listed();
    expect(launch).toMatchObject({ name: "this launch", workers: 2, dashboard_link: "/tsdask/status" });
    expect((await fetch(`${page}/dask/dashboard/${launch?.id}/individual-plots.json`)).url).toContain("/login");

    await using browser = await launchChromium();
    const lab = await open(browser, `${page}/lab?token=${cluster.token}`);
    await lab.locator('.jp-SideBar [data-id="dask-dashboard-launcher"]').click({ timeout: 60_000 });
    await lab.locator(".dask-ClusterListing", { hasText: "this launch" }).waitFor({ timeout: 30_000 });
    const panes = ["Task Stream", "Progress", "Workers"];
    for (const pane of panes) await lab.locator(`button[value="${pane}"]`).click({ timeout: 30_000 });
    const work = clean.write("work.py", WORK);
    const environment = { ...clean.env, DASK_CONFIG: cluster.folder, DASK_TEMPORARY_DIRECTORY: clean.tmp };
    await using working = start(command("sh", "-c", `sleep 60 | ${python().path} ${work}`), {
      folder: clean.folder,
      env: environment,
    });
    await working.says(/^sum 1770$/m, 40);
    // Only the pane in front draws.
    for (const [pane, text] of [
      ["task-stream", '"lambda"'],
      ["progress", "total: 60"],
      ["workers", "tsdask-2"],
    ] as const) {
      const title = panes.find((one) => one.toLowerCase().replace(" ", "-") === pane);
      await lab.locator(".lm-TabBar-tab", { hasText: title ?? "" }).click();
      const frame = lab.frames().find((one) => one.url().endsWith(`/individual-${pane}`));
      await frame
        ?.waitForFunction(drawn, text, { timeout: 30_000, polling: 250 })
        .finally(() => picture(lab, `pane-${pane}`));
      expect(frame?.url()).toContain(`/dask/dashboard/${launch?.id}/`);
    }

    const made = (await (await ask("clusters/", "PUT")).json()) as Model;
    expect(made).toMatchObject({ workers: 2 });
    for (const { id } of await listed()) expect((await ask(`clusters/${id}`, "DELETE")).status).toBe(204);
    expect(await listed()).toEqual([]);
    await working[Symbol.asyncDispose]();
    expect(await output(command(python().path, work), { folder: clean.folder, env: environment })).toContain(
      "sum 1770",
    );
    await cluster.stop();
    expect((await cluster.running.finished).code).toBe(0);
  },
);
