import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer as createHttpServer, type Server } from "node:http";
import { createServer, type AddressInfo } from "node:net";
import { homedir, networkInterfaces, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { tunnel, type TunnelRequest } from "../../src/net/tunnel.ts";
import { headers, inKernel } from "./bed/kernel.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { run, start, type Running } from "./bed/run.ts";
import { sshdAvailable, startSshd, type Sshd } from "./bed/sshd.ts";
import { asStranger, strangerAvailable } from "./bed/user.ts";
import { hasJupyter, rankZero, startCluster, type SecureCluster } from "./security/cluster.ts";

/** Modules of the standard library and of Jupyter's own that its start imports, and what a stranger's copy does. */
const PLANTED = [
  "types",
  "runpy",
  "ipykernel_launcher",
  "ipykernel",
  "jupyterlab",
  "jupyter_server",
  "tornado",
  "requests",
  "logging",
  "sitecustomize",
] as const;

/**
 * A place for a cluster in a folder where everybody may write, with a stranger's files in it: each tells of itself in
 * `ran`.
 */
function plant(clean: Clean): string {
  const ran = join(clean.tmp, "ran");
  mkdirSync(ran);
  clean.allow(/^ran/, /\.py$/, /^node_modules/, /^\.yarnrc\.yml$/);
  chmodSync(clean.folder, 0o1777);
  const tell = (name: string): string => `open(${JSON.stringify(join(ran, name))}, "w").close()\n`;
  for (const name of PLANTED) clean.write(`${name}.py`, tell(`${name}.py`));
  for (const name of ["jupyter_config", "jupyter_server_config", "jupyter_lab_config"])
    clean.write(`${name}.py`, tell(name));
  clean.write(".yarnrc.yml", "yarnPath: ./evil.cjs\n");
  return ran;
}

/** Waits for what `look` finds. */
async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (const end = performance.now() + 60_000; performance.now() < end; await sleep(100)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error(`There was no ${what}`);
}

function pageOf({ file }: SecureCluster): string {
  const { host = "", port = 0 } = file.tsdask?.jupyter ?? {};
  return `http://${host}:${port}`;
}

/** A page of ours at 127.0.0.1 on a free port. */
async function ownPage(): Promise<Server> {
  const server = createHttpServer((_, answer) => answer.end("ours")).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/**
 * A stranger at the same port of `[::1]`, which is `localhost` as well, who keeps what he hears in memory and says so
 * on stdout.
 */
function strangerAt(port: number): Running {
  const source = `
import socket, sys
door = socket.socket(socket.AF_INET6)
door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
door.bind(("::1", ${port}))
door.listen()
print("listens", flush=True)
while True:
    caller, _ = door.accept()
    print("heard", caller.recv(1000), flush=True)
    caller.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 8\\r\\nConnection: close\\r\\n\\r\\nstranger")
    caller.close()
`;
  return start(asStranger({ file: "/usr/bin/python3", args: ["-c", source], env: {} }), { deadline: 60 });
}

/** Whether this machine has `::1`. */
const hasIpv6 = (): boolean => (networkInterfaces()["lo"] ?? []).some(({ family }) => family === "IPv6");

const get = (link: string): Promise<string | undefined> =>
  fetch(link).then(
    (answer) => answer.text(),
    () => undefined,
  );

if (sshdAvailable() === true && strangerAvailable() === true) {
  describe("the ssh lines, as they are printed", () => {
    const request = (port: number, changes: Partial<TunnelRequest>): TunnelRequest => ({
      kind: "jump",
      services: [{ name: "JupyterLab", node: "login.example.org", host: "127.0.0.1", port, path: "/lab" }],
      user: userInfo().username,
      login: "login.example.org",
      launch: `test ${process.pid}`,
      token: "secret",
      ...changes,
    });
    const ssh = (line: string, { path }: Sshd): Running =>
      start(
        {
          file: "sh",
          args: ["-c", line.replace(/(^|; )ssh /, "$1exec ssh ")],
          env: { PATH: `${path}:${process.env["PATH"] ?? ""}` },
        },
        { deadline: 60 },
      );

    test.runIf(hasIpv6())("lead to our page, not to a stranger who listens at the same port of [::1]", async () => {
      await using sshd = await startSshd({ hosts: "::1 localhost\n127.0.0.1 localhost\n" });
      const page = await ownPage();
      const { port } = page.address() as AddressInfo;
      await using stranger = strangerAt(port);
      await stranger.says(/listens/);
      const { onLaptop, links } = tunnel(request(port, {}));
      await using line = ssh(onLaptop[0] ?? "", sshd);
      expect(await until("answer", () => get(links[0]?.url ?? ""))).toBe("ours");
      expect(stranger.stdout()).not.toContain("heard");
      expect(line.stderr()).toBe("");
      page.close();
    });

    test("of reverse meet on a socket that a stranger cannot open, twice in a row", async () => {
      await using sshd = await startSshd();
      const page = await ownPage();
      const folder = mkdtempSync(join(homedir(), ".tsdask-test-"));
      try {
        const { onNode, onLaptop, links } = tunnel(
          request((page.address() as AddressInfo).port, { kind: "reverse", folder }),
        );
        for (const _ of [1, 2]) {
          await using node = ssh(onNode[0]?.line ?? "", sshd);
          await until("socket", () => Promise.resolve(existsSync(join(folder, "jupyter.sock")) || undefined));
          await using _laptop = ssh(onLaptop[0] ?? "", sshd);
          expect(await until("answer", () => get(links[0]?.url ?? ""))).toBe("ours");
          expect(node.stderr()).toBe("");
          const intrude = asStranger({
            file: "/usr/bin/python3",
            args: [
              "-c",
              "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])",
              join(folder, "jupyter.sock"),
            ],
            env: {},
          });
          expect((await run(intrude, { deadline: 20 })).stderr).toContain("PermissionError");
        }
      } finally {
        rmSync(folder, { recursive: true });
        page.close();
      }
    });

    test("end at once when somebody else has one of their ports", async () => {
      await using sshd = await startSshd();
      const { onLaptop, links } = tunnel(request(9, {}));
      const taken = createServer().listen(Number(new URL(links[0]?.url ?? "").port), "127.0.0.1");
      await once(taken, "listening");
      await using line = ssh(onLaptop[0] ?? "", sshd);
      expect((await line.finished).code).toBe(255);
      taken.close();
    });
  });
}

if (await hasJupyter()) {
  describe("JupyterLab", () => {
    test("runs nothing that others have put into the folder, tells nobody its token, and leaves no page with it", async () => {
      await using clean = nothingLeft();
      clean.allow(/^node-compile-cache|^home|^\.ipynb_checkpoints|^\.virtual_documents/);
      const ran = plant(clean);
      mkdirSync(join(clean.tmp, "home"));
      const elsewhere = join(clean.tmp, "elsewhere");
      mkdirSync(elsewhere, { mode: 0o755 });
      clean.allow(/^elsewhere/);
      const env = { HOME: join(clean.tmp, "home"), JUPYTER_RUNTIME_DIR: elsewhere, PYTHONPATH: `:${elsewhere}` };
      await using cluster = await startCluster(clean, { jupyter: true, env });
      const page = pageOf(cluster);
      const shown = (await (await fetch(`${page}/api/contents`, { headers: headers(cluster.token) })).json()) as {
        content: readonly { name: string }[];
      };
      expect(shown.content.map(({ name }) => name)).toContain("types.py");
      await fetch(`${page}/lab/api/build`, { headers: headers(cluster.token) });
      expect(
        await inKernel(page, cluster.token, "import os; print(os.getcwd(), os.environ.get('JUPYTER_TOKEN'))"),
      ).toBe(`${clean.folder} None`);
      expect(readdirSync(ran)).toEqual([]);

      expect((await fetch(`${page}/api/kernels/none?token=${cluster.token}`)).status).toBe(404);
      expect((await fetch(`${page}/api/no/such?token=${cluster.token}`)).status).toBe(404);
      await until("line about the kernel that is not there", async () =>
        /404 GET \/api\/no/.test(cluster.running.stderr()) ? true : undefined,
      );
      expect(cluster.running.stderr() + cluster.running.stdout()).not.toContain(cluster.token);
      expect(cluster.running.stderr()).toMatch(/PYTHONPATH.*empty/);

      expect(readdirSync(elsewhere)).toEqual([]);
      // A link leads the ranks that are shells to the same folder.
      const all = readdirSync(clean.tmp, { recursive: true, encoding: "utf8" });
      const folders = all.filter((path) => !path.includes("/post-"));
      expect(folders.filter((path) => path.endsWith("-open.html"))).toEqual([]);
      const written = folders.filter((path) => /jpserver-\d+\.json$/.test(path));
      expect(written).toHaveLength(1);
      expect(statSync(join(clean.tmp, written[0] ?? "", "..")).mode & 0o777).toBe(0o700);
      await cluster.stop();
    });

    test.each([
      ["none", 'c.IdentityProvider.token = ""\nc.ServerApp.token = ""\n'],
      ["another", 'c.IdentityProvider.token = "their-own"\n'],
    ])("opens to the launch's token alone where the user's configuration has %s", async (_, config) => {
      await using clean = nothingLeft();
      clean.allow(/^node-compile-cache|^home|^\.ipynb_checkpoints|^\.virtual_documents/);
      const home = join(clean.tmp, "home");
      mkdirSync(join(home, ".jupyter"), { recursive: true });
      writeFileSync(join(home, ".jupyter", "jupyter_server_config.py"), config);
      await using cluster = await startCluster(clean, { jupyter: true, env: { HOME: home } });
      const asked = async (token: string | undefined): Promise<number> =>
        (await fetch(`${pageOf(cluster)}/api/contents`, token === undefined ? {} : { headers: headers(token) })).status;
      expect(await Promise.all([undefined, "", "their-own", cluster.token].map(asked))).toEqual([403, 403, 403, 200]);
      await cluster.running.says(/the token in your Jupyter configuration is not used here/, 30);
      await cluster.stop();
    });

    test("leaves no --connection-file, which holds the token, when rank 0 is killed", async () => {
      await using clean = nothingLeft();
      clean.allow(/^node-compile-cache|^home|^\.ipynb_checkpoints|^\.virtual_documents/);
      const home = join(clean.tmp, "home");
      mkdirSync(home);
      const words = ["--connection-file", "connection.yml"];
      await using cluster = await startCluster(clean, { jupyter: true, words, env: { HOME: home } });
      const file = join(clean.folder, "connection.yml");
      await until("connection file", () => Promise.resolve(existsSync(file) || undefined));
      expect(readFileSync(file, "utf8")).toContain(cluster.token);
      process.kill(rankZero(clean), "SIGKILL");
      await cluster.running.finished;
    });

    test("is ready where it listens itself, whoever else holds its first port", async () => {
      await using clean = nothingLeft();
      clean.allow(/^node-compile-cache|^home|^\.ipynb_checkpoints|^\.virtual_documents/);
      mkdirSync(join(clean.tmp, "home"));
      const heard: string[] = [];
      const stranger = createServer((socket) => {
        socket.on("data", (data) => heard.push(data.toString("latin1")));
        socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      });
      // A JupyterLab of another test may have it for the moment.
      await until("free port 8888", () =>
        once(stranger.listen({ host: "127.0.0.1", port: 8888 }), "listening").then(
          () => true,
          () => undefined,
        ),
      );
      try {
        await using cluster = await startCluster(clean, {
          jupyter: true,
          words: ["--tunnel", "jump"],
          env: { HOME: join(clean.tmp, "home") },
        });
        expect(cluster.file.tsdask?.jupyter?.port).not.toBe(8888);
        const answer = await fetch(`${pageOf(cluster)}/api/status`, { headers: headers(cluster.token) });
        expect(answer.status).toBe(200);
        expect(heard).toEqual([]);
        await cluster.stop();
      } finally {
        stranger.close();
      }
    });
  });
}
