import { X509Certificate } from "node:crypto";
import { describe, expect, test } from "vitest";
import { launchPort, loginHost, tunnel, type Service, type TunnelRequest } from "../../src/net/tunnel.ts";
import { createAuthority } from "../../src/security/certificates.ts";

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
      onLaptop: [
        `ssh -N -o ExitOnForwardFailure=yes -L 127.0.0.1:${lab}:10.0.0.1:8888 -L 127.0.0.1:${dash}:h1:8787 ada@login.example.org`,
      ],
      links: [
        { name: "JupyterLab", url: `http://127.0.0.1:${lab}/lab?token=secret` },
        { name: "dashboard", url: `http://127.0.0.1:${dash}/status?token=secret` },
      ],
      notes: [],
    });
  });

  test("has one port where Jupyter shows the dashboard as well", () => {
    const made = tunnel(request({ services: [{ ...jupyter, dashboard: "/user/ada/tsdask/status" }] }));
    expect(made.onLaptop).toEqual([
      `ssh -N -o ExitOnForwardFailure=yes -L 127.0.0.1:${lab}:10.0.0.1:8888 ada@login.example.org`,
    ]);
    expect(made.links.map(({ url }) => url)).toEqual([
      `http://127.0.0.1:${lab}/lab?token=secret`,
      `http://127.0.0.1:${lab}/user/ada/tsdask/status?token=secret`,
    ]);
  });

  test("leads to pages over TLS where they are, and says what the browser will ask", async () => {
    const { cert } = await (await createAuthority({ launch: "3f9c" })).issue({ name: "dask", server: true });
    const over = tunnel(
      request({ services: [{ ...jupyter, https: true }, dashboard], certificate: cert, folder: "/w/.tsdask-1" }),
    );
    expect(over.links.map(({ url }) => url.replace(/\?.*/, ""))).toEqual([
      `https://127.0.0.1:${lab}/lab`,
      `http://127.0.0.1:${dash}/status`,
    ]);
    expect(over.notes).toEqual([
      `browsers ask about the launch's own certificate (SHA-256 ${new X509Certificate(cert).fingerprint256}); its authority is /w/.tsdask-1/ca.pem`,
    ]);
    const unknown = tunnel(request({ services: [{ ...jupyter, https: true }], certificate: "no certificate" }));
    expect(unknown.notes).toEqual(["browsers ask about the launch's own certificate; its authority is ca.pem"]);
  });

  test("jumps to each node, where the pages listen on loopback", () => {
    const services = [
      { ...jupyter, host: "127.0.0.1" },
      { ...dashboard, node: "h2", host: "127.0.0.1" },
    ];
    const expected = [
      `ssh -N -o ExitOnForwardFailure=yes -L 127.0.0.1:${lab}:127.0.0.1:8888 -J ada@login.example.org ada@h1`,
      `ssh -N -o ExitOnForwardFailure=yes -L 127.0.0.1:${dash}:127.0.0.1:8787 -J ada@login.example.org ada@h2`,
    ];
    expect(tunnel(request({ kind: "jump", services })).onLaptop).toEqual(expected);
    expect(tunnel(request({ kind: "direct", services })).onLaptop).toEqual(expected);
  });

  test("meets a line from the node in the cluster folder, where nobody else can listen", () => {
    const made = tunnel(request({ kind: "reverse", folder: "/home/ada/run/.tsdask-3f9c" }));
    const [meet, meet2] = ["/home/ada/run/.tsdask-3f9c/jupyter.sock", "/home/ada/run/.tsdask-3f9c/dashboard.sock"];
    const line = `rm -f ${meet} ${meet2}; ssh -N -o ExitOnForwardFailure=yes -R ${meet}:10.0.0.1:8888 -R ${meet2}:127.0.0.1:8787 ada@login.example.org`;
    expect(made.onNode).toEqual([{ node: "h1", line }]);
    expect(made.onLaptop).toEqual([
      `ssh -N -o ExitOnForwardFailure=yes -L 127.0.0.1:${lab}:${meet} -L 127.0.0.1:${dash}:${meet2} ada@login.example.org`,
    ]);
    expect(made.notes).toEqual([]);
  });

  test.each([
    ["is not known", undefined],
    ["is the node's own", "/tmp/tsdask-1000/x"],
    ["is too long for a socket", `/home/${"x".repeat(100)}`],
    ["would be another word to a shell", "/home/ada/$(reboot)"],
    ["has a colon, which ssh takes for the end", "/home/ada/a:b"],
  ])("meets it on a port of the login host's loopback when the folder %s, and says what that means", (_, folder) => {
    const made = tunnel(request({ kind: "reverse", folder }));
    const [meet, meet2] = [launchPort("3f9c reverse", "JupyterLab"), launchPort("3f9c reverse", "dashboard")];
    const line = `ssh -N -o ExitOnForwardFailure=yes -R 127.0.0.1:${meet}:10.0.0.1:8888 -R 127.0.0.1:${meet2}:127.0.0.1:8787 ada@login.example.org`;
    expect(made.onNode).toEqual([{ node: "h1", line }]);
    expect(made.onLaptop[0]).toContain(
      `-L 127.0.0.1:${lab}:127.0.0.1:${meet} -L 127.0.0.1:${dash}:127.0.0.1:${meet2} `,
    );
    expect(made.notes).toEqual([expect.stringContaining("login.example.org")]);
  });

  test("goes to the node itself when nobody knows a login host, and says so", () => {
    const made = tunnel(request({ login: undefined, services: [{ ...jupyter, host: "127.0.0.1" }] }));
    expect(made.onLaptop).toEqual([`ssh -N -o ExitOnForwardFailure=yes -L 127.0.0.1:${lab}:127.0.0.1:8888 ada@h1`]);
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
    expect(tunnel(request({ services: [{ ...jupyter, host: "fd00::7" }] })).onLaptop[0]).toContain(
      `-L 127.0.0.1:${lab}:[fd00::7]:8888`,
    );
  });

  test("has links without the token where it must not be shown", () => {
    expect(tunnel(request({ token: undefined })).links[0]?.url).toBe(`http://127.0.0.1:${lab}/lab`);
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
