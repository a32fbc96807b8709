import os from "node:os";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { reachText } from "../../src/cluster/connection-info.ts";
import { atHost } from "../../src/net/tunnel.ts";
import { isOwnGroup } from "../../src/security/groups.ts";
import { homeFolder, systemUserName, userName } from "../../src/security/user.ts";

/** As Node does where getpwuid(3) finds nothing. */
const unknown = (): never => {
  throw Object.assign(new Error("A system error occurred: uv_os_get_passwd returned ENOENT"), { code: "ENOENT" });
};
afterEach(() => vi.restoreAllMocks());

test("the system's name comes before what the environment says", () => {
  expect(systemUserName()).toBe(os.userInfo().username);
  expect(userName({ USER: "somebody-else" })).toBe(os.userInfo().username);
});

describe("a user that the system has no name for", () => {
  beforeEach(() => {
    vi.spyOn(os, "userInfo").mockImplementation(unknown);
    vi.spyOn(os, "homedir").mockImplementation(unknown);
  });

  test("is called what the environment calls him, if that may stand in a line for ssh", () => {
    expect(userName({ USER: "ada", LOGNAME: "eve" })).toBe("ada");
    expect(userName({ USER: "", LOGNAME: "eve" })).toBe("eve");
    expect(userName({ USER: "$(reboot)", LOGNAME: "-oProxyCommand=x" })).toBe("");
    expect(systemUserName()).toBeUndefined();
  });

  test("has no group of his own, whatever the environment calls him", () => {
    expect(isOwnGroup(0)).toBe(false);
  });

  test("is told how to reach the pages, with a host that ssh finds the user for", () => {
    const text = reachText({
      record: {
        version: "0",
        launch: "1",
        pid: 1,
        host: "n1",
        hub: { addresses: [], fingerprint: "" },
        folder: "/f",
        dashboard: { host: "10.0.0.1", port: 8787, node: "n1" },
        jupyter: null,
        hosts: ["n1"],
        started: 1,
        security: "tls",
        tunnel: { kind: "direct", login: "login.example.org" },
      },
      token: null,
      ownerReads: false,
      schedulerFile: "/f/scheduler.json",
      env: {},
    });
    expect(text).toMatch(/ login\.example\.org$/m);
    expect([atHost("", "n1"), atHost("ada", "n1"), atHost("ada", "eve@n1")]).toEqual(["n1", "ada@n1", "eve@n1"]);
  });

  test("is at home where HOME says, else in the root", () => {
    expect([homeFolder({ HOME: "/home/ada" }), homeFolder({})]).toEqual(["/home/ada", "/"]);
  });
});
