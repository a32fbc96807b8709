import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import WebSocket from "ws";
import { PROGRAMS, pythons, readyHost, until, type Host, type Rank } from "./host.ts";

const PATHS = [
  "/",
  "/status",
  "/health",
  "/metrics",
  "/json/counts.json",
  "/info/main/workers.html",
  "/sitemap.json",
  "/statics/css/base.css",
  "/no-such-page",
];

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly cookies: readonly string[];
  readonly headers: IncomingMessage["headers"];
}

async function get(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  method = "GET",
  body = "",
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path, headers, method, agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (data: string) => (text += data));
      answer.on("end", () =>
        resolve({
          status: answer.statusCode ?? 0,
          body: text,
          cookies: answer.headers["set-cookie"] ?? [],
          headers: answer.headers,
        }),
      );
    });
    sent.on("error", reject).end(body);
  });
}

async function webSocket(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  protocols: readonly string[] = [],
): Promise<{ readonly status: number; readonly first?: string }> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, [...protocols], { headers });
    const fail = setTimeout(() => reject(new Error(`no answer from ${path}`)), 30_000);
    const done = (answer: { readonly status: number; readonly first?: string }): void => {
      clearTimeout(fail);
      resolve(answer);
      socket.on("error", () => undefined).terminate();
    };
    socket.on("unexpected-response", (_, answer) => done({ status: answer.statusCode ?? 0 }));
    socket.on("message", (data: Buffer) => done({ status: 101, first: data.toString("utf8") }));
    socket.on("error", reject);
  });
}

async function gated(python: string): Promise<
  Host & {
    readonly token: string;
    readonly tokenFile: string;
    readonly main: Rank & { readonly address: string };
    readonly ports: Readonly<Record<"scheduler" | "worker", number>>;
  }
> {
  const host = await readyHost(python);
  const token = randomBytes(24).toString("base64url");
  const tokenFile = join(host.folder, "token");
  writeFileSync(tokenFile, `${token}\n`, { mode: 0o600 });
  const main = await host.scheduler({ params: { token_file: tokenFile, dashboard: true } });
  const worker = host.worker(main.address, { params: { token_file: tokenFile } });
  const port = async (rank: Rank): Promise<number> => Number((await rank.next("ready"))["dashboard"]);
  return { ...host, token, tokenFile, main, ports: { scheduler: await port(main), worker: await port(worker) } };
}

