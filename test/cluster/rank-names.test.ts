import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { namedByRank, usesDaskMpi } from "../../src/cluster/rank-names.ts";
import { readOptions } from "../../src/config/read.ts";

const folder = mkdtempSync(join(tmpdir(), "tsdask-names-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Whether workers are called by their ranks' numbers in a launch with these words. */
async function named(...argv: readonly string[]): Promise<boolean> {
  const { options } = await readOptions({ argv, env: {}, cwd: folder });
  return namedByRank(options, folder);
}

it("only a script that gets the launch's cluster in place of dask-mpi's has workers named by rank", async () => {
  writeFileSync(join(folder, "a.py"), "from dask_mpi import initialize\n");
  writeFileSync(join(folder, "b.py"), "import dask\n");
  expect(await named("a.py")).toBe(true);
  expect(await named("b.py")).toBe(false);
  expect(await named("missing.py")).toBe(false);
  expect(await named("--own-clusters", "allow", "a.py")).toBe(false);
  expect(await named("--", "python", "a.py")).toBe(false);
});

it("a script that comes through a pipe is left for Python to read", async () => {
  execFileSync("mkfifo", [join(folder, "p.py")]);
  expect(await named("p.py")).toBe(false);
});

it.each([
  "import dask_mpi",
  "#!/usr/bin/env python\nfrom dask_mpi import initialize\n",
  "from dask_mpi.core import initialize",
  "if True:\n    from dask_mpi import execute",
  "import os, dask_mpi as dm",
  "import numpy as np, dask_mpi",
  '{"source": [\n    "import numpy as np\\n",\n    "from dask_mpi import initialize\\n"]}',
])("%s uses dask-mpi", (source) => {
  expect(usesDaskMpi(source)).toBe(true);
});

it.each([
  "from dask.distributed import Client",
  "# from dask_mpi import initialize",
  'print("import dask_mpi")',
  "import dask_mpi_tools",
  "from dask_mpi_tools import initialize",
  "import dask",
])("%s does not", (source) => {
  expect(usesDaskMpi(source)).toBe(false);
});
