import { expect, test } from "vitest";
import { schedulerContent } from "../../src/cluster/cluster-record.ts";
import { readOptions } from "../../src/config/read.ts";

test.each([
  [["--jupyter", "lab"], true],
  [["--jupyter", "hub"], undefined],
  [["analysis.py"], undefined],
])("what scheduler.json says of Jupyter before it serves, with %j: %j", async (argv, comes) => {
  const env = { HOME: "/nonexistent" };
  const { options } = await readOptions({ argv, env, cwd: "/w" });
  const scheduler = { address: "tls://10.0.0.1:8786", host: "h1", dashboard: 8787, identity: { id: "x" } } as never;
  const { tsdask } = schedulerContent({
    scheduler,
    hosts: ["h1"],
    launch: "3f9c",
    options,
    env,
    folder: "/w/.tsdask-3f9c",
    python: "/usr/bin/python3",
    workers: 101,
  });
  expect(tsdask?.jupyter).toBeNull();
  expect(tsdask?.jupyterComes).toBe(comes);
  expect(tsdask?.expects).toBe(101);
});
