import { expect, test } from "vitest";
import { clockTrouble } from "../../src/cluster/clocks.ts";
import { otherVersions } from "../../src/cluster/join.ts";

const day = 24 * 3600 * 1000;
const codeOf = (ahead: number, tls = true): string | undefined =>
  clockTrouble({ host: "h2", zero: "h1", ahead, tls })?.code;

test("clocks: a few seconds are nothing, days a warning, and more than certificates reach a failure", () => {
  expect(codeOf(5_000)).toBeUndefined();
  expect(codeOf(-2 * day)).toBe("TSD-153");
  expect(codeOf(20 * day)).toBe("TSD-153");
  expect(codeOf(-9 * day)).toBe("TSD-164");
  expect(codeOf(31 * day)).toBe("TSD-164");
  expect(codeOf(-9 * day, false)).toBe("TSD-153");
  expect(clockTrouble({ host: "h2", zero: "h1", ahead: -2 * day, tls: true })?.message).toContain("behind that of h1");
});

test("versions of a cluster that is joined: Python's minor and distributed's must be its", () => {
  const report = { host: "n1", executable: "/p", python: "3.11.7", dask: "1", distributed: "2026.8.0", packages: {} };
  expect(otherVersions({ python: "3.11", distributed: "2026.8.0" }, [report])).toBeUndefined();
  expect(otherVersions({ python: "3.12", distributed: "2026.8.0" }, [report])).toMatch(
    /Python 3\.12 .* n1 is Python 3\.11/,
  );
  expect(otherVersions({ python: "3.11", distributed: "2025.1.0" }, [report])).toContain("2025.1.0");
});
