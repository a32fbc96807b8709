import { chmodSync, chownSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { deadlines } from "../../src/deadlines.ts";
import { hostPaths, type HostPaths } from "../../src/launcher/host-paths.ts";
import { meetLeader } from "../../src/rank/follower.ts";

const uid = process.getuid?.() ?? 0;
const stranger = 65534;
const nobodyThere = async (): Promise<boolean> => false;
let top: string;
let paths: HostPaths;
let server: Server | undefined;
let visits = 0;

async function listenAt(path: string): Promise<void> {
  server = createServer((socket: Socket) => {
    visits += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server?.listen(path, resolve));
}

beforeEach(() => {
  top = mkdtempSync("/tmp/tsdask-follower-");
  paths = hostPaths({ key: "a launch", tmpdir: top, uid });
  visits = 0;
});
afterEach(() => {
  server?.close();
  rmSync(top, { recursive: true, force: true });
});

describe("a rank that looks for its leader", () => {
  it("connects to the socket in folders of its own user that are closed to others", async () => {
    mkdirSync(paths.folder, { recursive: true, mode: 0o700 });
    await listenAt(paths.socket);
    const found = await meetLeader(paths, uid, nobodyThere);
    expect(found).toHaveProperty("destroy");
    (found as Socket).destroy();
    expect(visits).toBe(1);
  });

  it("says at once what is wrong where a link stands in place of its user's folder", async () => {
    mkdirSync(join(top, "elsewhere"), { mode: 0o700 });
    symlinkSync(join(top, "elsewhere"), paths.base);
    expect(await meetLeader(paths, uid, nobodyThere)).toMatchObject({
      path: paths.base,
      problem: expect.stringContaining("symbolic link"),
    });
  });

  if (uid === 0) {
    it("says at once whose the folder is when it is somebody else's, and does not connect", async () => {
      mkdirSync(paths.folder, { recursive: true, mode: 0o700 });
      await listenAt(paths.socket);
      chownSync(paths.base, stranger, stranger);
      expect(await meetLeader(paths, uid, nobodyThere)).toMatchObject({
        path: paths.base,
        problem: `it belongs to another user (uid ${stranger})`,
      });
      expect(visits).toBe(0);
    });

    it("does not connect to a stranger's socket that stands at the name only while it looks", async () => {
      mkdirSync(paths.folder, { recursive: true, mode: 0o700 });
      const aside = `${paths.base}-aside`;
      const bait = hostPaths({ key: "a launch", tmpdir: join(top, "bait"), uid });
      mkdirSync(bait.folder, { recursive: true, mode: 0o755 });
      await listenAt(bait.socket);
      chownSync(bait.folder, stranger, stranger);
      let rounds = 0;
      const swap = setInterval(() => {
        rounds += 1;
        if (rounds % 2 === 1) {
          renameSync(paths.folder, aside);
          renameSync(bait.folder, paths.folder);
        } else {
          renameSync(paths.folder, bait.folder);
          renameSync(aside, paths.folder);
        }
      }, 3);
      try {
        // A busy machine may leave the swaps no time beside one search.
        do expect(await meetLeader(paths, uid, nobodyThere)).toBeUndefined();
        while (rounds <= 20);
      } finally {
        clearInterval(swap);
      }
      expect(visits).toBe(0);
    });
  }

  it("waits for a leader that lives as long as the launch waits for its ranks, and then says that there is none", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "performance"] });
    try {
      let asked = 0;
      const patience = async (): Promise<number> => {
        asked += 1;
        return 40_000;
      };
      let found: unknown = "not yet";
      void meetLeader(paths, uid, async () => true, patience).then((socket) => (found = socket));
      await vi.advanceTimersByTimeAsync(deadlines.hostLeader - 500);
      expect([asked, found]).toEqual([0, "not yet"]);
      await vi.advanceTimersByTimeAsync(20_000);
      expect([asked, found]).toEqual([1, "not yet"]);
      await vi.advanceTimersByTimeAsync(10_000);
      expect([asked, found]).toEqual([1, undefined]);
    } finally {
      vi.useRealTimers();
    }
  });

  it("does not use a folder of its user's that others may enter", async () => {
    mkdirSync(paths.folder, { recursive: true, mode: 0o700 });
    await listenAt(paths.socket);
    chmodSync(paths.folder, 0o755);
    expect(await meetLeader(paths, uid, nobodyThere)).toBeUndefined();
    expect(visits).toBe(0);
  });
});
