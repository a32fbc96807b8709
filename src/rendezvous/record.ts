import { rmdirSync } from "node:fs";
import { mkdir, readdir, rmdir, stat, statfs, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { connect } from "node:tls";
import { setTimeout as pause } from "node:timers/promises";
import * as v from "valibot";
import { Failure } from "../errors/failure.ts";
import { parseAddress } from "../dask/address.ts";
import { deadlines } from "../deadlines.ts";
import { fileSystem } from "../net/file-systems.ts";
import { anyListens } from "./unreachable.ts";
import { endedLink, linkToHub, printOf, type HubPlace, type Link } from "./link.ts";
import { lookPrefix } from "../security/cluster-folder.ts";
import { readPrivateFile, writePrivateFile } from "../security/private-files.ts";

/**
 * The hub's record in the cluster folder: mode 0600 in a folder of mode 0700, so what it holds only its owner can read.
 */
const hubSchema = v.object({
  v: v.literal(1),
  launch: v.string(),
  pid: v.number(),
  host: v.string(),
  addresses: v.array(v.string()),
  fingerprint: v.string(),
  secret: v.string(),
});
export type HubRecord = v.InferOutput<typeof hubSchema>;

/** What rank 0 that has failed writes in its place: the launch's exit code, and when (ms, by its host's clock). */
const failedSchema = v.object({ v: v.literal(1), launch: v.string(), failed: v.number(), at: v.number() });
export type FailedRecord = v.InferOutput<typeof failedSchema>;

/**
 * Nothing tells whether a rank 0 that has failed is still the launch's: its record lies there for some seconds, and one
 * that is older (ms) was left by a rank 0 that was killed, of a job that was queued again. The hosts' clocks may differ
 * by half of it.
 */
const failedFor = 60_000;

/**
 * The hosts of one launch may start so long (ms) after each other: a record that is older than this host's search by
 * more was left by a launch of the same key that was killed, and the hub is still to come.
 */
const startsApart = 60_000;

/** A leader that has seen nothing for so long (ms) makes the file system look again. */
const lookAfter = 2_000;

/**
 * Not `hub.json`: Dask takes every `.json` and `.yaml` of a folder that DASK_CONFIG names for its settings, secrets
 * included.
 */
export const recordPath = (folder: string): string => join(folder, "hub");

/** Writes the record where the other hosts' leaders look for it. Throws TSD-072. */
export async function publishRecord(folder: string, record: HubRecord | FailedRecord): Promise<void> {
  await writePrivateFile(recordPath(folder), `${JSON.stringify(record)}\n`);
}

/** Reads the record of this launch; undefined when there is none, or none that can be believed. */
async function readRecord(folder: string, launch: string): Promise<HubRecord | FailedRecord | undefined> {
  try {
    const record = v.parse(v.union([hubSchema, failedSchema]), JSON.parse(await readPrivateFile(recordPath(folder))));
    const stale = "failed" in record && Math.abs(Date.now() - record.at) > failedFor;
    return record.launch === launch && !stale ? record : undefined;
  } catch {
    // Not there yet, half visible on a slow file system, or somebody else's: it is looked for again.
    return undefined;
  }
}

/**
 * Whether the hub whose record lies in a folder listens, whatever launch it is of: it is known by its certificate.
 * Waits for `deadline` ms at most. Never rejects.
 */
export async function hubAnswers(folder: string, deadline: number): Promise<boolean> {
  try {
    const record = v.parse(hubSchema, JSON.parse(await readPrivateFile(recordPath(folder))));
    const found = record.addresses.map((address) => hasCertificate(address, record.fingerprint, deadline));
    return (await Promise.all(found)).includes(true);
  } catch {
    // There is none, or nothing that could be believed.
    return false;
  }
}

function hasCertificate(address: string, fingerprint: string, deadline: number): Promise<boolean> {
  const { host, port } = parseAddress(address);
  return new Promise((resolve) => {
    const socket = connect({ host, port, rejectUnauthorized: false });
    const done = (found: boolean): void => {
      clearTimeout(late);
      socket.destroy();
      resolve(found);
    };
    const late = setTimeout(done, deadline, false);
    socket.once("secureConnect", () => done(printOf(socket) === fingerprint));
    socket.once("error", () => done(false));
    socket.once("close", () => done(false));
  });
}

/** So a host says that it has read that rank 0 has failed: `heard-<its leader's rank>.<how many ranks it has>`. */
const heard = /^heard-\d+\.(\d+)$/;

/** Of how many ranks the hosts have said so. */
export async function ranksThatHeard(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  return names.reduce((sum, name) => sum + Number(heard.exec(name)?.[1] ?? 0), 0);
}

/**
 * Finds the hub by its record and links to it. The record is polled gently, at most twice a second, by leaders only;
 * one that was left by a dead launch costs a retry. Where rank 0 has failed, the link only says that the launch ends.
 * Throws TSD-021 when no record appears (the folder is not shared), TSD-022 when there is one but no hub answers.
 */
export async function meetByRecord({
  folder,
  launch,
  rank,
  host,
  localSize = 1,
  startTimeout,
}: {
  readonly folder: string;
  readonly launch: string;
  readonly rank: number;
  readonly host: string;
  /** Ranks on this host, where the launcher tells. */
  readonly localSize?: number | undefined;
  /** Seconds. */
  readonly startTimeout: number;
}): Promise<Link> {
  const started = performance.now();
  const shared = await sharedFileSystem(dirname(folder));
  const deadline =
    started + (shared.shared ? startTimeout * 1000 : Math.min(startTimeout * 1000, deadlines.recordLocal));
  let seen: HubRecord | undefined;
  /** The secret of a record that a dead launch has left: whatever does not answer there is no reason to give up. */
  let left: string | undefined;
  let wait = 20;
  // Looked at once at least, however late it is by then.
  do {
    const record = await readRecord(folder, launch);
    if (record !== undefined && "failed" in record) {
      // The folder may be gone by now.
      await writeFile(join(folder, `heard-${rank}.${localSize}`), "", { mode: 0o600 }).catch(() => undefined);
      return endedLink(record.failed);
    }
    if (record !== undefined) {
      seen = record;
      const place: HubPlace = {
        launch,
        addresses: record.addresses,
        fingerprint: record.fingerprint,
        key: record.secret,
      };
      const link = await linkToHub(place, { rank, host });
      if (link !== undefined) return link;
      const late = performance.now() - started > deadlines.hubUnreachable && record.secret !== left;
      if (late && !(await anyListens(record.addresses))) {
        if ((await recordAge(folder, rank)) < performance.now() - started + startsApart) break;
        left = record.secret;
      }
    } else if (performance.now() - started > lookAfter)
      for (const one of [dirname(folder), folder]) await refreshDirectory(one, rank);
    await pause(wait);
    wait = Math.min(wait * 1.5, 500);
  } while (performance.now() < deadline);
  const seconds = Math.round((performance.now() - started) / 1000);
  if (seen === undefined)
    throw new Failure("TSD-021", { rank, host, folder: dirname(folder), seconds, filesystem: shared.name });
  throw new Failure("TSD-022", { rank, host, hub: seen.host, addresses: seen.addresses.join(", "), seconds });
}

/** How long ago (ms) the record was written, by the clock of its file system, which may be another than this host's. */
async function recordAge(folder: string, rank: number): Promise<number> {
  const now = (await refreshDirectory(folder, rank)) ?? Date.now();
  return stat(recordPath(folder)).then(
    ({ mtimeMs }) => now - mtimeMs,
    () => Infinity,
  );
}

/**
 * A network file system may answer from its cache that a name does not exist; a change of ours in the folder makes it
 * ask again. Resolves to the moment of the change (ms), by the file system's clock; to undefined where there was none.
 */
async function refreshDirectory(folder: string, rank: number): Promise<number | undefined> {
  const probe = join(folder, `${lookPrefix}${process.pid}-${rank}`);
  const remove = (): void => {
    try {
      rmdirSync(probe);
    } catch {
      // It was not made, or is gone.
    }
  };
  // Also when this rank is told to leave in between.
  process.once("exit", remove);
  try {
    await mkdir(probe);
    const { mtimeMs } = await stat(probe);
    await rmdir(probe);
    return mtimeMs;
  } catch {
    // A folder we may only read, or that is not there: the next look says it again.
    remove();
    return undefined;
  } finally {
    process.off("exit", remove);
  }
}

/** Whatever is not one host's own for sure is taken for shared. */
async function sharedFileSystem(folder: string): Promise<{ readonly shared: boolean; readonly name: string }> {
  try {
    const { type } = await statfs(folder);
    const known = fileSystem(type);
    return known?.hosts === "one"
      ? { shared: false, name: known.name }
      : { shared: true, name: `type 0x${type.toString(16)}` };
  } catch {
    return { shared: false, name: "not there on this host" };
  }
}
