import { describe, expect, test } from "vitest";
import { readOptions } from "../../src/config/read.ts";
import { sayWarnings } from "../../src/host/checks.ts";
import type { LeadContext } from "../../src/host/lead-context.ts";
import type { World } from "../../src/launcher/world.ts";

describe("what is said at the start of a launch", () => {
  const said = async (launcher: World["launcher"]): Promise<string> => {
    const read = await readOptions({ argv: ["--np", "3", "--quiet", "a.py"], env: {}, cwd: "/" });
    const written: string[] = [];
    const out = { write: (text: string) => written.push(text) };
    const world = { rank: 0, size: 8, launcher } as World;
    sayWarnings({ world, program: "tsdask-mpi", env: {}, out } as unknown as LeadContext, read);
    return written.join("");
  };

  test("--np is the built-in launcher's: under another it has no effect", async () => {
    expect(await said("openmpi")).toBe("tsdask-mpi: --np 3 has no effect here: the launcher has started 8 ranks.\n");
    expect(await said("tsdask")).toBe("");
  });
});
