import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { clientEnvironment, daskYaml } from "../../src/dask/configuration.ts";
import { identity } from "../../src/dask/rpc.ts";
import { daskPythons, startDask, type DaskCluster } from "./real-dask.ts";

const run = promisify(execFile);
const script = `
from distributed import Client
with Client(timeout=100) as client:
    print(client.scheduler.address, client.submit(sum, [1, 2]).result())
`;
const bare = { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent" };

for (const { python, version } of daskPythons()) {
  for (const secure of [true, false]) {
    const security = secure ? "tls" : "none";
    describe(`a plain Client() of Dask ${version} with security ${security}`, () => {
      let cluster: DaskCluster;
      beforeAll(async () => {
        cluster = await startDask(python, { secure });
      });
      afterAll(() => cluster[Symbol.asyncDispose]());

      test("is connected by the environment", async () => {
        const env = clientEnvironment({ address: cluster.address, folder: cluster.folder, security });
        const { stdout } = await run(python, ["-c", script], { env: { ...bare, ...env } });
        expect(stdout.trim()).toBe(`${cluster.address} 3`);
      });

      test("is connected by DASK_CONFIG naming the cluster folder", async () => {
        await writeFile(
          join(cluster.folder, "dask.yaml"),
          daskYaml({ address: cluster.address, folder: cluster.folder, security }),
        );
        const { stdout } = await run(python, ["-c", script], { env: { ...bare, DASK_CONFIG: cluster.folder } });
        expect(stdout.trim()).toBe(`${cluster.address} 3`);
      });

      test("is connected by Client(scheduler_file=…)", async () => {
        const path = join(cluster.folder, "scheduler.json");
        const { id } = await identity(cluster);
        await writeFile(
          path,
          JSON.stringify({
            type: "Scheduler",
            id,
            address: cluster.address,
            services: {},
            workers: {},
            tsdask: { security },
          }),
        );
        const { DASK_SCHEDULER_ADDRESS: _, ...env } = clientEnvironment({
          address: cluster.address,
          folder: cluster.folder,
          security,
        });
        const source = script.replace("timeout=100", "timeout=100, scheduler_file=__import__('sys').argv[1]");
        const { stdout } = await run(python, ["-c", source, path], { env: { ...bare, ...env } });
        expect(stdout.trim()).toBe(`${cluster.address} 3`);
      });
    });
  }
}

describe("Dask's settings", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tsdask-config-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("say nothing of TLS without security", () => {
    const access = { address: "tcp://h1:1", folder: "/f", security: "none" } as const;
    expect(clientEnvironment(access)).toEqual({ DASK_SCHEDULER_ADDRESS: "tcp://h1:1" });
    expect(parse(daskYaml(access))).toEqual({ "scheduler-address": "tcp://h1:1" });
  });

  test("name files and hold no secret; odd folder names stay whole", () => {
    const access = {
      address: "tls://h1:1",
      folder: '/odd "name": #1',
      security: "tls",
      schedulerFile: "/s.json",
    } as const;
    expect(parse(daskYaml(access)).distributed.comm.tls.client.key).toBe('/odd "name": #1/key.pem');
    expect(clientEnvironment(access)["TSDASK_SCHEDULER_FILE"]).toBe("/s.json");
  });
});
