import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { SchedulerFile } from "../../src/dask/scheduler-file.ts";
import { chromiumAvailable, launchChromium } from "./bed/chromium.ts";
import { isRoot } from "./bed/command.ts";
import { hubAvailable, startHub } from "./bed/jupyterhub.ts";
import { open, openPanes, panesDraw, workForPanes } from "./bed/lab.ts";
import { nothingLeft } from "./bed/left.ts";
import { hasDaskExtension } from "./bed/pythons.ts";
import { queuedJobs, queueEmpty, slurmAvailable } from "./bed/slurm.ts";

const parts = [slurmAvailable(), chromiumAvailable(), hubAvailable(), hasDaskExtension()];

test.runIf(isRoot && parts.every((part) => part === true))(
  "a JupyterHub's user is in JupyterLab on a cluster of two nodes, with live panes below the Hub's prefix; stopping the server ends the job",
  async () => {
    await using clean = nothingLeft({ within: 15 });
    clean.allow(/^home/, /^jupyterhub/, /^node-compile-cache/);
    const home = join(clean.tmp, "home");
    mkdirSync(home, { mode: 0o700 });
    await using hub = await startHub(clean, home);
    await using browser = await launchChromium();
    const page = await open(browser, `${hub.url}/hub/login`);
    await page.locator("input[name=username]").fill(hub.user);
    await page.locator("input[name=password]").fill(hub.password);
    await page.locator("input[type=submit]").click();
    await page.waitForURL(`${hub.url}/user/${hub.user}/lab*`, { timeout: 60_000 });
    const [job = ""] = await queuedJobs();
    const { tsdask } = JSON.parse(readFileSync(join(home, `scheduler-${job}.json`), "utf8")) as SchedulerFile;
    expect(tsdask?.jupyter).toMatchObject({ hub: true, dashboard: `/user/${hub.user}/tsdask/status` });

    await openPanes(page, "this launch");
    {
      await using _working = await workForPanes(clean, tsdask?.folder ?? "");
      for (const address of await panesDraw(page, "hub"))
        expect(address.startsWith(`${hub.url}/user/${hub.user}/dask/dashboard/`)).toBe(true);
    }
    const status = `/user/${hub.user}/tsdask/status`;
    expect((await hub.ask(status)).status).toBe(200);
    expect((await fetch(`${hub.url}${status}`)).url).toContain("/hub/login");

    await page.context().close();
    expect((await hub.ask(`/users/${hub.user}/server`, "DELETE")).ok).toBe(true);
    await queueEmpty(40);
    hub.running.signal("SIGTERM");
    await hub.running.finished;
  },
);
