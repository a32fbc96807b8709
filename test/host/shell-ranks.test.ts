import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { dismissShells, openShellRanks, pipesOf } from "../../src/host/shell-ranks.ts";
import { fileSystem } from "../../src/net/file-systems.ts";
import { hostMark } from "../../src/host/election.ts";
import { sweepHostFolders } from "../../src/host/sweep.ts";
import type { HostPaths } from "../../src/launcher/host-paths.ts";
import { procStat } from "../../src/launcher/proc-stat.ts";
import { makePipes } from "../../src/security/pipes.ts";

let scratch = "";
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "shell-ranks-"));
});
afterEach(() => rmSync(scratch, { recursive: true }));

const pathsIn = (base: string, name: string): HostPaths => {
  const folder = join(base, name);
  return { base, folder, socket: join(folder, "sock"), forkSocket: join(folder, "fork.sock") };
};

test("a rank that sends shells away leaves nothing when it is told to leave itself", async () => {
  const base = join(scratch, "base");
  const post = join(base, "post-1.2.host");
  const program = `
    import { deadlines } from ${JSON.stringify(join(import.meta.dirname, "../../src/deadlines.ts"))};
    import { sendShellsAway } from ${JSON.stringify(join(import.meta.dirname, "../../src/host/shell-ranks.ts"))};
    deadlines.shellRanks = 60_000;
    process.on("SIGTERM", () => process.exit(3));
    void sendShellsAway({ base: ${JSON.stringify(base)} }, ${JSON.stringify(post)}, 72);
    console.log("there");`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  expect(existsSync(join(post, "ended.72"))).toBe(true);
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([3, null]);
  expect(existsSync(base)).toBe(false);
});

test("a link and a pipe that somebody has tidied away are made again, and lead to the code at the end", async () => {
  const paths = pathsIn(scratch, "0123456789abcdef");
  mkdirSync(paths.folder);
  const { ranks, end } = pipesOf(paths);
  await makePipes(ranks, end);
  const post = join(scratch, "post-5.6.host");
  const ignore = (): void => undefined;
  const shells = openShellRanks({ paths, post, onRank: ignore, onSignal: ignore });
  expect(existsSync(join(post, "ranks"))).toBe(true);
  const { ino } = statSync(ranks);
  for (const path of [post, ranks, end]) rmSync(path);
  await expect.poll(() => existsSync(post), { timeout: 60_000 }).toBe(true);
  expect([existsSync(join(post, "end")), statSync(ranks).ino]).toEqual([true, ino]);
  await shells.release(7);
  expect([existsSync(join(paths.folder, "ended.7")), existsSync(post)]).toEqual([true, false]);
});

test("shells whose agent is killed while the launch ends leave with the code that they would have got", async () => {
  const paths = pathsIn(join(scratch, `tsdask-${process.geteuid?.()}`), "0123456789abcdef");
  mkdirSync(paths.folder, { recursive: true });
  const { ranks, end } = pipesOf(paths);
  await makePipes(ranks, end);
  const post = join(paths.base, `post-launch.${hostname()}`);
  const program = `
    import { openShellRanks } from ${JSON.stringify(join(import.meta.dirname, "../../src/host/shell-ranks.ts"))};
    setInterval(() => undefined, 1000);
    const shells = openShellRanks({
      paths: ${JSON.stringify(paths)},
      post: ${JSON.stringify(post)},
      onRank: () => { shells.announce(0); console.log("met"); },
      onSignal: () => undefined,
    });
    console.log("there");`;
  const agent = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(agent.stdout, "data");
  const world = { TSDASK_RANK: "2", TSDASK_LOCAL_RANK: "2", TSDASK_SIZE: "3", TSDASK_LOCAL_SIZE: "3" };
  const shell = spawn("/bin/sh", [join(import.meta.dirname, "../../bin/tsdask-mpi"), "script.py"], {
    env: {
      PATH: process.env["PATH"],
      TMPDIR: scratch,
      TSDASK_NODE: process.execPath,
      TSDASK_LAUNCH_ID: "launch",
      ...world,
    },
    stdio: "inherit",
  });
  await once(agent.stdout, "data");
  agent.kill("SIGKILL");
  expect(await once(shell, "exit")).toEqual([0, null]);
});

