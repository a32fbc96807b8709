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
global: {scrape_interval: 1s}
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
    const groups = await until("the targets' file has the workers", 40, async () => {
      const [file] = readdirSync(targets);
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
    const seen = await until("every target was scraped", 20, async () => {
      const found = await active();
      return found.length === 5 && found.every(({ health }) => health !== "unknown") ? found : undefined;
    });
    const health = (job: string): string[] =>
      seen
        .filter(({ labels }) => labels["job"] === job)
        .map(({ labels, health: state }) => `${labels["role"] ?? ""} ${state}`)
        .sort();
    expect(health("dask")).toEqual(["scheduler up", "worker up", "worker up"]);
    expect([health("bearer"), health("stranger")]).toEqual([[" up"], [" down"]]);
    const figure = async (name: string): Promise<readonly [string, string, number]> => {
      const found = await ask<{ result: { metric: Record<string, string>; value: [number, string] }[] }>(
        `query?query=${encodeURIComponent(`${name}{job="dask"}`)}`,
      );
      const [one] = found?.result ?? [];
      return [one?.metric["cluster"] ?? "", one?.metric["role"] ?? "", Number(one?.value[1] ?? Number.NaN)];
    };
    for (const name of ["idle_thread_seconds_total", "idle_seconds", "startup_seconds", "worker_restarts_total"])
      expect(await figure(`tsdask_${name}`), name).toEqual(["nightly", "scheduler", expect.any(Number)]);
    expect((await figure("tsdask_startup_seconds"))[2]).toBeGreaterThan(0);
    expect((await figure("tsdask_worker_ranks"))[2]).toBe(2);
    expect(await figure("dask_worker_threads")).toEqual(["nightly", "worker", expect.any(Number)]);

    cluster.signal("SIGTERM");
    await cluster.finished;
    expect(readdirSync(targets)).toEqual([]);
    await until("the targets are forgotten", 10, async () =>
      (await active()).every(({ labels }) => labels["job"] !== "dask") ? true : undefined,
    );
    server.signal("SIGTERM");
    await server.finished;
  });
