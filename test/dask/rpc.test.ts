import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  adaptiveTarget,
  callScheduler,
  getLogs,
  identity,
  ncores,
  retireWorkers,
  terminate,
  versions,
} from "../../src/dask/rpc.ts";
import { createAuthority } from "../../src/security/certificates.ts";
import { daskPythons, startDask, type DaskCluster } from "./real-dask.ts";

for (const { python, version } of daskPythons()) {
  for (const secure of [true, false]) {
    describe(`the scheduler of Dask ${version} over ${secure ? "tls" : "tcp"}`, () => {
      let cluster: DaskCluster;
      beforeAll(async () => {
        cluster = await startDask(python, { secure, workers: 2 });
      });
      afterAll(() => cluster[Symbol.asyncDispose]());

      test("says who it is and which workers it has", async () => {
        const who = await identity(cluster);
        expect(who.type).toBe("Scheduler");
        expect(who.address).toBe(cluster.address);
        expect(
          Object.values(who.workers)
            .map((worker) => worker.name)
            .sort(),
        ).toEqual(["w0", "w1"]);
      });

      test("tells its versions", async () => {
        const { packages } = await versions(cluster);
        expect(packages["distributed"]?.replace(/\+.*/, "")).toBe(version.replace(/\+.*/, ""));
        expect(packages["python"]).toMatch(/^3\./);
      });

      test("tells its threads, its logs and the size it would like", async () => {
        expect(Object.values(await ncores(cluster))).toEqual([1, 1]);
        expect(await adaptiveTarget(cluster)).toBe(0);
        for (const [level, text] of await getLogs(cluster, 5)) expect(`${level} ${text}`).toMatch(/^[A-Z]+ \S/);
      });

      test("reports an operation that fails in Dask's own words", async () => {
        await expect(callScheduler(cluster, "get_logs", { nonsense: 1 })).rejects.toThrow(
          /TSD-078[\s\S]*get_logs[\s\S]*nonsense/,
        );
      });

      test("retires workers by name and by address", async () => {
        const { workers } = await identity(cluster);
        const first = Object.keys(workers).find((address) => workers[address]?.name === "w0");
        expect(await retireWorkers(cluster, { names: ["w0"] })).toEqual([first]);
        const [left = ""] = Object.keys(await ncores(cluster));
        expect(await retireWorkers(cluster, { workers: [left] })).toEqual([left]);
        expect(await ncores(cluster)).toEqual({});
      });

      test("is answered within the deadline, or told", async () => {
        cluster.process.kill("SIGSTOP");
        try {
          await expect(identity(cluster, { deadline: 300 })).rejects.toThrow(/TSD-075.*no answer within 0.3 s/);
        } finally {
          cluster.process.kill("SIGCONT");
        }
      });

      if (secure) {
        test("refuses who comes without the cluster's certificate, with another's, or in clear text", async () => {
          const stranger = await createAuthority({ launch: "other" });
          const pair = await stranger.issue({ name: "dask", server: true, client: true });
          const ours = cluster.tls ?? { ca: "", cert: "", key: "" };
          await expect(identity({ ...cluster, tls: undefined })).rejects.toThrow(/TSD-076/);
          await expect(identity({ ...cluster, tls: { ca: stranger.certificate, ...pair } })).rejects.toThrow(
            /TSD-076.*not of this cluster/,
          );
          await expect(identity({ ...cluster, tls: { ca: ours.ca, ...pair } })).rejects.toThrow(
            /TSD-076.*refused our certificate/,
          );
          await expect(
            identity({ address: cluster.address.replace("tls:", "tcp:") }, { deadline: 2_000 }),
          ).rejects.toThrow(/TSD-07[57]/);
          expect((await identity(cluster)).type).toBe("Scheduler");
        });
      }

      test("ends when it is told to", async () => {
        const ended = once(cluster.process, "exit");
        await terminate(cluster);
        await ended;
        await expect(identity(cluster)).rejects.toThrow(/TSD-075.*nothing listens there/);
      });
    });
  }
}