test("a shell that has not heard its agent's signal is told again until it has", async () => {
  const paths = pathsIn(scratch, "0123456789abcdef");
  mkdirSync(paths.folder);
  const { ranks, end } = pipesOf(paths);
  await makePipes(ranks, end);
  let toNode: (pid: number) => void = () => undefined;
  const shells = openShellRanks({
    paths,
    post: join(scratch, "post-3.4.host"),
    onRank: ({ pid }) => toNode(pid),
    onSignal: () => undefined,
  });
  toNode = shells.toNode;
  // The first is as good as lost: dash loses one that comes in the moment before its `read`.
  const deaf = `trap 'n=$n.; [ "$n" != .. ] || exec sleep 2' URG; printf 'h %s 0\\n' $$ >"$1"; while [ -p "$2" ]; do read -r _ <"$2"; done`;
  const world = { TSDASK_RANK: "2", TSDASK_LOCAL_RANK: "2", TSDASK_SIZE: "3", TSDASK_LOCAL_SIZE: "3" };
  const shell = spawn("/bin/sh", ["-c", deaf, "sh", ranks, end], {
    env: { PATH: process.env["PATH"], TSDASK_LAUNCH_ID: "launch", ...world },
    stdio: "inherit",
  });
  // Nor is what it has become told any more: `sleep` goes on to its end.
  expect(await once(shell, "exit")).toEqual([0, null]);
  await shells.release(0);
});

test("a place that takes nothing for a moment takes the pipes by which shells are told to leave a moment later", async () => {
  const paths = pathsIn(join(scratch, "base"), "0123456789abcdef");
  const post = join(scratch, "base", "post-7.8.host");
  const ignore = (): void => undefined;
  const opened = dismissShells({ paths, post, code: Promise.resolve(69), awaited: () => true, onGone: ignore });
  setTimeout(() => mkdirSync(paths.folder, { recursive: true }), 400);
  const shells = await opened;
  expect(existsSync(join(post, "ranks"))).toBe(true);
  await shells.release(69);
  expect([existsSync(join(paths.folder, "ended.69")), existsSync(post)]).toEqual([true, false]);
});

test("pipes that cannot be made are not tried for longer than somebody is awaited", async () => {
  const paths = pathsIn(join(scratch, "base"), "0123456789abcdef");
  const ignore = (): void => undefined;
  const told = { paths, post: join(scratch, "post-9.9.host"), code: Promise.resolve(69), onGone: ignore };
  await expect(dismissShells({ ...told, awaited: () => false })).rejects.toThrow("mkfifo");
});

describe("what leads shells to their agent", () => {
  const sweep = async () => sweepHostFolders(pathsIn(scratch, "own"));
  const folder = (name: string, host = hostname()) => {
    const path = join(scratch, name.startsWith("post-") ? `${name}.${host}` : name);
    mkdirSync(path);
    return path;
  };

  test("goes with the launcher whose ranks were sent away, and not before", async () => {
    const living = folder(`post-${process.pid}.${procStat(process.pid)?.start ?? ""}`);
    const dead = folder(`post-${process.pid}.1`);
    const elsewhere = folder(`post-${process.pid}.1`, "another-host");
    await sweep();
    expect([living, dead, elsewhere].map((one) => existsSync(one))).toEqual([true, false, true]);
  });

  test("goes after a while where no launcher's process has the name", async () => {
    const fresh = folder("post-0badcafe");
    const old = folder("post-0badbeef");
    utimesSync(old, new Date(0), new Date(0));
    symlinkSync("nowhere", join(scratch, "post-3.4.host"));
    await sweep();
    expect([existsSync(fresh), existsSync(old)]).toEqual([true, false]);
    expect(existsSync(join(scratch, "post-3.4.host"))).toBe(false);
  });

  test("a launch that was killed leaves its folder to the next one on its host only", async () => {
    const path = folder("0123456789abcdef");
    writeFileSync(join(path, "host.sock"), "");
    writeFileSync(join(path, "on.another-host.0badcafe"), "");
    utimesSync(path, new Date(0), new Date(0));
    await sweep();
    expect(existsSync(path)).toBe(true);
    // Without a mark, where no other host can see it.
    rmSync(join(path, "on.another-host.0badcafe"));
    utimesSync(path, new Date(0), new Date(0));
    await sweep();
    expect(existsSync(path)).toBe(fileSystem(statfsSync(scratch).type)?.hosts !== "one");
    // The same host, before it was started anew; the same kernel under another name, as containers have it.
    const boot = hostMark().slice(hostMark().lastIndexOf(".") + 1);
    for (const mark of [`on.${hostname()}.0badcafe`, `on.another.name.${boot}`]) {
      writeFileSync(join(folder("0badcafe0badcafe"), mark), "");
      utimesSync(join(scratch, "0badcafe0badcafe"), new Date(0), new Date(0));
      await sweep();
      expect(existsSync(join(scratch, "0badcafe0badcafe")), mark).toBe(false);
    }
  });
});
