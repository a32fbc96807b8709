import { expect, test } from "vitest";
import { targetGroups } from "../../src/cluster/prometheus-targets.ts";

const launch = { name: "nightly", launch: "abc.1", pages: "10.0.0.1:8787", https: false, token: "secret" };

test("scheduler and workers are groups of targets with the cluster's name and the token, which Prometheus does not store", () => {
  expect(targetGroups(launch, ["10.0.0.2:9002", "10.0.0.2:9001"])).toEqual([
    {
      targets: ["10.0.0.1:8787"],
      labels: { cluster: "nightly", launch: "abc.1", role: "scheduler", __scheme__: "http", __param_token: "secret" },
    },
    {
      targets: ["10.0.0.2:9001", "10.0.0.2:9002"],
      labels: { cluster: "nightly", launch: "abc.1", role: "worker", __scheme__: "http", __param_token: "secret" },
    },
  ]);
});

test("a cluster without workers, without security, with pages over TLS", () => {
  expect(targetGroups({ ...launch, https: true, token: null }, [])).toEqual([
    {
      targets: ["10.0.0.1:8787"],
      labels: { cluster: "nightly", launch: "abc.1", role: "scheduler", __scheme__: "https" },
    },
  ]);
});
