import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import type { SchedulerFile } from "../../src/dask/scheduler-file.ts";
import { command, isRoot, type Command } from "./bed/command.ts";
import { inKernel } from "./bed/kernel.ts";
import { fromLaptop, installed } from "./bed/laptop.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { signalAll } from "./bed/processes.ts";
import { python } from "./bed/pythons.ts";
import { output, run, start } from "./bed/run.ts";
import { sshdAvailable, startSshd } from "./bed/sshd.ts";
import { asStranger, strangerAvailable } from "./bed/user.ts";
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

const pages = ["--worker-dashboard-address", ":0", "--scheduler-options", '{"http_prefix": "/pre"}'];

/**
 * What VS Code's kernel and `jupyter console` would be asked: how many workers compute, and where the kernel can be
 * met.
 */
const inCell = `
import ipykernel
from dask.distributed import Client
client = Client()
print(len(client.run(lambda: 1)), client.dashboard_link, ipykernel.get_connection_file())
`;

/** Computes in a kernel that runs already, as `jupyter console --existing` does, and prints what it says. */
const existing = `
import sys
from jupyter_client import BlockingKernelClient
kernel = BlockingKernelClient(connection_file=sys.argv[1])
kernel.load_connection_file()
kernel.start_channels()
kernel.wait_for_ready(timeout=60)
kernel.execute_interactive("print('sum', client.submit(sum, range(100)).result())", timeout=60)
kernel.stop_channels()
`;

/**
 * A laptop goes to the cluster by its name, and ssh on from the login host to the node, on whose loopback alone Jupyter
 * listens.
 */
async function fromElsewhere(clean: Clean): Promise<void> {
  const state = clean.env["XDG_STATE_HOME"] ?? "";
  const login = `env XDG_STATE_HOME=${state} unshare -u sh -c 'hostname login.example.org; exec "$@"' sh `;
  const remote = ["--remote-command", installed(clean, join(clean.tmp, "home"), login), "--no-browser"];
  await using sshd = await startSshd();
  const words = [...remote, "--cluster", "pages", "login.example.org"];
  const options = { folder: clean.folder, env: clean.env, deadline: 280 };
  await using session = start(fromLaptop(clean, sshd, ...words), options);
  const [, url = ""] = await session.says(/JupyterLab {2}(http:\S+)/, 90);
  expect(session.stderr()).toContain("ssh goes on to");
  const { origin, searchParams } = new URL(url);
  const said = await inKernel(origin, searchParams.get("token") ?? "", inCell);
  const [, file = ""] = /^2 \/tsdask\/status (\S+)$/.exec(said) ?? [said];
  expect(await output(command(python().path, "-c", existing, file), options)).toContain("sum 4950");

  // What a killed session leaves goes with the next one, once its ssh has gone as well.
  const left = (): string[] => readdirSync(clean.tmp).filter((name) => name.startsWith("tsdask-open-"));
  expect(left()).toHaveLength(2);
  const ofSession = clean
    .processes()
    .filter(
      ({ arguments: line }) =>
        (line.includes("open") && line.includes("pages")) || line.includes("ControlMaster=no") || line.includes("-M"),
    );
  // The end of one ends others.
  signalAll(
    ofSession.map(({ pid }) => pid),
    "SIGKILL",
  );
  await session.finished;
  const lives = (): boolean => clean.processes().some(({ pid }) => ofSession.some((one) => one.pid === pid));
  await expect.poll(lives, { timeout: 30_000 }).toBe(false);
  expect(left()).toHaveLength(2);
  const printed = await output(fromLaptop(clean, sshd, "--print", ...words), options);
  expect(left()).toEqual([]);
  expect(printed).toMatch(/^ {2}ssh -N .* -J \S+@login\.example\.org \S+$/m);
  if (strangerAvailable() === true)
    await inPlaceOfTheFile(clean, join(clean.folder, "scheduler.json"), fromLaptop(clean, sshd, ...words));
}

/**
 * What lies in place of the cluster's file while it runs, by another user or by mistake: nothing of it is used, `open`
 * says so from the login host, and the cluster goes on.
 */
async function inPlaceOfTheFile(clean: Clean, file: string, opening: Command): Promise<void> {
  const folders = [dirname(clean.folder), clean.folder] as const;
  const [before, kept] = [readFileSync(file), `${file}.kept`];
  const open = (mode: number): void => {
    for (const folder of folders) chmodSync(folder, mode);
  };
  const address = (text: string): string => String(before).replace(/"address": ?"[^"]*"/, `"address": "${text}"`);
  const cases: readonly (readonly [string, () => unknown])[] = [
    [
      "TSD-120 .* belongs to another user",
      async () => {
        open(0o777);
        const replaced = `mv '${file}' '${kept}' && cp /etc/hostname '${file}'`;
        await output(asStranger(command("sh", "-c", replaced)));
        open(0o700);
      },
    ],
    ["TSD-120 .* is not a plain file", () => execFileSync("mkfifo", ["-m", "600", file])],
    ["TSD-024 .*address: not an address", () => writeFileSync(file, address("--option"), { mode: 0o600 })],
  ];
  for (const [told, put] of cases) {
    rmSync(file);
    writeFileSync(file, before, { mode: 0o600 });
    if (!told.includes("another user")) rmSync(file);
    await put();
    const refused = await run(opening, { folder: clean.folder, env: clean.env, deadline: 80 });
    expect(refused).toMatchObject({ code: 69, stdout: "" });
    expect(refused.stderr).toMatch(new RegExp(`on login\\.example\\.org:\n.*pages goes on.*\n.*${told}`));
  }
  rmSync(kept);
  rmSync(file);
  writeFileSync(file, before, { mode: 0o600 });
}

