import { readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import * as v from "valibot";
import { parseAddress } from "../dask/address.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { whyUnreachable } from "../net/connection-check.ts";
import { readPrivateFile, writePrivateFile } from "../security/private-files.ts";

/**
 * A host that cannot connect to rank 0 leaves a note in the cluster folder, which rank 0 takes: else nobody would know,
 * and the launch would wait for the host until its time is over.
 */
const prefix = "cannot-reach-";
const lookEvery = 1_000;

const note = v.record(v.string(), v.union([v.string(), v.number()]));

/** Whether any of these addresses (`host:port`) takes a connection. Never rejects. */
export async function anyListens(addresses: readonly string[]): Promise<boolean> {
  const found = await Promise.all(
    addresses.map(async (address) => {
      const { host, port } = parseAddress(address);
      return whyUnreachable(host, port, deadlines.hubConnect);
    }),
  );
  return found.includes(undefined);
}

/** Leaves the note of a host's TSD-022, and resolves to whether rank 0 has taken it. Never rejects. */
export async function leaveNote(folder: string, { facts }: Failure): Promise<boolean> {
  const name = `${prefix}${facts["rank"]}`;
  try {
    await writePrivateFile(join(folder, name), `${JSON.stringify(facts)}\n`);
    for (const until = performance.now() + deadlines.noteTaken; performance.now() < until; await pause(lookEvery / 4))
      if (!(await readdir(folder)).includes(name)) return true;
  } catch (error) {
    // The folder is gone with the launch, which has ended; or this host does not see it.
    return (error as NodeJS.ErrnoException).code === "ENOENT" && !(error instanceof Failure);
  }
  return false;
}

/** Rank 0's side: calls back with the failure of each note that comes within `seconds`. Returns how to stop. */
export function watchForNotes(folder: string, seconds: number, take: (failure: Failure) => void): () => void {
  const until = performance.now() + seconds * 1000;
  const timer = setInterval(() => {
    if (performance.now() > until) clearInterval(timer);
    void takeNotes(folder, take);
  }, lookEvery);
  timer.unref();
  return () => clearInterval(timer);
}

async function takeNotes(folder: string, take: (failure: Failure) => void): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((one) => one.startsWith(prefix))) {
    const path = join(folder, name);
    try {
      const facts = v.parse(note, JSON.parse(await readPrivateFile(path)));
      await unlink(path);
      take(new Failure("TSD-022", facts));
    } catch {
      // Half written, or taken already: the next look sees.
    }
  }
}
