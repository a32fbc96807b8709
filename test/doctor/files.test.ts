import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { readOptions } from "../../src/config/read.ts";
import { fileRows } from "../../src/doctor/files.ts";

/** NFS_SUPER_MAGIC of linux/magic.h. */
const NFS = 0x6969;

const base = mkdtempSync(join(tmpdir(), "doctor-files-"));
afterAll(() => rmSync(base, { recursive: true }));

test("where hosts share all file systems, TMPDIR alone is warned of, whatever the project's folder is called", async () => {
  const [cwd, tmp] = [join(base, "tsdask-mpi"), join(base, "tmp")];
  for (const folder of [cwd, tmp]) mkdirSync(folder);
  const { options } = await readOptions({ argv: [], env: {}, cwd, home: base });
  const rest = { read: undefined, readProblem: undefined, world: undefined, worldProblem: undefined };
  const env = { TMPDIR: tmp };
  const rows = await fileRows(
    { ...rest, env, cwd, host: "h1", uid: 0, options, pythonRoot: "/none" },
    { look: async (path) => Object.assign(await statfs(path), { type: NFS, ffree: 1e6, bavail: 1e9 }) },
  );
  const stateOf = (name: string): string | undefined => rows.find((row) => row.name === name)?.state;
  expect({ folder: stateOf("cluster's folder"), tmp: stateOf("TMPDIR") }).toEqual({ folder: "ok", tmp: "warning" });
});