/**
 * Whoever takes the port of a worker that has died is asked for a proof, and hears nothing that opens anything; also
 * when he passes on what he hears to the scheduler, and what that answers.
 */
async function strangerAtDeadWorker({
  clean,
  page,
  link,
  token,
}: {
  readonly clean: Clean;
  readonly page: string;
  readonly link: string;
  readonly token: string;
}): Promise<void> {
  const [, port = "", host = ""] = /^proxy\/(\d+)\/([^/]+)/.exec(link) ?? [];
  const dead = (await portsOf(clean)).find((one) => one.port === Number(port));
  for (const pid of dead?.pids ?? []) process.kill(pid, "SIGKILL");
  const file = JSON.parse(readFileSync(join(clean.folder, "scheduler.json"), "utf8")) as SchedulerFile;
  const living = file.tsdask?.dashboard;
  const heard: string[] = [];
  const stranger = createServer((caller) => {
    caller.on("error", () => undefined);
    const scheduler = connect(living?.port ?? 0, living?.host ?? "").on("error", () => undefined);
    caller.on("data", (data: Buffer) => heard.push(data.toString("latin1")));
    caller.pipe(scheduler).pipe(caller);
  });
  for (const until = performance.now() + 10_000; ; await sleep(50)) {
    const listens = once(stranger.listen(Number(port), host), "listening").catch((error: unknown) => error as Error);
    const how = await listens;
    if (!(how instanceof Error)) break;
    if (performance.now() > until) throw how;
  }
  try {
    const asOwner = { headers: { Authorization: `token ${token}` }, redirect: "manual" } as const;
    const answer = await fetch(`${page}/${link}`, asOwner);
    // By then the scheduler may have said that the worker is gone.
    expect([404, 502]).toContain(answer.status);
    expect(await answer.text()).not.toContain("Dask:");
    const events = `${page.replace("http", "ws")}/${link.replace("status", "eventstream")}`;
    expect(await firstWord(events, asOwner.headers)).not.toContain("{");
    expect(heard.join("")).not.toMatch(/cookie|authorization/i);
    expect(heard.join("")).not.toContain(token);
    for (const text of heard) expect(text).toMatch(/^GET \/tsdask-proof\/[0-9a-f]{32} /);
  } finally {
    stranger.close();
  }
}

if (await hasJupyter())
  test("Jupyter shows the pages of scheduler and workers behind its own login, and gives the token to nobody else", async () => {
    await using clean = nothingLeft();
    clean.allow(/^node-compile-cache|^home|^\.ipynb_checkpoints|^\.virtual_documents/);
    mkdirSync(join(clean.tmp, "home"));
    await using cluster = await startCluster(clean, {
      jupyter: true,
      words: ["--cluster-name", "pages", "--tunnel", "jump", ...pages],
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
    // What the launcher's card asks is behind the same login.
    const card = `${page}-cluster`;
    const scale = (headers: Record<string, string>, body: string): Promise<Response> =>
      fetch(card, { method: "POST", headers, body, redirect: "manual" });
    expect(await (await fetch(card, asOwner)).json()).toMatchObject({ workers: 2, threads: 2 });
    expect((await fetch(card)).status).toBe(403);
    expect((await scale({}, '{"workers": 3}')).status).toBe(403);
    for (const body of ["", "[]", '{"workers": -1}', '{"workers": "3; reboot"}', '{"workers": true}'])
      expect((await scale(asOwner.headers, body)).status).toBe(400);
    expect(await (await scale(asOwner.headers, '{"workers": 2}')).json()).toMatchObject({
      said: expect.stringContaining("nothing to do: 2 workers are in") as string,
    });
    const login = await fetch(`${page}/status?token=${cluster.token}`, { redirect: "manual" });
    const cookie = login.headers
      .getSetCookie()
      .map((one) => one.split(";")[0])
      .join("; ");
    expect(await firstWord(events, { Cookie: cookie })).toContain("add_worker");
    expect((await scale({ Cookie: cookie }, '{"workers": 3}')).status).toBe(403);
    expect(await firstWord(events, { Cookie: cookie, Origin: "http://evil.example.org" })).toBe(403);
    expect(cluster.running.stderr()).not.toContain(cluster.token);
    if (isRoot && sshdAvailable() === true) await fromElsewhere(clean);
    await strangerAtDeadWorker({ clean, page, link: links[0] ?? "", token: cluster.token });
    await cluster.stop();
  });
