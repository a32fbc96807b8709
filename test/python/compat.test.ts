import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { pythons, scratch, startHost } from "./host.ts";

const root = join(import.meta.dirname, "../../python");

/** Runs a program in a Python with Dask and our package; returns what it prints. */
const say = (python: string, program: string): string =>
  execFileSync(python, ["-c", `import sys; sys.path.insert(0, ${JSON.stringify(root)})\n${program}`], {
    encoding: "utf8",
  }).trim();

describe.each(pythons())("what we rely on in the Dask of %s", (python) => {
  test("is there: no probe finds anything missing", () => {
    expect(say(python, "from tsdask_mpi.compat import check; print(list(check.check()))")).toBe("['', '']");
  });

  test("every file says so, those too that only a script's process or Jupyter's uses, under the name that scripts import them by", () => {
    const program = `
import os, pathlib
sys.path.insert(0, os.path.join(sys.path[0], "tsdask_mpi", "adopt"))
import importlib, tsdask_adopt
from tsdask_mpi.compat.check import PARTS
folder = pathlib.Path(sys.path[1]) / "tsdask_mpi" / "compat"
for name in sorted(path.stem for path in folder.glob("*.py") if path.stem not in ("__init__", "check", "names")):
    package = "tsdask_mpi" if name in [part.module.__name__.rpartition(".")[2] for part in PARTS] + ["jupyter_server", "web_handlers"] else "tsdask_adopt"
    print(package, name, importlib.import_module(f"{package}.compat.{name}").probe())`;
    const lines = say(python, program).split("\n");
    expect(lines.filter((line) => !line.endsWith(" None"))).toEqual([]);
    expect(lines.filter((line) => line.startsWith("tsdask_adopt"))).toEqual(
      ["cluster_classes", "cluster_objects", "clients", "script_threads"]
        .sort()
        .map((name) => `tsdask_adopt ${name} None`),
    );
  });

  test("when a private name is gone, its probe says which, and what the launch does without", () => {
    const program = `
from tsdask_mpi.compat import check
import distributed.preloading, distributed.node
del distributed.preloading.Preload
print(check.check().convenience)
del distributed.node.HTTPServer
print(check.check().security)`;
    expect(say(python, program).split("\n")).toEqual([
      "distributed.preloading.Preload (a preload that fails does not end the start)",
      "distributed.node.HTTPServer (pages would be open to everybody)",
    ]);
  });

  test("when a text is no longer written, its probe says so", () => {
    const program = `
from tsdask_mpi.compat import log_messages
log_messages.LOST_HEARTBEAT = "words that no release has"
print(log_messages.probe())`;
    expect(say(python, program)).toBe("the words 'words that no release has' in distributed.worker.Worker");
  });

  test("a worker says nothing of peers that are gone, and all that is wrong with itself", () => {
    const program = `
import logging
import distributed
from tsdask_mpi import logs
logs.drop_lost_peers()
logger = logging.getLogger("distributed.worker")
logger.handlers[:] = [logging.StreamHandler(sys.stdout)]
logger.propagate = False
for error in (distributed.comm.CommClosedError("gone"), ValueError("wrong")):
    for text in ("failed during get data with a -> None", "Failed to communicate with scheduler during heartbeat."):
        try:
            raise error
        except Exception:
            logger.exception(text)`;
    const said = say(python, program).split("\n");
    expect(said.filter((line) => /^(?:failed|Failed|\w*Error)/i.test(line))).toEqual([
      "failed during get data with a -> None",
      "ValueError: wrong",
      "Failed to communicate with scheduler during heartbeat.",
      "ValueError: wrong",
    ]);
  });

  test("a reason to close that no release had so far is a plain close", () => {
    const program = `
from tsdask_mpi.compat.close_reasons import reason_of
print(reason_of("worker-struck-by-lightning", False), reason_of("scheduler-remove-worker", True))`;
    expect(say(python, program)).toBe("closed retired");
  });

  test("settings that follow from the size give way to the user's, and to larger ones of their own", () => {
    const program = `
import dask.config, distributed
from tsdask_mpi.compat import derived_settings
name = "distributed.comm.timeouts.connect"
for own in (None, "5s"):
    if own:
        dask.config.set({name: own})
    for value in ("60s", "90s", "80s", "90000ms"):
        derived_settings.take({name: value, "distributed.no.such": 1})
        print(dask.config.get(name), dask.config.get("distributed.no.such", None))`;
    expect(say(python, program).split("\n")).toEqual([
      ...["60s None", "90s None", "90s None", "90s None"],
      ...["5s None", "5s None", "5s None", "5s None"],
    ]);
  });

  test("a variable is the user's, even when it says what Dask does by itself; a file that does is none", () => {
    const program = `
import os
import dask.config, distributed
from tsdask_mpi.compat import derived_settings
connect, tcp, ttl = (f"distributed.{name}" for name in ("comm.timeouts.connect", "comm.timeouts.tcp", "scheduler.worker-ttl"))
os.environ["DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT"] = dask.config.get(connect)
os.environ["DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL"] = dask.config.get(ttl)
os.environ["DASK_INTERNAL_INHERIT_CONFIG"] = dask.config.serialize(dask.config.config)
dask.config.refresh()
derived_settings.take({connect: "320s", tcp: "320s", ttl: "600s"})
print(dask.config.get(connect), dask.config.get(tcp), dask.config.get(ttl))`;
    expect(say(python, program)).toBe("30s 320s 5 minutes");
  });

  test("workers of a scheduler that was stopped are not taken for silent when it goes on", () => {
    using folder = scratch("tsdask-stopped-");
    const program = `
FOLDER = ${JSON.stringify(folder.path)}
import asyncio, time
import dask, distributed
from tsdask_mpi.compat import last_seen
async def stopped(excused):
    # Silence counts from ten heartbeats on, which is five seconds.
    with dask.config.set({"distributed.scheduler.worker-ttl": "2s", "temporary-directory": FOLDER}):
        async with distributed.Scheduler(port=0, dashboard=False) as scheduler:
            async with distributed.Worker(scheduler.address, nthreads=1, dashboard=False) as worker:
                if excused:
                    last_seen.excuse_missed_time(scheduler)
                before = {one.address for one in scheduler.workers.values()}
                time.sleep(7)
                # The look that is due now, before the worker has said anything.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                await scheduler.check_worker_ttl()
                return bool(before & set(scheduler.workers))
import logging
logging.disable(logging.CRITICAL)
last_seen.EVERY = 0.1
print(asyncio.run(stopped(True)), asyncio.run(stopped(False)))`;
    expect(say(python, program)).toBe("True False");
  });

  test("a release after the newest tested one is told with the greeting, in both ways of starting children", async () => {
    using folder = scratch("tsdask-newest-");
    // Python imports it at its start: this Dask is then what a release to come is.
    writeFileSync(
      join(folder.path, "sitecustomize.py"),
      `import sys\nsys.path.insert(0, ${JSON.stringify(root)})\nfrom tsdask_mpi import imports\nimports.NEWEST_TESTED = (2020, 1)\n`,
    );
    for (const config of [{}, { imports: false }]) {
      await using newer = await startHost(python, { env: { PYTHONPATH: folder.path }, config });
      expect(await newer.next("ready")).toMatchObject({ newest_tested: "2020.1" });
      await using usual = await startHost(python, { config });
      expect(await usual.next("ready")).toMatchObject({ newest_tested: null });
    }
    const program = `
from tsdask_mpi.imports import newest_tested
print(newest_tested("2099.1.0"), newest_tested("2022.12.1+ds.1"), newest_tested("2026.8.3"), newest_tested("none"))`;
    expect(say(python, program)).toBe("2026.8 None None None");
  });
});
