import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { until } from "./batch-jobs.ts";
import { command } from "./bed/command.ts";
import { prometheusAvailable } from "./bed/inventory.ts";
import { launcher } from "./bed/launchers.ts";
import { nothingLeft } from "./bed/left.ts";
import { freePort } from "./bed/ports.ts";
import { start } from "./bed/run.ts";
import { program } from "./launch.ts";

interface Target {
  readonly health: string;
  readonly lastError: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * One file of targets, and the same scheduler by its address and the token's file: the two ways of docs/prometheus.md.
 */
const configuration = (targets: string, pages: string, token: string): string => `
global: {scrape_interval: 2s}
scrape_configs:
  - job_name: dask
    file_sd_configs: [{files: [${targets}/tsdask-*.json], refresh_interval: 1s}]
    tls_config: {insecure_skip_verify: true}
  - job_name: bearer
    static_configs: [{targets: ["${pages}"]}]
    authorization: {type: Bearer, credentials_file: ${token}}
  - job_name: stranger
    static_configs: [{targets: ["${pages}"]}]
`;

if (prometheusAvailable() === true)
  test("a real Prometheus finds scheduler and workers, reads Dask's figures and ours, and forgets them at the end", async () => {
    await using clean = nothingLeft();
    clean.allow(/^prometheus(\/|$)/);
    const targets = join(clean.folder, "targets");
    mkdirSync(targets);
    const words = program("--cluster-name", "nightly", "--prometheus-targets", "targets");
    clean.allow(/^targets$/);
    await using cluster = start(launcher("local").command(3, words), { folder: clean.folder, env: clean.env });
    const groups = await until("the targets' file has the workers", 50, async () => {
      // A file is written under a temporary name, which begins with a dot, and then renamed.
      const file = readdirSync(targets).find((name) => name.startsWith("tsdask-"));
      const found =
        file === undefined ? [] : (JSON.parse(readFileSync(join(targets, file), "utf8")) as { targets: string[] }[]);
      return found[1]?.targets.length === 2 ? found : undefined;
    });
    const { tsdask } = JSON.parse(readFileSync(join(clean.folder, "scheduler.json"), "utf8")) as {
      tsdask: { folder: string };
    };
    const file = join(clean.tmp, "prometheus.yml");
    writeFileSync(file, configuration(targets, groups[0]?.targets[0] ?? "", join(tsdask.folder, "token")));
    clean.allow(/^prometheus\.yml$/);
    const port = await freePort();
    const options = [`--config.file=${file}`, `--storage.tsdb.path=${join(clean.tmp, "prometheus")}`];
    await using server = start(command("prometheus", ...options, `--web.listen-address=127.0.0.1:${port}`), {
      folder: clean.tmp,
      env: clean.env,
    });
    const ask = async <T>(path: string): Promise<T | undefined> => {
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`).catch(() => undefined);
      return answer?.ok === true ? ((await answer.json()) as { data: T }).data : undefined;
    };
    const active = async (): Promise<readonly Target[]> =>
      (await ask<{ activeTargets: Target[] }>("targets"))?.activeTargets ?? [];
    // A slow machine may answer the first time too late for Prometheus, which asks again.
    const health = async (): Promise<readonly string[]> =>
      (await active())
        .map(({ labels, health: state, lastError }) =>
          [labels["job"], labels["role"], state, lastError].filter(Boolean).join(" "),
        )
        .sort();
    await expect
      .poll(health, { timeout: 30_000 })
      .toEqual([
        "bearer up",
        "dask scheduler up",
        "dask worker up",
        "dask worker up",
        expect.stringMatching(/^stranger down .*403/),
      ]);
    const figure = async (name: string): Promise<readonly [string, string, number]> => {
      const found = await ask<{ result: { metric: Record<string, string>; value: [number, string] }[] }>(
        `query?query=${encodeURIComponent(`${name}{job="dask"}`)}`,
      );
      const [one] = found?.result ?? [];
      return [one?.metric["cluster"] ?? "", one?.metric["role"] ?? "", Number(one?.value[1] ?? Number.NaN)];
    };
    const expectFigure = (name: string, role: string, value: unknown = expect.any(Number)): Promise<void> =>
      expect.poll(() => figure(name), { timeout: 20_000, message: name }).toEqual(["nightly", role, value]);
    for (const name of ["idle_thread_seconds_total", "idle_seconds", "startup_seconds", "worker_restarts_total"])
      await expectFigure(`tsdask_${name}`, "scheduler");
    await expect.poll(async () => (await figure("tsdask_startup_seconds"))[2], { timeout: 20_000 }).toBeGreaterThan(0);
    await expectFigure("tsdask_worker_ranks", "scheduler", 2);
    await expectFigure("dask_worker_threads", "worker");

    cluster.signal("SIGTERM");
    await cluster.finished;
    expect(readdirSync(targets)).toEqual([]);
    await until("the targets are forgotten", 30, async () =>
      (await active()).every(({ labels }) => labels["job"] !== "dask") ? true : undefined,
    );
    server.signal("SIGTERM");
    await server.finished;
  });
