import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { openCommand } from "../../src/commands/open.ts";
import { differences, versionsIn } from "../../src/commands/open/client-folder.ts";
import { failureTold, readRequest, readTold, written } from "../../src/commands/open/lines.ts";
import { Failure } from "../../src/errors/failure.ts";
import { meantByName } from "../../src/commands/open/known.ts";
import { remember, rememberedNames, rememberEnd } from "../../src/commands/open/remember.ts";
import { clusterNamed } from "../../src/registry/find.ts";
import { writePrivateFile } from "../../src/security/private-files.ts";

const folder = mkdtempSync(join(tmpdir(), "tsdask-open-test-"));
afterAll(() => rmSync(folder, { recursive: true }));
const context = { env: { HOME: folder, PATH: "" }, cwd: folder, stdout: process.stdout, stderr: { write: () => true } };

describe("the lines between laptop and login host", () => {
  const up = {
    event: "up" as const,
    name: "calm-otter",
    address: "tls://10.0.0.1:8786",
    token: "abcdefghijklmnopqrstuvwxyz",
    record: {
      launch: "1",
      host: "n1",
      folder: "/f",
      dashboard: null,
      security: "tls" as const,
      jupyter: { host: "10.0.0.1", port: 8888, path: "/lab" },
    },
  };

  it("are read as they are written, and a profile's own lines are text", () => {
    expect(readTold(written(up).trimEnd())).toEqual(up);
    expect(readRequest(written({ op: "stop", target: { name: "calm-otter" } }).trimEnd())).toEqual({
      op: "stop",
      target: { name: "calm-otter" },
    });
    expect(readTold("Welcome \u001b[2Jto login")).toBe("Welcome \\u001b[2Jto login");
  });

  it.each([
    { ...up, name: "../../x" },
    { ...up, token: "a b" },
    { ...up, address: "tls://a b:1" },
    { ...up, record: { ...up.record, host: "-oProxyCommand=x" } },
    { ...up, record: { ...up.record, jupyter: { host: "h", port: 0 } } },
    { ...up, record: { ...up.record, jupyter: { host: "h;x", port: 1 } } },
    { event: "submitted", name: "n", job: { system: "slurm", id: "1; reboot" } },
    { event: "credentials", packages: {}, key: "\u001b[2J" },
    { event: "nonsense" },
  ])("cannot be believed: %j", (told) => {
    expect(() => readTold(`tsdask-open ${JSON.stringify(told)}`)).toThrow("TSD-177");
  });

  it("carry failures with their code, and nothing that steers a terminal", () => {
    const line = written({
      event: "failure",
      code: "TSD-147",
      facts: { name: "a\u001b[2J\nb", cause: "c", suggestion: "" },
    });
    const told = readTold(line.trimEnd());
    if (typeof told === "string" || told.event !== "failure") throw new Error("not a failure");
    expect(failureTold(told).message).toContain("called a\\u001b[2J\\nb.");
    expect(failureTold({ ...told, code: "TSD-999" }).code).toBe("TSD-177");
  });
});

describe("tsdask-mpi open", () => {
  it.each([
    [["-x"], "TSD-006"],
    [["--", "-oProxyCommand=touch x"], "TSD-006"],
    [["a b"], "TSD-006"],
    [["--time", "soon", "login"], "TSD-003"],
    [["--remote-command", "x; reboot", "login"], "TSD-003"],
    [["--at-end", "never", "login"], "TSD-003"],
    [["--cluster", "calm-otter", "--time", "2h", "login"], "TSD-006"],
    [["--cluster", "calm-otter", "--folder", "x", "login"], "TSD-006"],
    [["--cluster", "calm-otter", "--system", "pbs", "login"], "TSD-006"],
    [["--print", "--port", "9000", "login"], "TSD-006"],
    [["--print", "--client", "login"], "TSD-006"],
  ])("refuses %j", async (argv, code) => {
    await expect(openCommand(argv, context)).rejects.toMatchObject({ code });
  });
});

