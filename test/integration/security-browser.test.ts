import { X509Certificate } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { chromiumAvailable, launchChromium } from "./bed/chromium.ts";
import { command, projectRoot } from "./bed/command.ts";
import { drawn, newNotebook, open, picture } from "./bed/lab.ts";
import { nothingLeft } from "./bed/left.ts";
import { output, start } from "./bed/run.ts";
import { sshdAvailable, startSshd } from "./bed/sshd.ts";
import { hasJupyter, startCluster } from "./security/cluster.ts";

const CELL = `import time
from dask.distributed import Client
client = Client()
print("dashboard at", client.dashboard_link)
slow = client.map(lambda x: time.sleep(0.1), range(300), pure=False)
print("sum", client.submit(sum, range(100)).result(), "on", len(client.run(lambda: 1)))
client`;

if (chromiumAvailable() === true && sshdAvailable() === true && (await hasJupyter())) {
  test.each([
    ["http", []],
    ["https", ["--https", "on"]],
  ])(
    "a browser goes through the printed ssh line to JupyterLab over %s, computes on all workers, and sees the live dashboard",
    async (scheme, words) => {
      await using clean = nothingLeft();
      // JupyterLab's own: the notebook, its check points, its runtime files, and what its Node keeps.
      clean.allow(/^\.ipynb_checkpoints|^Untitled|^\.virtual_documents|^node-compile-cache/);
      const home = join(clean.tmp, "home");
      mkdirSync(home);
      clean.allow(/^home/);
      await using sshd = await startSshd();
      await using cluster = await startCluster(clean, {
        jupyter: true,
        words: ["--login-host", "login.example.org", ...words],
        env: { HOME: home },
      });

      const shown = await output(command(join(projectRoot, "bin", "tsdask-mpi"), "connect"), {
        folder: clean.folder,
        env: clean.env,
      });
      const line = /^ +(ssh -N .*)$/m.exec(shown)?.[1] ?? "";
      const links = Object.fromEntries(
        [...shown.matchAll(/^ +(JupyterLab|dashboard) +(https?:\S+)$/gm)].map(([, name = "", link = ""]) => [
          name,
          link,
        ]),
      );
      expect(line).toMatch(/^ssh -N -o ExitOnForwardFailure=yes -L 127\.0\.0\.1:\d+:\S+:\d+ \S+@login\.example\.org$/);
      await expect.poll(() => cluster.running.stderr(), { timeout: 30_000 }).toContain(line);
      expect(cluster.running.stderr()).not.toContain(cluster.token);

      await using tunnel = start(
        { file: "sh", args: ["-c", `exec ${line}`], env: { PATH: `${sshd.path}:${process.env["PATH"] ?? ""}` } },
        { deadline: 280 },
      );
      expect(Object.values(links).map((link) => new URL(link).protocol)).toEqual([`${scheme}:`, `${scheme}:`]);
      const trusted = scheme === "https" ? readFileSync(join(cluster.folder, "cert.pem"), "utf8") : undefined;
      if (trusted !== undefined) expect(shown).toContain(new X509Certificate(trusted).fingerprint256);
      await using browser = await launchChromium(trusted === undefined ? {} : { trusted });
      const lab = await open(browser, links["JupyterLab"] ?? "");
      expect(tunnel.stderr()).toBe("");
      await newNotebook(lab);
      await lab.locator("#jp-main-statusbar", { hasText: "Idle" }).waitFor({ timeout: 60_000 });
      const cell = lab.locator(".jp-Notebook .jp-Cell .cm-content").first();
      await cell.click({ timeout: 60_000 });
      await lab.keyboard.insertText(CELL);
      await lab.keyboard.press("Shift+Enter");
      const shownSum = lab.locator(".jp-OutputArea-output", { hasText: "sum 4950 on 2" }).first();
      await shownSum.waitFor({ timeout: 60_000 }).finally(() => picture(lab, "jupyterlab"));

      // The link in a client's repr leads to the dashboard under Jupyter's own address, with no second token.
      await lab
        .locator(".jp-OutputArea-output", { hasText: "dashboard at /tsdask/status" })
        .first()
        .waitFor({ timeout: 60_000 });
      const repr = lab.locator('.jp-OutputArea-output a[href$="/tsdask/status"]').first();
      await repr.waitFor({ timeout: 60_000 });
      const opened = lab.context().waitForEvent("page", { timeout: 60_000 });
      await repr.click();
      const dashboard = await opened;
      expect(dashboard.url()).toBe(new URL("/tsdask/status", lab.url()).href);

      // What the dashboard draws comes over its WebSocket, from the scheduler as it works.
      await dashboard
        .waitForFunction(drawn, '"lambda"', { timeout: 60_000 })
        .finally(() => picture(dashboard, "dashboard"));
      await dashboard.waitForFunction(drawn, "total: 300", { timeout: 60_000 });
      await dashboard.waitForFunction(drawn, "in-memory: 300", { timeout: 60_000 });

      const linked = await open(browser, links["dashboard"] ?? "");
      await linked.waitForFunction(drawn, "total: 300", { timeout: 60_000 });
      for (const link of Object.values(links)) {
        const outsider = await open(browser, link.replace(/\?.*/, ""));
        expect(outsider.url()).toContain("/login");
      }
      const { host, port } = cluster.file.tsdask?.dashboard ?? {};
      const stranger = await open(browser, `${scheme}://${host}:${port}/status`);
      expect(await stranger.content()).toContain("A token is needed");
      const direct = await open(browser, `${scheme}://${host}:${port}/status?token=${cluster.token}`);
      for (const page of [direct, lab]) {
        const cookies = (await page.context().cookies()).filter(({ name }) =>
          /^(__Host-)?(tsdask|jupyter|username)-/.test(name),
        );
        expect(cookies).not.toEqual([]);
        for (const cookie of cookies) {
          expect(cookie).toMatchObject({ httpOnly: true, secure: scheme === "https" });
          if (scheme === "https")
            expect(cookie).toMatchObject({ name: expect.stringMatching(/^__Host-/), sameSite: "Strict" });
        }
      }
      await cluster.stop();
      expect((await cluster.running.finished).code).toBe(0);
    },
  );
}
