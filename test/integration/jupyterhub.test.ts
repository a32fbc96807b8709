import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { SchedulerFile } from "../../src/dask/scheduler-file.ts";
import { jobEnvironment, ours } from "./batch-jobs.ts";
import { chromiumAvailable, launchChromium } from "./bed/chromium.ts";
import { isRoot } from "./bed/command.ts";
import { hubAvailable, hubPackages, startHub } from "./bed/jupyterhub.ts";
import { open, openPanes, panesDraw, workForPanes } from "./bed/lab.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { environmentOf } from "./bed/processes.ts";
import { hasDaskExtension } from "./bed/pythons.ts";
import { run } from "./bed/run.ts";
import { queuedJobs, queueEmpty, slurmAvailable } from "./bed/slurm.ts";

/** What the Hub's spawner has put into the environment of the user's server. */
function spawnedEnvironment(clean: Clean): Record<string, string | undefined> {
  const all = clean.processes().map(({ pid }) => environmentOf(pid));
  const server = all.find((env) => env.get("JUPYTERHUB_SERVICE_PREFIX")?.startsWith("/user/"));
  return Object.fromEntries([...(server ?? [])].filter(([name]) => name.startsWith("JUPYTERHUB_")));
}

const parts = [slurmAvailable(), chromiumAvailable(), hubAvailable(), hasDaskExtension()];

test.runIf(isRoot && parts.every((part) => part === true))(
  "a JupyterHub's user is in JupyterLab on a cluster of two nodes, with live panes below the Hub's prefix; an idle one is culled with its jobs, and its token is worth nothing then",
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
    await page.waitForURL(`${hub.url}/user/${hub.user}/lab*`, { timeout: 150_000 });
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

    // Workers come by a job, as the launcher's card has it submitted; it ends in order when the culler has stopped the
    // server that nobody looks at any more.
    const card = `/user/${hub.user}/tsdask-cluster`;
    const refusal = await hub.askForJson(card, "POST", '{"workers": -1}');
    expect(refusal).toMatchObject({ message: "workers: a number of workers" });
    expect((await fetch(`${hub.url}${card}`)).status).toBe(403);
    const grown = await hub.askForJson(card, "POST", '{"workers": 6}');
    expect(grown).toMatchObject({ said: expect.stringContaining("submitted (slurm)") as string });
    const workers = async (): Promise<unknown> => ((await hub.askForJson(card)) as { workers: number }).workers;
    await expect.poll(workers, { timeout: 150_000 }).toBe(6);
    expect(await queuedJobs()).toHaveLength(2);
    const spawned = spawnedEnvironment(clean);
    await page.context().close();
    hub.cull();
    await queueEmpty();
    const servers = async (): Promise<unknown> =>
      ((await hub.askForJson(`/users/${hub.user}`)) as { readonly servers: unknown }).servers;
    await expect.poll(servers, { timeout: 60_000 }).toEqual({});

    // The Hub has forgotten the server's token with the server, and never knew another one.
    const here = { ...jobEnvironment(clean), HOME: home, ...spawned };
    const known = { ...here, ...hubPackages };
    const refusals = [
      [known, 77, /TSD-171 The JupyterHub at \S+ does not know this server's token \(it answers 403\)/],
      [{ ...known, JUPYTERHUB_API_TOKEN: "f".repeat(32) }, 77, /TSD-171/],
      [here, 64, /TSD-161 --jupyter hub needs jupyterhub, which is not in/],
    ] as const;
    for (const [env, code, stderr] of refusals) {
      const refused = await run(ours("--np", "3", "--jupyter", "hub"), { folder: clean.folder, env });
      expect(refused).toMatchObject({ code, stderr: expect.stringMatching(stderr) as string });
      const left = (): readonly string[] =>
        clean.left().filter((one) => !/jupyterhub|configurable-http-proxy/.test(one));
      await expect.poll(left, { timeout: 60_000 }).toEqual([]);
    }
    hub.running.signal("SIGTERM");
    await hub.running.finished;
  },
  600_000,
);
