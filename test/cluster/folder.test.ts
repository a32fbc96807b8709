import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import type { AddressInfo } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { publishRecord } from "../../src/rendezvous/record.ts";
import { createAuthority, fingerprint } from "../../src/security/certificates.ts";
import { startTime } from "../../src/launcher/process-mark.ts";
import { deadClusterFolders, removeClusterFolder, removeFolder, takeClusterFolder } from "../../src/cluster/folder.ts";

let place = "";
let folder = "";
let precious = "";
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "tsdask-folder-"));
  folder = join(place, ".tsdask-0123456789abcdef");
  precious = join(place, "precious");
  mkdirSync(precious, { mode: 0o700 });
  writeFileSync(join(precious, "thesis"), "mine");
  utimesSync(precious, 1, 1);
});
afterEach(() => rmSync(place, { recursive: true }));

const take = (): Promise<void> => takeClusterFolder(folder, hostname(), async () => undefined);
const thesis = (at: string): string => readFileSync(join(at, "thesis"), "utf8");

/** An owner that was a process of this machine. */
function dead(path: string): void {
  const owner = JSON.parse(readFileSync(join(folder, "owner"), "utf8")) as object;
  mkdirSync(path, { mode: 0o700 });
  writeFileSync(join(path, "owner"), JSON.stringify({ ...owner, startTime: "1" }));
  mkdirSync(join(path, "log"));
  writeFileSync(join(path, "log", "a"), "");
}

it("is taken, private, and removed with all that is in it", async () => {
  await take();
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  mkdirSync(join(folder, "log"));
  writeFileSync(join(folder, "log", "a"), "");
  symlinkSync(precious, join(folder, "link"));
  await removeClusterFolder(folder);
  expect(existsSync(folder)).toBe(false);
  expect(thesis(precious)).toBe("mine");
  await removeClusterFolder(folder);
});

it("of a launch of the same name that lives is TSD-035, and stays", async () => {
  await take();
  const owner = JSON.parse(readFileSync(join(folder, "owner"), "utf8")) as object;
  const living = JSON.stringify({ ...owner, pid: process.ppid, startTime: startTime(process.ppid) });
  writeFileSync(join(folder, "owner"), living);
  const facts = { folder, host: hostname(), pid: process.ppid };
  await expect(take()).rejects.toMatchObject({ code: "TSD-035", exitCode: 64, facts });
  expect(readFileSync(join(folder, "owner"), "utf8")).toBe(living);
});

describe("of a launch of the same name on another host", () => {
  /** The folder of a launch elsewhere whose hub, at this port, has this certificate. */
  const elsewhere = async (port: number, print: string): Promise<void> => {
    await take();
    const owner = JSON.parse(readFileSync(join(folder, "owner"), "utf8")) as object;
    writeFileSync(join(folder, "owner"), JSON.stringify({ ...owner, host: "node7", pid: 7, machine: "another" }));
    await publishRecord(folder, {
      v: 1,
      launch: "abc",
      pid: 7,
      host: "node7",
      addresses: [`127.0.0.1:${port}`],
      fingerprint: print,
      secret: "s",
    });
  };

  it("is TSD-035 while its hub answers, and not when another program does", async () => {
    const { cert, key } = await (await createAuthority({ launch: "abc" })).issue({ name: "hub", server: true });
    await using hub = createServer({ cert, key }, (socket) => socket.on("error", () => undefined).resume());
    await new Promise<void>((resolve) => hub.listen(0, "127.0.0.1", resolve));
    const { port } = hub.address() as AddressInfo;
    await elsewhere(port, fingerprint(cert));
    const facts = { folder, host: "node7", pid: 7 };
    await expect(take()).rejects.toMatchObject({ code: "TSD-035", facts });
    expect(existsSync(join(folder, "hub"))).toBe(true);
    rmSync(folder, { recursive: true });
    await elsewhere(port, "another");
    await take();
    expect(existsSync(join(folder, "hub"))).toBe(false);
    await removeClusterFolder(folder);
  });

  it("is emptied where nobody listens any more", async () => {
    await elsewhere(1, "print");
    writeFileSync(join(folder, "dask.yaml"), 'scheduler-address: "tls://127.0.0.1:1"\n', { mode: 0o600 });
    await take();
    expect(existsSync(join(folder, "hub"))).toBe(false);
    await removeClusterFolder(folder);
  });

  it("is TSD-035 under any name that this host had while its process lives", async () => {
    await take();
    const owner = JSON.parse(readFileSync(join(folder, "owner"), "utf8")) as object;
    const living = { ...owner, host: "former-name", pid: process.ppid, startTime: startTime(process.ppid) };
    writeFileSync(join(folder, "owner"), JSON.stringify(living));
    await expect(take()).rejects.toMatchObject({ code: "TSD-035", facts: { host: "former-name" } });
  });
});

it("of a launch of the same name that is gone is emptied first", async () => {
  await take();
  const other = join(place, ".tsdask-1111111111111111");
  dead(other);
  rmSync(folder, { recursive: true });
  renameSync(other, folder);
  await take();
  expect(existsSync(join(folder, "log"))).toBe(false);
  await removeClusterFolder(folder);
});

it("is taken and removed while another host looks into it", async () => {
  const looks = join(folder, ".tsdask-look-1-2");
  mkdirSync(looks, { recursive: true, mode: 0o700 });
  await take();
  await removeClusterFolder(folder);
  expect(existsSync(folder)).toBe(false);
});

describe("in a folder where others may rename, a folder of the user's own that is put at its path", () => {
  it("before is neither used nor removed", async () => {
    renameSync(precious, folder);
    await expect(take()).rejects.toMatchObject({ code: "TSD-071" });
    expect(thesis(folder)).toBe("mine");
  });

  it("meanwhile is not removed", async () => {
    await take();
    renameSync(folder, join(place, "away"));
    renameSync(precious, folder);
    await removeClusterFolder(folder);
    expect(thesis(folder)).toBe("mine");
  });

  it.each([0o700, 0o755])("(mode %o) is not taken for what a dead launch has left, however old", async (mode) => {
    await take();
    const other = join(place, ".tsdask-1111111111111111");
    chmodSync(precious, mode);
    renameSync(precious, other);
    expect(deadClusterFolders(folder, undefined)).toEqual([]);
    expect(deadClusterFolders(folder, JSON.stringify({ address: "tls://a:1", tsdask: { folder: other } }))).toEqual([]);
    await removeClusterFolder(folder);
  });

  it("after a dead launch's was found is not removed", async () => {
    await take();
    const other = join(place, ".tsdask-1111111111111111");
    dead(other);
    const [found] = deadClusterFolders(folder, undefined);
    expect(found?.path).toBe(other);
    renameSync(other, join(place, "away"));
    renameSync(precious, other);
    await removeFolder(found ?? { path: "", identity: "" });
    expect(thesis(other)).toBe("mine");
    renameSync(other, precious);
    renameSync(join(place, "away"), other);
    await removeFolder(found ?? { path: "", identity: "" });
    expect(existsSync(other)).toBe(false);
    await removeClusterFolder(folder);
  });
});

it("that was left empty is removed when it is old", async () => {
  await take();
  const empty = join(place, ".tsdask-1111111111111111");
  mkdirSync(empty, { mode: 0o700 });
  expect(deadClusterFolders(folder, undefined)).toEqual([]);
  utimesSync(empty, 1, 1);
  expect(deadClusterFolders(folder, undefined).map(({ path }) => path)).toEqual([empty]);
  await removeClusterFolder(folder);
});
