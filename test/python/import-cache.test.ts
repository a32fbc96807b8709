import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { pythons, readyHost, scratch } from "./host.ts";

const MOST_FILE_OPERATIONS = 80;
const MOST_ON_DISKS = 60;

const strace = spawnSync("strace", ["-V"]).status === 0;

describe.runIf(strace).each(pythons())("a forked worker's whole life, with %s", (python) => {
  test("imports nothing, and touches few files", async () => {
    using folder = scratch("tsdask-trace-");
    const traces = folder.path;
    await using host = await readyHost(python, {
      prefix: ["strace", "-ff", "-qq", "-e", "trace=%file", "-e", "signal=none", "-o", join(traces, "t")],
    });
    const scheduler = await host.scheduler({ params: { dashboard: true } });
    const worker = host.worker(scheduler.address);
    await worker.next("ready");
    worker.say({ op: "stop", grace: 2 });
    await worker.next("exit");
    const own = readFileSync(join(traces, `t.${await worker.pid()}`), "utf8")
      .trim()
      .split("\n")
      .filter((line) => !line.startsWith("+++"));
    expect(own.filter((line) => /\.pyc?"/.test(line))).toEqual([]);
    const onDisks = own.filter((line) => !/"\/(proc|sys)\//.test(line) && !line.includes("AT_EMPTY_PATH"));
    expect(onDisks.length).toBeLessThanOrEqual(MOST_ON_DISKS);
    // Dask looks at /proc twice a second: the longer a worker lives, the more often.
    const others = new Set(own.filter((line) => !onDisks.includes(line)));
    expect(onDisks.length + others.size).toBeLessThanOrEqual(MOST_FILE_OPERATIONS);
    expect(readdirSync(traces)).toContain(`t.${await scheduler.pid()}`);
    const schedulers = readFileSync(join(traces, `t.${await scheduler.pid()}`), "utf8");
    expect(schedulers.split("\n").filter((line) => /\.pyc?"/.test(line))).toEqual([]);
  });
});
