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

name = "distributed.scheduler.worker-ttl"
scheduler = SimpleNamespace(handlers={}, worker_ttl=300.0)
growth.answer(scheduler)
seen = []
for own in (None, "7 s"):
    with dask.config.set({} if own is None else {name: own}):
        for ttl in ("600 s", "900 s"):
            scheduler.handlers["tsdask_expect"]({name: ttl})
            seen.append([dask.config.get(name), scheduler.worker_ttl])
print(json.dumps(seen))`;

test.each(pythons())("more workers are expected: time-outs follow, and the user's own stay (%s)", (python) => {
  const root = join(import.meta.dirname, "../../python");
  const said = execFileSync(python, ["-c", program, root], { encoding: "utf8" });
  expect(JSON.parse(said)).toEqual([
    ["600 s", 600],
    ["900 s", 900],
    ["7 s", 7],
    ["7 s", 7],
  ]);
});
