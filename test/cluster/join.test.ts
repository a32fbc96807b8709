import { expect, test } from "vitest";
import { findCluster, otherVersions } from "../../src/cluster/join.ts";
import type { Options } from "../../src/config/options.ts";

const cluster = { python: "3.11", distributed: "2026.8.0" };
const report = (host: string, python: string, distributed: string) => ({
  host,
  executable: "/env/bin/python",
  python,
  dask: distributed,
  distributed,
  packages: {},
});

test.each([
  ["none yet", [], undefined],
  ["the same", [report("n1", "3.11.7", "2026.8.0")], undefined],
  ["another patch of Python", [report("n1", "3.11.2", "2026.8.0"), report("n2", "3.11.9", "2026.8.0")], undefined],
  ["another Python", [report("n1", "3.11.7", "2026.8.0"), report("n2", "3.12.1", "2026.8.0")], /on n2 is Python 3\.12/],
  ["another Dask", [report("n1", "3.11.7", "2026.7.1")], /\/env\/bin\/python on n1 .* distributed 2026\.7\.1$/],
  ["3.1, which is not 3.11", [report("n1", "3.1.4", "2026.8.0")], /is Python 3\.1 with/],
])("hosts that want to join a cluster with %s", (_, reports, said) => {
  if (said === undefined) expect(otherVersions(cluster, reports)).toBeUndefined();
  else expect(otherVersions(cluster, reports)).toMatch(said);
});

test.each<[string, { path?: string; schedulerAddress?: string }, RegExp]>([
  ["no file", { path: "/nowhere/scheduler.json" }, /there is no such file/],
  ["an address that nothing listens at", { schedulerAddress: "tcp://127.0.0.1:1" }, /nothing listens there/],
])(
  "a cluster to join with %s is TSD-057 when its time is over",
  async (_, { path = "/s.json", schedulerAddress }, problem) => {
    const options = { startTimeout: 0, schedulerAddress, trustSharedFolder: false, security: "none" };
    const error: unknown = await findCluster(options as unknown as Options, path, null).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: "TSD-057", exitCode: 69, facts: { seconds: 0, path } });
    expect(String((error as Error).message)).toMatch(problem);
  },
);
