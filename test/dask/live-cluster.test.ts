import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { pagesToken, probeCluster } from "../../src/dask/live-cluster.ts";

const folder = mkdtempSync(join(tmpdir(), "tsdask-live-cluster-"));
afterAll(() => rmSync(folder, { recursive: true }));
const jupyter = { host: "127.0.0.1", port: 8888 };

test("Jupyter's token is told without security, too, where there is one that is ours", async () => {
  const open = { folder, security: "none" } as const;
  expect(await pagesToken({ ...open, jupyter })).toBeUndefined();
  await expect(pagesToken({ ...open, security: "tls", jupyter })).rejects.toThrow("TSD-074");
  writeFileSync(join(folder, "token"), "s3cret\n", { mode: 0o600 });
  expect(await pagesToken({ ...open, jupyter })).toBe("s3cret");
  expect(await pagesToken({ ...open, jupyter: null })).toBeUndefined();
  expect(await pagesToken({ ...open, jupyter: { ...jupyter, hub: true } })).toBeUndefined();
});

test("a file that no tsdask-mpi wrote and whose scheduler does not answer may be replaced, as Dask does", async () => {
  const file = join(folder, "scheduler.json");
  writeFileSync(
    file,
    JSON.stringify({ type: "Scheduler", id: "Scheduler-1", address: "tcp://192.0.2.99:1", workers: {} }),
  );
  expect(await probeCluster(file, { deadline: 300 })).toMatchObject({ state: "gone" });
});
