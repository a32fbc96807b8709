import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { signalAll } from "../bed/processes.ts";
import { randomFrom } from "../bed/random.ts";
import { run, tell } from "../bed/run.ts";
import { nothingLeft } from "../bed/left.ts";
import { program } from "../launch.ts";
import type { Part } from "./cast.ts";
import {
  codes,
  endsItself,
  endsWithin,
  endsOrIsSwept,
  faultLaunchers,
  launch,
  message,
  survivesAKilledRank,
} from "./fault.ts";

/** A script that any number of workers will do for. */
const modest = `
from dask.distributed import Client

if __name__ == "__main__":
    client = Client()
    print("total", client.submit(sum, range(1000)).result(), flush=True)
    raise SystemExit(7)
`;

/** The moments are the same in each run; `TSDASK_TEST_SEED` gives others. */
const seed = Number(process.env["TSDASK_TEST_SEED"] ?? 830_117);
const random = randomFrom(seed);
/**
 * So long after the start (ms), or after a part that is waited for was there: somewhere in the start-up, in each test
 * elsewhere.
 */
const atRandom = (longest: number): number => Math.round(random() * longest);

describe.each(faultLaunchers)("killed outright at start-up under $name", (launcher) => {
  const survives = survivesAKilledRank(launcher);

  const parts: readonly Part[] = ["launcher", "rank 0", "client's rank", "worker's rank"];
  const moments = [
    ["as soon as it is there", 0],
    ["at a random moment", 600],
  ] as const;
  test.each(parts.flatMap((part) => moments.map(([when, longest]) => [part, when, longest] as const)))(
    "the %s, %s",
    async (part, _, longest) => {
      const moment = atRandom(longest);
      await using one = await launch(launcher, { script: modest });
      // The moment is what is tested: nothing is waited for.
      await sleep(moment);
      // A rank that does not exist yet is killed as soon as it does; one that has done its part already is no fault.
      const pid = await Promise.race([one.find(part), one.running.finished.then(() => undefined)]);
      if (pid !== undefined) signalAll([pid], "SIGKILL");
      const where = `killed after ${moment} ms (seed ${seed})`;
      const finished = await endsOrIsSwept(one, launcher);
      const said = `${where}\n${tell(finished)}`;
      if (part === "launcher" || pid === undefined) return;
      expect(finished.code, said).not.toBe(0);
      if (part === "worker's rank" && survives) expect(finished.stdout, said).toContain("total 499500");
      else if (survives && finished.code !== 7) expect(codes(finished).length, said).toBeGreaterThan(0);
    },
  );

  test("the scheduler: the launch ends with 69, or 72 when it had begun", async () => {
    await using one = await launch(launcher, { ...endsItself, script: modest });
    const scheduler = await one.find("scheduler");
    const moment = atRandom(200);
    await sleep(moment);
    signalAll([scheduler], "SIGKILL");
    const finished = await one.ends();
    const said = `killed after ${moment} ms (seed ${seed})\n${tell(finished)}`;
    // The script may have been quicker.
    if (finished.code === 7) return;
    expect([69, 72], said).toContain(finished.code);
    expect(finished.stderr, said).toMatch(message(finished.code === 69 ? "TSD-050" : "TSD-051"));
  });

  test("a worker: another takes its place", async () => {
    await using one = await launch(launcher, { ...endsItself, script: modest });
    const worker = await one.find("worker");
    const moment = atRandom(200);
    await sleep(moment);
    signalAll([worker], "SIGKILL");
    const finished = await one.ends();
    expect(finished.code, `killed after ${moment} ms (seed ${seed})\n${tell(finished)}`).toBe(7);
    expect(finished.stdout).toContain("total 499500");
  });

  test("the script", async () => {
    await using one = await launch(launcher, { ...endsItself, script: modest });
    const script = await Promise.race([one.find("script"), one.running.finished.then(() => undefined)]);
    await sleep(atRandom(100));
    if (script !== undefined) signalAll([script], "SIGKILL");
    const finished = await one.ends();
    // It may have been quicker.
    if (finished.code === 7) return;
    expect(finished.code, tell(finished)).toBe(137);
    expect(finished.stderr).toMatch(message("TSD-065"));
  });
});

// Two ends like these were seen under srun, which leaves the other ranks alone.
test.each(faultLaunchers.filter(({ name }) => name.startsWith("srun")))(
  "ranks whose rank 0 and rank 1 end before they have begun do not wait for them under $name",
  async (launcher) => {
    await launcher.ready();
    await using clean = nothingLeft();
    const file = clean.write("wrapper.sh", '#!/bin/sh\n[ "$SLURM_PROCID" -gt 1 ] || exit 129\nexec "$@"\n');
    clean.write("script.py", modest);
    const finished = await run(launcher.command(4, ["/bin/sh", file, ...program("script.py")]), {
      folder: clean.folder,
      env: clean.env,
    });
    expect(finished.stderr).toMatch(message("TSD-020"));
    // Rank 2 becomes a Node after 5 s, and sees after 3 more that there is no leader; rank 3 alone looked for 15 s.
    expect(finished.seconds, tell(finished)).toBeLessThan(endsWithin() + 4);
  },
);
