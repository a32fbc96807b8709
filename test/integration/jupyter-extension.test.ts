import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { chromiumAvailable, launchChromium } from "./bed/chromium.ts";
import { command } from "./bed/command.ts";
import { open, openPanes, panesDraw, workForPanes } from "./bed/lab.ts";
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

test.skipIf(!available)(
  "the Dask extension of JupyterLab lists the launch, shows it live through a tunnel without anything pasted, and its stop leaves it running",
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

    // The browser comes as from a laptop, by ssh: the page is at another port for it.
    await using sshd = await startSshd();
    const local = await freePort();
    const forward = ["-N", "-L", `${local}:${host}:${port}`, "login"];
    await using _ = start(command(join(sshd.path, "ssh"), ...forward), { folder: clean.folder, env: clean.env });
    await using browser = await launchChromium();
    const lab = await open(browser, `http://127.0.0.1:${local}/lab?token=${cluster.token}`);
    await openPanes(lab, "this launch");
    const working = await workForPanes(clean, cluster.folder);
    for (const address of await panesDraw(lab, "tunnel")) {
      expect(address).toContain(`http://127.0.0.1:${local}/dask/dashboard/${launch?.id}/`);
    }

    const made = (await (await ask("clusters/", "PUT")).json()) as Model;
    expect(made).toMatchObject({ workers: 2 });
    for (const { id } of await listed()) expect((await ask(`clusters/${id}`, "DELETE")).status).toBe(204);
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
