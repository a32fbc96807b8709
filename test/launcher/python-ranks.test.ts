import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { identify } from "../../src/launcher/world.ts";
import { environment, environments as names } from "./environments.ts";

const extra = {
  communicator: { TSDASK_COMM_RANK: "2", TSDASK_COMM_SIZE: "5", OMPI_COMM_WORLD_RANK: "0", OMPI_COMM_WORLD_SIZE: "9" },
  ours: { TSDASK_RANK: "1", TSDASK_SIZE: "4" },
  none: {},
};

/** Rank and size as `find` sees them in each environment; "refused" where it throws. */
function seen(
  environments: readonly (readonly [string, NodeJS.ProcessEnv])[],
  find: (env: NodeJS.ProcessEnv) => readonly [number, number] | null,
): Record<string, unknown> {
  return Object.fromEntries(
    environments.map(([name, env]) => {
      try {
        return [name, find(env)];
      } catch {
        return [name, "refused"]; // a rank without a size
      }
    }),
  );
}

test("Python's table of launchers tells the same rank and size as ours, in every recorded environment", () => {
  const environments = [...names.map((name) => [name, environment(name)] as const), ...Object.entries(extra)];
  const program = `
import json, sys
from tsdask_mpi.ranks import rank_and_size

def find(env):
    try:
        return rank_and_size(env)
    except ValueError:
        return "refused"

print(json.dumps({name: find(env) for name, env in json.load(sys.stdin)}))
`;
  const text = execFileSync("python3", ["-c", program], {
    input: JSON.stringify(environments),
    env: { ...process.env, PYTHONPATH: join(import.meta.dirname, "../../python"), PYTHONDONTWRITEBYTECODE: "1" },
    encoding: "utf8",
  });
  const ours = seen(environments, (env) => {
    const world = identify(env);
    return world === undefined ? null : [world.rank, world.size];
  });
  expect(JSON.parse(text), "LAUNCHERS of python/tsdask_mpi/ranks.py tells the same").toEqual(ours);
});
