import { expect, test } from "vitest";
import { otherVersions } from "../../src/cluster/join.ts";

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