describe("a name that was opened from here", () => {
  const opened = join(folder, ".local", "state", "tsdask-mpi", "opened");
  const file = join(opened, "calm-otter.session.json");
  const session = { format: 1, name: "calm-otter", login: "login.example.org", program: "tsdask-mpi" };
  const put = (content: object | string): void =>
    writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content), { mode: 0o600 });
  mkdirSync(opened, { recursive: true, mode: 0o700 });
  afterEach(() => rmSync(file, { recursive: true, force: true }));

  const link = (): void => {
    put(session);
    renameSync(file, join(folder, "elsewhere"));
    symlinkSync(join(folder, "elsewhere"), file);
  };
  const shared = (): void => {
    put(session);
    chmodSync(file, 0o660);
  };
  // ssh is not in PATH here: what came so far as to start it would be TSD-173.
  it.each<readonly [string, () => void, string]>([
    ["a link", link, "link"],
    ["a pipe", () => execFileSync("mkfifo", ["-m", "600", file]), "it is not a plain file"],
    ["a folder", () => mkdirSync(file), "it is not a plain file"],
    ["a file that others write", shared, "mode 0660"],
    ["what is no JSON", () => put('{"format":1'), "it is not JSON"],
    ["nothing", () => put(""), "it is empty"],
    ["far too much", () => put(" ".repeat(70_000)), "far too large"],
    ["another one's", () => put({ ...session, name: "other" }), "it is that of other"],
    ["an option of ssh's", () => put({ ...session, login: "-oProxyCommand=touch x" }), "login: not a host"],
    ["a line of shell", () => put({ ...session, program: "x; touch hacked" }), "program: not a program"],
    ["a job that is none", () => put({ ...session, job: { system: "slurm", id: "1; reboot" } }), "job.id: not a job"],
    ["what steers a terminal", () => put({ ...session, ended: { at: 1, why: "\u001b[2J" } }), "control characters"],
  ])("is not believed of %s", async (_, make, problem) => {
    make();
    await expect(openCommand(["calm-otter"], context)).rejects.toMatchObject({
      code: "TSD-187",
      message: expect.stringContaining(problem) as string,
    });
    expect(existsSync(file)).toBe(true);
  });

  it.runIf(process.geteuid?.() === 0)("is not believed of another user", async () => {
    put(session);
    chownSync(file, 65534, 65534);
    await expect(openCommand(["calm-otter"], context)).rejects.toThrow("it belongs to another user (uid 65534)");
  });

  it("is no host once the cluster has ended, and the line that began it is shown", async () => {
    await remember({ ...session, format: 1, again: ["--nodes=2", "--env=A=b c", "ada@login"] }, context.env);
    expect(await rememberedNames(context.env)).toEqual(["calm-otter"]);
    await rememberEnd("calm-otter", "cancelled", context.env);
    expect(await rememberedNames(context.env)).toEqual([]);
    const failure: unknown = await openCommand(["calm-otter"], context).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "TSD-188" });
    expect(String(failure)).toMatch(/has ended at [\d-]{10} [\d:]{5} \([\d.]+ s ago\): cancelled/);
    expect(String(failure)).toContain("`tsdask-mpi open --nodes=2 '--env=A=b c' ada@login`");
  });

  it("is forgotten a week after the end, and not before", async () => {
    const at = Date.now() / 1000;
    await remember({ ...session, format: 1, ended: { at: at - 8 * 86_400, why: "" } }, context.env);
    await remember({ ...session, format: 1, name: "b", ended: { at: at - 6 * 86_400, why: "" } }, context.env);
    await rememberEnd("another", "", context.env);
    expect(readdirSync(opened)).toEqual(["b.session.json"]);
  });

  it("of a cluster of this machine's is told from a host's", async () => {
    const clusters = join(opened, "..", "clusters");
    mkdirSync(clusters, { mode: 0o700 });
    const entry = {
      ...{ format: 1, name: "tame-fox", launch: "1", version: "0", started: 1, pid: 1, startTime: "", host: "h" },
      ...{ machine: "", hosts: ["h"], ranks: 2, workers: 1, cwd: "/work", folder: "/f", security: "tls", grace: 5 },
      job: { system: "local" },
    };
    const listed = async (more: object): Promise<void> =>
      writePrivateFile(join(clusters, "tame-fox~1.json"), JSON.stringify({ ...entry, ...more }));
    await listed({ state: "ended", ended: Date.now() / 1000 - 90, why: "its script ended with 3" });
    await expect(openCommand(["tame-fox"], context)).rejects.toThrow(
      /TSD-188.*\(1 min \d+ s ago\): its script ended with 3/,
    );
    await listed({ state: "running", started: Date.now() / 1000 });
    await expect(openCommand(["tame-fox"], context)).rejects.toMatchObject({ code: "TSD-189" });
    // A name that is no host's, and nearly the cluster's.
    const unknown = new Failure("TSD-173", { login: "tame-fux", problem: "", cause: "", cure: "Try.", unknown: 1 });
    expect(String(await meantByName(unknown, "tame-fux", context.env))).toContain(
      "`tsdask-mpi open tame-fox`. Else try.",
    );
    for (const [other, word] of [
      [unknown, "login.example.org"],
      [new Failure("TSD-173", { ...unknown.facts, unknown: 0 }), "tame-fux"],
    ] as const)
      expect(await meantByName(other, word, context.env)).toBe(other);
    // The login host's side does not believe such a file, and says so.
    symlinkSync(join(clusters, "tame-fox~1.json"), join(clusters, "sly-hare~2.json"));
    await expect(clusterNamed("sly-hare", context.env)).rejects.toThrow(/TSD-147[\s\S]*it is a symbolic link \(/);
  });
});

describe("the versions of both sides", () => {
  it("are found among what a Python writes at its start and end", () => {
    const line = '{"python": "3.12.4.final.0", "dask": "2026.8.0", "lz4": null}';
    expect(versionsIn(`sitecustomize: hello\n{not ours\n${line}\nbye\n`)).toEqual(JSON.parse(line));
    for (const other of ["", "hello\n", '{"python": 3}\n', `${line.slice(0, 20)}\n`])
      expect(versionsIn(other)).toBeUndefined();
  });

  const here = { python: "3.12.4.final.0", dask: "2026.8.0", distributed: "2026.8.0", numpy: "2.0" };

  it("may differ in what does not matter", () => {
    expect(differences(here, { ...here, python: "3.12.1.final.0", numpy: "1.26", lz4: null })).toEqual([]);
  });

  it("are told where they matter", () => {
    expect(differences(here, { ...here, python: "3.11.7.final.0", dask: "2022.12.0" })).toEqual([
      "note: other versions here than on the cluster, which may not understand each other: python 3.12.4 (the cluster: 3.11.7), dask 2026.8.0 (the cluster: 2022.12.0)",
    ]);
  });
});
