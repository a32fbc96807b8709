/** Places that a session finds itself in without a mistake of its own, and in which Node's own functions throw. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { outsideJob } from "../src/batch/run.ts";

const source = (path: string): string => new URL(`../src/${path}`, import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), "places-"));
chmodSync(folder, 0o711);
mkdirSync(join(folder, "closed"), { mode: 0o700 });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const env = { ...outsideJob(process.env), HOME: folder, XDG_STATE_HOME: join(folder, "state"), TMPDIR: tmpdir() };
const node = `'${process.execPath}'`;
const another = "setpriv --reuid 65534 --regid 65534 --clear-groups";
const sh = (line: string): { readonly code: number | null; readonly out: string } => {
  const { status, stdout, stderr } = spawnSync("sh", ["-c", `exec 2>&1; ${line}`], {
    cwd: folder,
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  return { code: status, out: `${stdout}${stderr}` };
};

/** Whether the tests can be another user, and that one sees this program. */
const asAnother = (() => {
  try {
    execFileSync("sh", ["-c", `${another} ${node} -e 'fs.accessSync("${source("main.ts")}")'`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

describe("in a folder that is gone", () => {
  const gone = (words: string): ReturnType<typeof sh> =>
    sh(`mkdir gone; cd gone; rmdir ../gone; ${node} '${source("main.ts")}' ${words}`);

  test("a launch, and a command that works there, say so", () => {
    for (const words of ["--np 3 x.py", "doctor", "script slurm x.py"])
      expect(gone(words)).toMatchObject({
        code: 64,
        out: expect.stringMatching(/^tsdask-mpi: TSD-208 .* folder \S+\/gone is gone\.$/m),
      });
  });

  test("a command that needs none goes on", () => {
    expect(gone("--version")).toMatchObject({ code: 0, out: expect.stringContaining("tsdask-mpi ") });
    expect(gone("list")).toMatchObject({ code: 0, out: expect.stringContaining("no cluster of yours") });
    expect(gone("stop nightly")).toMatchObject({ code: 64, out: expect.stringContaining("TSD-147") });
  });

  test("all ranks of a host leave, and one of them says so", () => {
    const of = (local: number): string =>
      `TSDASK_RANK=${local} TSDASK_SIZE=2 TSDASK_LOCAL_RANK=${local} TSDASK_LOCAL_SIZE=2`;
    const rank = (local: number): ReturnType<typeof sh> =>
      sh(`mkdir gone; cd gone; rmdir ../gone; ${of(local)} ${node} '${source("main.ts")}' x.py`);
    expect(rank(0)).toMatchObject({ code: 64, out: expect.stringContaining("TSD-208") });
    expect(rank(1)).toEqual({ code: 64, out: "" });
  });
});

test("in a folder whose name is not UTF-8, a launch says so, with and without a launcher", () => {
  const rank = "TSDASK_RANK=0 TSDASK_SIZE=3 TSDASK_LOCAL_RANK=0 TSDASK_LOCAL_SIZE=3";
  for (const [before, words] of [
    ["", "--np 3 x.py"],
    [rank, "x.py"],
  ])
    expect(
      sh(`mkdir -p "$(printf 'caf\\351')"; cd caf*; ${before} ${node} '${source("main.ts")}' ${words}`),
    ).toMatchObject({ code: 64, out: expect.stringMatching(/TSD-208 .* has a name that is not UTF-8\.$/m) });
});

test("a program that was replaced under its processes ends with what went wrong, though its messages are gone", () => {
  const hook =
    'require("node:module").registerHooks({ resolve: (name, context, next) => { if (name.endsWith("/failure-of.ts")) throw Error("gone"); return next(name, context) } })';
  writeFileSync(join(folder, "replaced.cjs"), hook);
  const rank = "OMPI_COMM_WORLD_RANK=x OMPI_COMM_WORLD_SIZE=2";
  expect(sh(`${rank} timeout -s KILL 20 ${node} --require ./replaced.cjs '${source("main.ts")}' x.py`)).toEqual({
    code: 64,
    out: expect.stringMatching(/^tsdask-mpi: TSD-011 .*OMPI_COMM_WORLD_RANK.*\n$/),
  });
});

describe.runIf(asAnother)("as another user", () => {
  const evaluated = (file: string, expression: string): string =>
    `${another} ${node} --input-type=module -e 'import * as it from "${source(file)}"; const alive = setInterval(() => 0, 1000); console.log(${expression}); clearInterval(alive)'`;

  test("a pipe of the former user's is read as it is, and nothing is known to wait in it", () => {
    expect(sh(`echo hi | ${evaluated("cluster/input.ts", "it.inputWaits()")}`).out).toBe("false\n");
    // What is waited for does not keep a process alive.
    const read = evaluated("cluster/input.ts", "String(await it.openInput().next())");
    expect(sh(`(sleep 0.5; echo hi) | ${read}`).out).toBe("hi\n\n");
  });

  test("in the former user's folder, a name is a name, and a launch is refused", () => {
    expect(sh(`cd closed; ${evaluated("registry/target.ts", 'it.isPath("nightly", process.cwd())')}`).out).toBe(
      "false\n",
    );
    expect(sh(`cd closed; ${another} ${node} '${source("main.ts")}' --np 3 x.py`)).toMatchObject({
      code: 64,
      out: expect.stringMatching(/TSD-208 .*\/closed cannot be entered by you \(EACCES\)/),
    });
  });

  test("a file of ours in a folder that may not be entered is refused as such", () => {
    const path = join(folder, "closed", "x");
    expect(sh(evaluated("security/output-file.ts", `it.outputProblem("${path}")`)).out).toMatch(/closed: EACCES\n$/);
    const options = `{ script: { kind: "command", words: ["${path}"] } }`;
    expect(sh(evaluated("config/mistaken.ts", `it.refuseNoProgram(${options}, { cwd: "/", env: {} })`)).out).toBe(
      "undefined\n",
    );
    const file = `{ tsdask: { security: "tls", folder: "${join(folder, "closed")}" } }`;
    expect(
      sh(evaluated("dask/live-cluster.ts", `await it.credentialsFor(${file}).catch((error) => error.code)`)).out,
    ).toBe("TSD-074\n");
  });
});
