import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openCommand } from "../../src/commands/open.ts";
import { differences } from "../../src/commands/open/client-folder.ts";
import { failureTold, readRequest, readTold, written } from "../../src/commands/open/lines.ts";

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
  ])("refuses %j", async (argv, code) => {
    await expect(openCommand(argv, context)).rejects.toMatchObject({ code });
  });
});

describe("the versions of both sides", () => {
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
