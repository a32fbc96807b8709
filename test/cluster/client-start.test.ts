import { expect, test } from "vitest";
import { clientStart } from "../../src/cluster/client-start.ts";
import { readOptions } from "../../src/config/read.ts";

test.each([
  ["tls", "/c/token"],
  ["none", undefined],
])("Jupyter asks Dask's pages for a proof where they have a gate: --security %s", async (security, file) => {
  const argv = ["--jupyter", "lab", "--security", security];
  const { options } = await readOptions({ argv, env: {}, cwd: "/w", home: "/w" });
  const { env } = await clientStart({
    ...{ options, python: "python", pythonRoot: "/p", cwd: "/w", folder: "/c", schedulerFile: undefined, workers: 1 },
    scheduler: { address: "tcp://10.0.0.1:8786", identity: {}, dashboard: 8787, host: "a" },
    secrets: Promise.resolve({ credentials: null, token: "s3cret" }),
    ...{ pages: "http://10.0.0.1:8787/", dashboardLink: "http://10.0.0.1:8787/status", stdin: undefined },
  });
  expect(env["JUPYTER_TOKEN"]).toBe("s3cret");
  expect(env["TSDASK_PAGES_TOKEN_FILE"]).toBe(file);
});
