import { totalmem } from "node:os";
import { expect, test } from "vitest";
import { availableLaunchers, type Launcher } from "./bed/launchers.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { run, tell, type Finished } from "./bed/run.ts";
import { program } from "./launch.ts";

const counting = `
from dask.distributed import Client

if __name__ == "__main__":
    with Client() as client:
        client.wait_for_workers(3)
        for worker in client.scheduler_info(n_workers=-1)["workers"].values():
            print(worker["name"], worker["nthreads"], worker["resources"])
        print("on a GPU", client.submit(sum, [20, 22], resources={"GPU": 1}).result(), flush=True)
`;

/** How a launcher takes two kinds of ranks: three of the first, two of the second. */
type Parts = (first: string[], second: string[], clean: Clean) => string[];

const mpirun: Parts = (first, second) => ["--oversubscribe", "-np", "3", ...first, ":", "-np", "2", ...second];
const heterogeneous: Parts = (first, second) => {
  const each = ["--mpi=none", "--nodes=1", "--overcommit"];
  return [...each, "--ntasks=3", ...first, ":", ...each, "--ntasks=2", ...second];
};
const multiProg: Parts = (first, second, clean) => {
  const file = clean.write("parts.conf", `0-2 ${first.join(" ")}\n3-4 ${second.join(" ")}\n`);
  return ["--mpi=pmi2", "--nodes=2", "--ntasks=5", "--overcommit", "--multi-prog", file];
};
const [openmpi] = availableLaunchers("openmpi4");
const kinds: readonly (readonly [string, Launcher | undefined, Parts])[] = [
  ["mpirun with a colon", openmpi, mpirun],
  ["a heterogeneous job of Slurm's", availableLaunchers("srun-none")[0], heterogeneous],
  ["srun --multi-prog", availableLaunchers("srun-pmi2")[0], multiProg],
];

const limits = `
from dask.distributed import Client

if __name__ == "__main__":
    with Client() as client:
        client.wait_for_workers(3)
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        print(sum(worker["memory_limit"] for worker in workers), flush=True)
`;

async function launched(
  kind: Launcher,
  parts: Parts,
  first: string[],
  second: string[],
  script = counting,
): Promise<Finished> {
  await using clean = nothingLeft();
  await kind.ready();
  clean.write("script.py", script);
  const args = parts(program(...first), program(...second), clean);
  return await run({ ...kind.command(5, []), args }, { folder: clean.folder, env: clean.env });
}

test.each(kinds.flatMap(([name, kind, parts]) => (kind === undefined ? [] : [[name, kind, parts] as const])))(
  "%s: its parts, and --group, give workers options of their own",
  async (_, kind, parts) => {
    const group = ["--group", "io:ranks=2,resources=IO=3,nthreads=2"];
    const finished = await launched(
      kind,
      parts,
      [...group, "script.py"],
      ["--resources", "GPU=1", "--nthreads", "1", "script.py"],
    );
    expect(finished, tell(finished)).toMatchObject({ code: 0 });
    const workers = ["tsdask-2 2 {'IO': 3}", "tsdask-3 1 {'GPU': 1}", "tsdask-4 1 {'GPU': 1}"];
    expect(finished.stdout.trim().split("\n").sort()).toEqual(["on a GPU 42", ...workers]);
  },
);

test.runIf(openmpi !== undefined)("a script that only a later part names is refused", async () => {
  const finished = await launched(openmpi as Launcher, mpirun, [], ["script.py"]);
  expect(finished.code, tell(finished)).toBe(64);
  expect(finished.stderr).toMatch(/TSD-192 .* rank [34] is to run script\.py, rank 0 nothing/);
});

test.runIf(openmpi !== undefined)("what a part asks for is not given to the others on its host", async () => {
  const second = ["--memory-limit", "0.4", "script.py"];
  const finished = await launched(openmpi as Launcher, mpirun, ["script.py"], second, limits);
  expect(finished.code, tell(finished)).toBe(0);
  // Two workers with two fifths of the host each leave less than a third to the third one.
  expect(Number(finished.stdout)).toBeLessThanOrEqual(totalmem());
});