describe.each(pythons())("the token gate before %s", (python) => {
  test("answers nobody without the token, on any path of the scheduler and of a worker", async () => {
    await using host = await gated(python);
    const wrong: readonly Readonly<Record<string, string>>[] = [
      {},
      { authorization: "Bearer wrong" },
      { authorization: `Basic ${host.token}` },
      { cookie: `token=${host.token}; tsdask=${host.token}` },
    ];
    for (const port of Object.values(host.ports)) {
      for (const path of PATHS) {
        for (const headers of wrong) {
          const { status, body, cookies } = await get(port, path, headers);
          expect([path, status, cookies]).toEqual([path, 403, []]);
          expect(body).toContain("tsdask-mpi connect");
          expect(body).not.toContain(host.token);
        }
        expect((await get(port, `${path}?token=wrong`)).status).toBe(403);
        expect((await get(port, `${path}?token=`)).status).toBe(403);
        expect((await get(port, path, {}, "POST", "x".repeat(100_000))).status).toBe(403);
        expect((await get(port, path, {}, "OPTIONS")).status).toBe(403);
      }
      expect((await get(port, "/health", {}, "HEAD")).status).toBe(403);
    }
  });

  test("lets the token in as an argument, as a header, and by the cookie that it sets", async () => {
    await using host = await gated(python);
    for (const port of Object.values(host.ports)) {
      const first = await get(port, `/health?token=${host.token}`);
      expect([first.status, first.body]).toEqual([200, "ok"]);
      const [cookie = ""] = first.cookies;
      expect(cookie).toMatch(/^tsdask-[0-9a-f]{12}=[0-9a-f]{64}; Path=\/; HttpOnly; SameSite=Strict$/);
      expect(cookie).not.toContain(host.token);
      const held = cookie.split(";")[0] ?? "";
      expect((await get(port, "/health", { cookie: `other=1; ${held}` })).body).toBe("ok");
      expect((await get(port, "/health", { cookie: `${held.slice(0, -1)}x` })).status).toBe(403);
      for (const scheme of ["Bearer", "bearer", "token"])
        expect((await get(port, "/metrics", { authorization: `${scheme} ${host.token}` })).status).toBe(200);
    }
    const counts = await get(host.ports.scheduler, `/json/counts.json?token=${host.token}&x=1`);
    expect(JSON.parse(counts.body)).toMatchObject({ workers: 1 });
    expect((await get(host.ports.scheduler, `/info/main/workers.html?token=${host.token}`)).body).not.toContain(
      host.token,
    );
  });

  test("gates WebSockets as pages", async () => {
    await using host = await gated(python);
    const port = host.ports.scheduler;
    expect(await webSocket(port, "/eventstream")).toEqual({ status: 403 });
    expect(await webSocket(port, "/eventstream?token=wrong")).toEqual({ status: 403 });
    const first = await webSocket(port, `/eventstream?token=${host.token}`);
    expect(JSON.parse(first.first ?? "")).toMatchObject({ name: "add_worker" });
    const [cookie = ""] = (await get(port, `/health?token=${host.token}`)).cookies;
    expect((await webSocket(port, "/eventstream", { cookie: cookie.split(";")[0] ?? "" })).status).toBe(101);
  });

  test("takes the cookie, which browsers send to all ports of a host, from pages of its own origin alone", async () => {
    await using host = await gated(python);
    const port = host.ports.scheduler;
    const [set = ""] = (await get(port, `/health?token=${host.token}`)).cookies;
    const cookie = set.split(";")[0] ?? "";
    const own = `127.0.0.1:${port}`;
    for (const origin of [
      `http://127.0.0.1:${port + 1}`,
      "http://evil.example.org",
      "null",
      "x",
      `http://${own}.evil.example.org`,
      "http://[",
    ]) {
      expect([origin, await webSocket(port, "/eventstream", { cookie, origin })]).toEqual([origin, { status: 403 }]);
      expect((await get(port, "/health", { cookie, origin }, "POST")).status).toBe(403);
      expect((await get(port, `/health?token=${host.token}`, { origin })).status).toBe(200);
    }
    expect((await webSocket(port, "/eventstream", { cookie, origin: `http://${own}` })).status).toBe(101);
    expect(
      (await get(port, "/health", { cookie, origin: "https://hub.example.org", "x-forwarded-host": "hub.example.org" }))
        .status,
    ).toBe(200);
  });

  test("tells browsers to load nothing from elsewhere", async () => {
    await using host = await gated(python);
    const { headers, body } = await get(host.ports.scheduler, "/info/main/workers.html", {
      authorization: `Bearer ${host.token}`,
    });
    const policy = String(headers["content-security-policy"]);
    expect(policy).toMatch(/^default-src 'self'/);
    expect(policy).toContain("style-src 'self' 'unsafe-inline';");
    for (const [, outside = ""] of body.matchAll(/(?:href|src)="(https?:\/\/[^"/]+)/g))
      expect(policy).not.toContain(outside);
  });

  test("loads the dashboard at the first visit or when told, and gates its pages and WebSockets", async () => {
    await using host = await gated(python);
    const port = host.ports.scheduler;
    const authorization = `Bearer ${host.token}`;
    expect((await get(port, "/status")).status).toBe(403);
    const waiting = await get(port, "/status", { authorization });
    expect([waiting.status, waiting.headers["refresh"]]).toEqual([200, "1"]);
    const { problem } = await host.main.next("dashboard");
    if (problem !== null) {
      expect((await get(port, "/status", { authorization })).body).toContain("bokeh");
      return;
    }
    const page = await get(port, "/status", { authorization });
    expect([page.status, page.headers["refresh"]]).toEqual([200, undefined]);
    expect(page.body).toContain("Bokeh");
    const session = /"token":"([^"]+)"/.exec(page.body)?.[1] ?? "";
    expect(await webSocket(port, "/status/ws", {}, ["bokeh", session])).toEqual({ status: 403 });
    const [set = ""] = (await get(port, `/health?token=${host.token}`)).cookies;
    const cookie = set.split(";")[0] ?? "";
    expect(
      await webSocket(port, "/status/ws", { cookie, origin: `http://127.0.0.1:${port + 1}` }, ["bokeh", session]),
    ).toEqual({ status: 403 });
    const open = await webSocket(port, "/status/ws", { cookie, origin: `http://127.0.0.1:${port}` }, [
      "bokeh",
      session,
    ]);
    expect(JSON.parse(open.first ?? "")).toMatchObject({ msgtype: "ACK" });
    expect((await get(port, "/", { authorization })).status).toBe(301);
    expect(host.main.output()).toBe("");
  });

  test("writes no token into a log", async () => {
    await using host = await gated(python);
    for (const port of Object.values(host.ports)) await get(port, `/no-such-page?token=${host.token}&a=b`);
    host.main.say({ op: "stop" });
    await host.main.next("exit");
    expect(host.main.output()).not.toContain(host.token);
  });

  test("gates the worker of Dask's own Nanny, which lives in another process", async () => {
    await using host = await gated(python);
    const nanny = host.worker(host.main.address, {
      kwargs: { name: "n" },
      params: { worker_class: "distributed.Nanny", token_file: host.tokenFile },
    });
    await nanny.next("ready");
    const found = await get(host.ports.scheduler, "/json/identity.json", { authorization: `Bearer ${host.token}` });
    const { workers } = JSON.parse(found.body) as {
      workers: Record<string, { name: unknown; services: Record<string, number> }>;
    };
    const port = Object.values(workers).find(({ name }) => name === "n")?.services["dashboard"] ?? 0;
    expect((await get(port, "/health")).status).toBe(403);
    expect((await get(port, "/health", { authorization: `Bearer ${host.token}` })).body).toBe("ok");
  });

  test("has room and time for as many workers as are expected at once", () => {
    const look = (config: object): number[] =>
      JSON.parse(
        execFileSync(
          python,
          [
            "-c",
            `import json, resource, sys
import dask
dask.config.set(json.loads(sys.argv[1]))
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
from tsdask_mpi.listeners import dask_gate
print(json.dumps([dask_gate.most, min(3000, hard // 4), dask_gate.patience]))`,
            JSON.stringify(config),
          ],
          { encoding: "utf8", env: { ...process.env, PYTHONPATH: dirname(PROGRAMS) } },
        ),
      ) as number[];
    const [most, possible = 0, patience] = look({});
    expect([most, patience]).toEqual([Math.min(1024, possible), 30]);
    const many = { "distributed.comm.socket-backlog": 3000, "distributed.comm.timeouts.connect": "320s" };
    expect(look(many)).toEqual([possible, possible, 320]);
  });

  test("outlasts what is no HTTP, and requests that never end", async () => {
    await using host = await gated(python);
    const port = host.ports.scheduler;
    const send = (text: string | Buffer) => {
      const socket = connect(port, "127.0.0.1", () => socket.write(text)).on("error", () => socket.destroy());
      return socket;
    };
    const sockets = [
      ...Array.from({ length: 50 }, () => send("GET /health HTTP/1.1\r\nHost: x\r\n")),
      ...Array.from({ length: 20 }, () => send(randomBytes(1000))),
      send(`GET /${"a".repeat(200_000)} HTTP/1.1\r\n\r\n`),
      send(`GET /health?${"token=x&".repeat(3000)} HTTP/1.1\r\nHost: x\r\n\r\n`),
      send(`GET /health HTTP/1.1\r\nHost: x\r\nCookie: ${"a=b;".repeat(10_000)}\r\n\r\n`),
      send("POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"),
      send("GET /health?token=%ff%00 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\r\n\r\n"),
    ];
    await until(
      async () => (await get(port, "/health", { authorization: `Bearer ${host.token}` })).status === 200,
      "an answer",
      // Before the gate hangs up by itself (UNPROVED_SECONDS).
      20_000,
    );
    for (const socket of sockets) socket.destroy();
    expect((await get(port, "/health")).status).toBe(403);
  });
});
