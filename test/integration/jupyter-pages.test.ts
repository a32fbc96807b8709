import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { nothingLeft } from "./bed/left.ts";
import { hasJupyter, portsOf, startCluster } from "./security/cluster.ts";

/** What a WebSocket comes to: its first message, or the status that it was refused with. */
function firstWord(url: string, headers: Record<string, string>): Promise<string | number> {
  const socket = new WebSocket(url, { headers });
  return new Promise((resolve) => {
    socket.once("message", (data: Buffer) => resolve(data.toString("utf8")));
    socket.once("unexpected-response", (_, { statusCode }) => resolve(statusCode ?? 0));
    socket.once("error", (error) => resolve(String(error)));
  }).finally(() => socket.terminate()) as Promise<string | number>;
}

if (await hasJupyter())
  test("Jupyter shows the pages of scheduler and workers behind its own login, and gives the token to nobody else", async () => {
    await using clean = nothingLeft();
    clean.allow(/^node-compile-cache|^home|^\.ipynb_checkpoints|^\.virtual_documents/);
    mkdirSync(join(clean.tmp, "home"));
    await using cluster = await startCluster(clean, {
      jupyter: true,
      words: ["--worker-dashboard-address", ":0", "--scheduler-options", '{"http_prefix": "/pre"}'],
      env: { HOME: join(clean.tmp, "home") },
    });
    const place = cluster.file.tsdask?.jupyter;
    expect(place).toMatchObject({ path: "/lab", dashboard: "/tsdask/status" });
    const page = `http://${place?.host}:${place?.port}/tsdask`;
    const asOwner = { headers: { Authorization: `token ${cluster.token}` }, redirect: "manual" } as const;

    const status = await fetch(`${page}/status`, asOwner);
    expect([status.status, await status.text()]).toEqual([200, expect.stringContaining("Dask")]);
    expect(status.headers.get("content-security-policy")).toContain("frame-ancestors 'self'");
    expect((await fetch(`${page}/`, asOwner)).headers.get("location")).toBe("/tsdask/status");
    const workers = await (await fetch(`${page}/info/main/workers.html`, asOwner)).text();
    const links = [...new Set(workers.match(/proxy\/\d+\/[^"]*/g))];
    expect(links).toHaveLength(2);
    for (const link of links) expect((await fetch(`${page}/${link}`, asOwner)).status).toBe(200);
    const [info = ""] = workers.match(/(?<=\.\.\/)worker\/[^"]*/) ?? [];
    expect(info).toContain("%3A");
    expect((await fetch(`${page}/info/${info}`, asOwner)).status).toBe(200);

    // A link may name any host, but the token goes to this cluster's workers alone.
    const port = (await portsOf(clean)).find((one) => one.port !== place?.port)?.port;
    for (const other of ["proxy/1/evil.example.org/x", `proxy/${port}/localhost/status`])
      expect((await fetch(`${page}/${other}`, asOwner)).status).toBe(404);

    for (const path of ["status", "json/counts.json", links[0]])
      expect((await fetch(`${page}/${path}`)).url).toContain("/login");
    const events = `${page.replace("http", "ws")}/eventstream`;
    expect(await firstWord(events, {})).toBe(403);
    const login = await fetch(`${page}/status?token=${cluster.token}`, { redirect: "manual" });
    const cookie = login.headers
      .getSetCookie()
      .map((one) => one.split(";")[0])
      .join("; ");
    expect(await firstWord(events, { Cookie: cookie })).toContain("add_worker");
    expect(await firstWord(events, { Cookie: cookie, Origin: "http://evil.example.org" })).toBe(403);
    expect(cluster.running.stderr()).not.toContain(cluster.token);
    await cluster.stop();
  });
