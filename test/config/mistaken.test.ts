import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { refuseMistaken, refuseNoProgram } from "../../src/config/mistaken.ts";
import { readOptions } from "../../src/config/read.ts";

const cwd = mkdtempSync(join(tmpdir(), "tsdask-mistaken-"));
mkdirSync(join(cwd, "bin"));
writeFileSync(join(cwd, "bin", "stat"), "#!/bin/sh\n");
chmodSync(join(cwd, "bin", "stat"), 0o755);
writeFileSync(join(cwd, "stop"), "#!/bin/sh\n");
afterAll(() => rmSync(cwd, { recursive: true }));

const env = { PATH: join(cwd, "bin"), HOME: cwd };

const said = async (words: string, programs = true): Promise<string> => {
  const argv = words.split(" ");
  const { options } = await readOptions({ argv, env, cwd, home: cwd });
  try {
    refuseMistaken(options, { argv, env, cwd, programs });
    return "nothing";
  } catch (error) {
    return String(error);
  }
};

describe("a first word that is no script", () => {
  it.each([
    ["ls", "tsdask-mpi list"],
    ["top --json", "tsdask-mpi status"],
    ["--np 4 shutdown", "tsdask-mpi stop"],
    ["run", "The script itself is the first word"],
    ["hlep", "Did you mean `tsdask-mpi help`?"],
    ["conect x.json", "Did you mean `tsdask-mpi connect`?"],
    ["scrpit slurm", "Did you mean `tsdask-mpi script`?"],
  ])("is advised on: %s", async (words, part) => {
    expect(await said(words)).toContain(part);
  });

  it.each(["stop", "list.sh", "./list", "-- list", "--np 2 -- stauts", "a.py", "list.py", "hostname", "stat"])(
    "is left alone: %s",
    async (words) => {
      expect(await said(words)).toBe("nothing");
    },
  );

  it("is not a program where nothing could be run", async () => {
    expect(await said("stat", false)).toContain("tsdask-mpi status");
  });
});

describe("a mistyped option", () => {
  it.each([
    ["--hlep", "Did you mean --help?"],
    ["--verison", "Did you mean --version?"],
    ["--in-place n.ipynb", "after the notebook's name"],
  ])("%s is advised on", async (words, part) => {
    await expect(said(words)).rejects.toThrow(part);
  });
});

describe("a program that cannot be started as it is named", () => {
  writeFileSync(join(cwd, "plain"), "x");
  chmodSync(join(cwd, "plain"), 0o644);

  it.each([
    ["plain", "started as ./plain, once it is executable"],
    ["stop", "started as ./stop, once it is executable"],
    ["./plain", "it is not executable (`chmod +x`"],
    [join("bin", "stat"), undefined],
    ["stat", undefined],
    ["nowhere", undefined],
    ["bin", undefined],
  ])("%s", (word, part) => {
    const start = (): void =>
      refuseNoProgram(
        { script: { kind: "command", words: [word] } as never },
        { cwd, env: { PATH: join(cwd, "bin") } },
      );
    if (part === undefined) expect(start).not.toThrow();
    else expect(start).toThrow(expect.objectContaining({ code: "TSD-052", message: expect.stringContaining(part) }));
  });
});
