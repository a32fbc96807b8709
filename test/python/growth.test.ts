import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { pythons } from "./host.ts";

const program = `
import json, sys
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
import dask.config, distributed
from tsdask_mpi import growth
from tsdask_mpi.compat import derived_settings

name = "distributed.scheduler.worker-ttl"
usual = dask.config.get(name)
seen = []
for own, given in ((None, 300.0), (None, 4000.0), ("7 s", 7.0), (None, None)):
    scheduler = SimpleNamespace(handlers={}, worker_ttl=given)
    growth.answer(scheduler)
    derived_settings._taken.clear()
    with dask.config.set({name: own or usual}):
        for ttl in ("600 s", "900 s", "700 s"):
            scheduler.handlers["tsdask_expect"]({name: ttl})
            seen.append([dask.config.get(name), scheduler.worker_ttl])
print(json.dumps(seen))`;

test.each(pythons())("more workers are expected: time-outs follow, and the user's own stay (%s)", (python) => {
  const root = join(import.meta.dirname, "../../python");
  const said = execFileSync(python, ["-c", program, root], { encoding: "utf8" });
  expect(JSON.parse(said)).toEqual([
    ["600 s", 600],
    ["900 s", 900],
    ["900 s", 900],
    // What --scheduler-options say stays, whatever the configuration does.
    ["600 s", 4000],
    ["900 s", 4000],
    ["900 s", 4000],
    ["7 s", 7],
    ["7 s", 7],
    ["7 s", 7],
    ["600 s", null],
    ["900 s", null],
    ["900 s", null],
  ]);
});
