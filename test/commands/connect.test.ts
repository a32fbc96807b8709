import { execFile } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectCommand } from "../../src/commands/connect.ts";
import { envCommand } from "../../src/commands/env.ts";
import { deadlines } from "../../src/deadlines.ts";
import { identity } from "../../src/dask/rpc.ts";
import { writeSchedulerFile, type SchedulerFile } from "../../src/dask/scheduler-file.ts";
import { daskPythons, startDask, type DaskCluster } from "../dask/real-dask.ts";

// A busy machine's scheduler answers late.
(deadlines as { connectCommand: number }).connectCommand = 60_000;

const run = promisify(execFile);
const bare = { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent" };

type Command = typeof connectCommand;
interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function call(
  command: Command,
  argv: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Said> {
  let [out, err] = ["", ""];
  const code = await command(argv, {
    env: { ...bare, ...env },
    cwd,
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
  });
  return { code, out, err };
}

for (const { python, version } of daskPythons()) {
  describe(`a cluster with Dask ${version}`, () => {
    let cluster: DaskCluster;
    let file: SchedulerFile;
    beforeAll(async () => {
      cluster = await startDask(python, { workers: 2 });
      const { id, address } = await identity(cluster);
      file = {
        type: "Scheduler",
        id,
        address,
        services: {},
        workers: {},
        tsdask: {
          version: "0.1.0",
          launch: "3f9c",
          pid: 1,
          host: "h1",
          hub: { addresses: [], fingerprint: "" },
          folder: cluster.folder,
          dashboard: { host: "10.0.0.1", port: 8787, node: "h1" },
          jupyter: { host: "127.0.0.1", port: 8888, node: "h2" },
          hosts: ["h1", "h2"],
          security: "tls",
          tunnel: { kind: "jump", login: "login.example.org" },
          started: 1,
        },
      };
      await writeSchedulerFile(join(cluster.folder, "scheduler.json"), file);
      await writeFile(join(cluster.folder, "token"), "s3cret\n", { mode: 0o600 });
    });
    afterAll(() => cluster[Symbol.asyncDispose]());

    test("is said to have a JupyterLab that still starts, which has a link of its own", async () => {
      const { tsdask } = file;
      const path = join(cluster.folder, "starting.json");
      const said = async (changes: object): Promise<string> => {
        if (tsdask !== undefined) await writeSchedulerFile(path, { ...file, tsdask: { ...tsdask, ...changes } });
        return (await call(connectCommand, [path], cluster.folder)).out;
      };
      const note = /^note: JupyterLab is still starting; run this again in a moment/m;
      expect(await said({ jupyter: null, jupyterComes: true })).toMatch(note);
      expect(await said({ jupyter: null, jupyterComes: true, dashboard: null })).toMatch(note);
      expect(await said({ jupyter: null })).not.toMatch(note);
      expect(await said({ jupyterComes: true })).not.toMatch(note);
    });

    test("is shown with its workers, ssh lines, links and Python lines", async () => {
      const { code, out, err } = await call(connectCommand, [], cluster.folder);
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(out).toMatch(/^cluster +3f9c, scheduler on h1, 2 hosts$/m);
      expect(out).toMatch(/^workers +2 with 2 threads$/m);
      expect(out).toMatch(
        /^ {2}ssh -N -o ExitOnForwardFailure=yes -L 127\.0\.0\.1:\d+:127\.0\.0\.1:8888 -J \S+@login\.example\.org \S+@h2$/m,
      );
      expect(out).toMatch(/^ {2}JupyterLab +http:\/\/127\.0\.0\.1:\d+\/lab\?token=s3cret$/m);
      expect(out).toMatch(/^ {2}dashboard +http:\/\/127\.0\.0\.1:\d+\/status\?token=s3cret$/m);
      expect(out).toContain(`eval "$(tsdask-mpi env ${cluster.folder}/scheduler.json)"`);
    });

    test("is connected by the Python lines", async () => {
      const { out } = await call(connectCommand, ["--json"], cluster.folder);
      const report = JSON.parse(out) as { state: string; python: string[]; workers: unknown[] };
      expect(report).toMatchObject({
        state: "running",
        launch: "3f9c",
        workers: [{ threads: 1 }, { threads: 1 }],
        dashboard: "http://10.0.0.1:8787/status?token=s3cret",
      });
      const source = [...report.python, "print(client.submit(sum, [1, 2]).result())"].join("\n");
      expect((await run(python, ["-c", source], { env: bare })).stdout.trim()).toBe("3");
    });

    test("is connected by the lines of env, in a shell", async () => {
      const { out } = await call(envCommand, ["--shell", "bash"], "/", {
        TSDASK_SCHEDULER_FILE: join(cluster.folder, "scheduler.json"),
      });
      const source = `${out}\nexec "$0" -c 'from distributed import Client; print(Client().submit(sum, [1, 2]).result())'`;
      expect((await run("bash", ["-c", source, python], { env: bare })).stdout.trim()).toBe("3");
      expect(out).not.toContain("s3cret");
      const { out: undone } = await call(envCommand, ["--shell", "bash", "--unset"], "/");
      expect((await run("bash", ["-c", `${out}\n${undone}\nenv`], { env: bare })).stdout).not.toContain("DASK_");
    });

    test("takes the tunnel and the login host that are said here before the recorded ones", async () => {
      const said = ["--tunnel", "direct", "--login-host", "me@other.org"];
      const recorded = join(cluster.folder, "direct.json");
      await writeSchedulerFile(recorded, { ...file, tsdask: file.tsdask && { ...file.tsdask, jupyter: null } });
      expect((await call(connectCommand, [recorded, ...said], "/")).out).toMatch(
        /ssh -N -o ExitOnForwardFailure=yes -L 127.0.0.1:\d+:10\.0\.0\.1:8787 me@other\.org\n/,
      );
      expect(
        (await call(connectCommand, [recorded, "--tunnel", "direct"], "/", { TSDASK_LOGIN_HOST: "site.org" })).out,
      ).toMatch(/\S+@site\.org\n/);
    });

    test("is guessed to be reached through this host when nobody said and the cluster is elsewhere", async () => {
      const unknown = join(cluster.folder, "unknown.json");
      await writeSchedulerFile(unknown, { ...file, tsdask: file.tsdask && { ...file.tsdask, tunnel: undefined } });
      expect((await call(connectCommand, [unknown], "/")).out).toContain(`@${hostname()}`);
    });

    test("that another scheduler has replaced is said to be gone", async () => {
      const replaced = join(cluster.folder, "replaced.json");
      await writeSchedulerFile(replaced, { ...file, id: "another" });
      await expect(call(connectCommand, [replaced], "/")).rejects.toThrow(
        /TSD-087.*another scheduler[\s\S]*Remove the file/,
      );
    });

    test("whose credentials others could have changed is not trusted", async () => {
      await chmod(join(cluster.folder, "ca.pem"), 0o644);
      await expect(call(connectCommand, [], cluster.folder)).rejects.toThrow(/TSD-073/);
      await expect(call(envCommand, [], cluster.folder)).rejects.toThrow(/TSD-073/);
      await chmod(join(cluster.folder, "ca.pem"), 0o600);
    });

    test("that has ended is said to be gone", async () => {
      cluster.process.kill("SIGKILL");
      await once(cluster.process, "exit");
      await expect(call(connectCommand, [], cluster.folder)).rejects.toThrow(/TSD-087.*nothing listens there/);
    });
  });
}

describe("connect and env", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tsdask-connect-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("say which file they looked for", async () => {
    await expect(call(connectCommand, [], folder)).rejects.toThrow(
      new RegExp(`TSD-023.*${folder}/scheduler\\.json.*no such file`),
    );
    await expect(call(envCommand, ["other.json"], folder)).rejects.toThrow(/TSD-023.*other\.json/);
  });

  test("do without what a site's file says of jobs alone", async () => {
    const site = join(folder, "site.yaml");
    await writeFile(site, "local-directory: ${JOBS_DISK}\n");
    for (const command of [connectCommand, envCommand])
      await expect(call(command, [], folder, { TSDASK_SITE_CONFIG: site })).rejects.toThrow(/TSD-023/);
  });

  test.each([
    [["--jsno"], /TSD-006.*jsno[\s\S]*Did you mean --json/],
    [["--tunnel"], /TSD-008.*--tunnel/],
    [["--tunnel", "bridge"], /TSD-006.*bridge/],
    [["a", "b"], /TSD-006/],
  ])("refuse %o with exit code 64", async (argv, message) => {
    await expect(call(connectCommand, argv, folder)).rejects.toThrow(message);
    await expect(call(connectCommand, argv, folder)).rejects.toMatchObject({ exitCode: 64 });
  });

  test("have their own help", async () => {
    expect((await call(connectCommand, ["--help"], folder)).out).toMatch(
      /Usage: tsdask-mpi connect \[options\] \[name \| scheduler\.json\][\s\S]*--login-host/,
    );
    expect((await call(envCommand, ["--help"], folder)).out).toMatch(
      /Usage: tsdask-mpi env[\s\S]*eval "\$\(tsdask-mpi env\)"/,
    );
  });

  test("work with a cluster that plain Dask started without security", async () => {
    for (const { python } of daskPythons().slice(0, 1)) {
      await using cluster = await startDask(python, { secure: false });
      const { id } = await identity(cluster);
      await writeFile(
        join(folder, "scheduler.json"),
        JSON.stringify({ type: "Scheduler", id, address: cluster.address, services: {}, workers: {} }),
      );
      expect((await call(connectCommand, [], folder)).out).toMatch(
        /of plain Dask[\s\S]*security +none[\s\S]*client = Client\("tcp:/,
      );
      expect((await call(envCommand, ["--shell", "fish", "--security", "none"], folder)).out).toMatch(
        /^set -gx DASK_SCHEDULER_ADDRESS 'tcp:\S+';$/m,
      );
    }
  });

  test("say when this host has no way to the scheduler, and show the lines all the same", async () => {
    await writeFile(
      join(folder, "far.json"),
      JSON.stringify({ type: "Scheduler", id: "x", address: "tcp://no-such-host.invalid:1" }),
    );
    const { code, out, err } = await call(connectCommand, ["far.json"], folder);
    expect(code).toBe(0);
    expect(err).toMatch(/cannot be reached from .* not known/);
    expect(out).toContain("no-such-host");
  });
});
