import { describe, expect, test } from "vitest";
import { noLauncher } from "../../src/launcher/no-launcher.ts";

describe("a launch without a launcher", () => {
  test.each([
    [["analysis.py", "--np", "3"], "`--np 3`", "3"],
    [["analysis.py", "--steps", "9", "--np=3"], "`--np=3`", "3"],
    [["analysis.py", "-np", "4"], "`-np 4`", "4"],
    [["analysis.py", "-n", "4"], "`-n 4`", "4"],
  ])("says of %j where the number of ranks stands", (words, said, ranks) => {
    expect(noLauncher(undefined, words)?.facts).toMatchObject({
      cause: `${said} stands after analysis.py, so it is the script's own.`,
      cure: `Say it before the script: \`tsdask-mpi --np ${ranks} analysis.py\`.`,
    });
  });

  test.each([[[]], [["analysis.py"]], [["analysis.py", "-n", "name"]], [["analysis.py", "--np"]]])(
    "says of %j that no number was given",
    (words) => {
      expect(noLauncher(undefined, words)?.facts["cause"]).toContain("--np was not given");
    },
  );

  test("leaves a launcher whose variables are gone to its own words", () => {
    const facts = noLauncher({ name: "mpirun", first: true }, ["a.py", "-n", "3"])?.facts;
    expect(facts?.["problem"]).toContain("mpirun started this process");
    expect(noLauncher({ name: "mpirun", first: false }, ["a.py", "-n", "3"])).toBeUndefined();
  });
});
