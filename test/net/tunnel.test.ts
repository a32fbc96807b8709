import { describe, expect, test } from "vitest";
import { launchPort, loginHost, tunnel, type Service, type TunnelRequest } from "../../src/net/tunnel.ts";

const jupyter: Service = { name: "JupyterLab", node: "h1", host: "10.0.0.1", port: 8888, path: "/lab" };
const dashboard: Service = { name: "dashboard", node: "h1", host: "0.0.0.0", port: 8787, path: "/status" };
const [lab, dash] = [launchPort("3f9c", "JupyterLab"), launchPort("3f9c", "dashboard")];
const request = (changes: Partial<TunnelRequest> = {}): TunnelRequest => ({
  kind: "direct",
  services: [jupyter, dashboard],
  user: "ada",
  login: "login.example.org",
  launch: "3f9c",
  token: "secret",
  ...changes,
});

describe("the line for a laptop", () => {
  test("goes through the login host", () => {
    expect(tunnel(request())).toEqual({
      onNode: [],
      onLaptop: [`ssh -N -L ${lab}:10.0.0.1:8888 -L ${dash}:h1:8787 ada@login.example.org`],
      links: [
        { name: "JupyterLab", url: `http://localhost:${lab}/lab?token=secret` },
        { name: "dashboard", url: `http://localhost:${dash}/status?token=secret` },
      ],
      notes: [],
    });
  });

  test("jumps to each node, where the pages listen on loopback", () => {
    const services = [{ ...jupyter, host: "127.0.0.1" }, { ...dashboard, node: "h2", host: "127.0.0.1" }];
    const expected = [
      `ssh -N -L ${lab}:localhost:8888 -J ada@login.example.org ada@h1`,
      `ssh -N -L ${dash}:localhost:8787 -J ada@login.example.org ada@h2`,
    ];
    expect(tunnel(request({ kind: "jump", services })).onLaptop).toEqual(expected);
    expect(tunnel(request({ kind: "direct", services })).onLaptop).toEqual(expected);
  });

  test("meets a line from the node at the login host, for clusters without ssh to their nodes", () => {
    const made = tunnel(request({ kind: "reverse" }));
    const [meet, meet2] = [launchPort("3f9c reverse", "JupyterLab"), launchPort("3f9c reverse", "dashboard")];
    expect(made.onNode).toEqual([{ node: "h1", line: `ssh -N -R ${meet}:10.0.0.1:8888 -R ${meet2}:localhost:8787 ada@login.example.org` }]);
    expect(made.onLaptop).toEqual([`ssh -N -L ${lab}:localhost:${meet} -L ${dash}:localhost:${meet2} ada@login.example.org`]);
  });

  test("goes to the node itself when nobody knows a login host, and says so", () => {
    const made = tunnel(request({ login: undefined, services: [{ ...jupyter, host: "127.0.0.1" }] }));
    expect(made.onLaptop).toEqual([`ssh -N -L ${lab}:localhost:8888 ada@h1`]);
    expect(tunnel(request({ login: undefined })).notes).toEqual([expect.stringContaining("--login-host")]);
  });

  test("keeps a user that the login host is given with, and jumps over no host twice", () => {
    expect(tunnel(request({ login: "eve@l.org" })).onLaptop[0]).toMatch(/ eve@l\.org$/);
    expect(tunnel(request({ kind: "jump", login: "h1" })).onLaptop[0]).not.toContain("-J");
  });

  test("warns when the login host is a short name, which laptops often do not know", () => {
    expect(tunnel(request({ login: "login1" })).notes[0]).toContain("login1");
  });

  test("puts brackets around IPv6", () => {
    expect(tunnel(request({ services: [{ ...jupyter, host: "fd00::7" }] })).onLaptop[0]).toContain(`-L ${lab}:[fd00::7]:8888`);
  });

  test("has links without the token where it must not be shown", () => {
    expect(tunnel(request({ token: undefined })).links[0]?.url).toBe(`http://localhost:${lab}/lab`);
  });
});

describe("ports on the laptop", () => {
  test("are the launch's own, the same each time, and others for another launch", () => {
    const ports = (launch: string): string => tunnel(request({ launch })).onLaptop[0] ?? "";
    expect(ports("a")).toBe(ports("a"));
    expect(ports("a")).not.toBe(ports("b"));
  });

  test("lie below the system's range for outgoing connections and seldom meet", () => {
    const ports = Array.from({ length: 200 }, (_, index) => launchPort(`launch ${index}`, "JupyterLab"));
    for (const port of ports) expect(port >= 10_000 && port < 30_000 && port % 2 === 0).toBe(true);
    expect(new Set(ports).size).toBeGreaterThan(190);
  });
});

describe("the login host", () => {
  test.each([
    [{ PBS_O_HOST: "pbs-login" }, "pbs-login"],
    [{ SLURM_SUBMIT_HOST: "login2" }, "login2"],
    [{ LSB_SUB_HOST: "lsf1" }, "lsf1"],
    [{}, undefined],
    [{ PBS_O_HOST: "$(reboot)" }, undefined],
    [{ PBS_O_HOST: "-oProxyCommand=x" }, undefined],
  ])("is told by the batch system: %o", (env, expected) => {
    expect(loginHost({ env })).toBe(expected);
  });

  test("is what the user or the site says before that", () => {
    expect(loginHost({ option: "me@l.org", env: { PBS_O_HOST: "x" } })).toBe("me@l.org");
  });
});
