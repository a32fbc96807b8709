import { describe, expect, test } from "vitest";
import { availableLaunchers } from "./bed/launchers.ts";
import { nothingLeft } from "./bed/left.ts";
import { run, tell } from "./bed/run.ts";
import { program } from "./launch.ts";

/** Says, for each rank of the launch, the program that its process is, and what its worker sees of its environment. */
const script = `
import glob, json, os
from dask.distributed import Client

def seen(dask_worker):
    import os, resource
    limits = resource.getrlimit(resource.RLIMIT_CORE)[0]
    return [os.environ.get("MARK"), os.getcwd(), limits, sorted(os.sched_getaffinity(0))]

if __name__ == "__main__":
    client = Client()
    client.wait_for_workers(6)
    launch = os.environ["MARK_OF_LAUNCH"]
    kinds = {}
    for path in glob.glob("/proc/[0-9]*"):
        try:
            words = open(path + "/cmdline").read().split("\\0")
            env = dict(one.split("=", 1) for one in open(path + "/environ").read().split("\\0") if "=" in one)
        except OSError:
            continue
        if env.get("MARK_OF_LAUNCH") != launch or "MARK" not in env or "python" in words[0]:
            continue
        if any(word.endswith("main.js") for word in words):
            kinds[env["MARK"]] = "node"
        elif len(words) > 1 and words[1].endswith("/bin/tsdask-mpi"):
            kinds[env["MARK"]] = "shell"
    print(json.dumps({"kinds": kinds, "seen": client.run(seen)}))
`;

/** Runs a rank with a variable and a limit of its own. */
const wrapper = `#!/bin/sh
export MARK="rank \${OMPI_COMM_WORLD_RANK-\${PMI_RANK-\${SLURM_PROCID-}}}"
ulimit -c 0
exec "$@"
`;

const launchers = availableLaunchers("openmpi4", "mpich4", "srun-none");
describe.each(launchers.map((one) => [one.name, one] as const))("a further rank under %s", (_, one) => {
  test("stays a shell, and its worker is as the rank is", async () => {
    await one.ready();
    await using clean = nothingLeft();
    clean.write("script.py", script);
    const words = program("--wait-workers", "all", "--log-level", "info", "script.py");
    const file = clean.write("wrapper.sh", wrapper);
    const finished = await run(one.command(8, ["/bin/sh", file, ...words]), {
      folder: clean.folder,
      env: { ...clean.env, MARK_OF_LAUNCH: `${process.pid}.${one.name}` },
    });
    expect(finished.code, tell(finished)).toBe(0);
    const { kinds, seen } = JSON.parse(finished.stdout) as {
      kinds: Record<string, string>;
      seen: Record<string, [string, string, number, number[]]>;
    };
    const ranks = Array.from({ length: 8 }, (_, rank) => [`rank ${rank}`, rank < 2 ? "node" : "shell"]);
    // Rank 2 becomes a Node where the agent's own Node takes more than five seconds to start.
    expect({ ...kinds, "rank 2": "shell" }).toEqual(Object.fromEntries(ranks));
    const marks = Object.values(seen).map(([mark]) => mark);
    expect(marks.sort()).toEqual([2, 3, 4, 5, 6, 7].map((rank) => `rank ${rank}`));
    for (const [, folder, core] of Object.values(seen)) {
      expect(folder).toBe(clean.folder);
      expect(core).toBe(0);
    }
    for (const rank of [2, 7]) expect(finished.stderr).toMatch(new RegExp(`^\\[rank ${rank} [^\\]]+\\] `, "m"));
  });
});
