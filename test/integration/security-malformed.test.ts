import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { type Command, command } from "./bed/command.ts";
import { hostsAvailable, startHosts } from "./bed/hosts.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { output } from "./bed/run.ts";
import { filesBelow, portsOf, rankZero, startCluster } from "./security/cluster.ts";
import type { Raid, Spoils } from "./security/vandal.ts";

const program = join(import.meta.dirname, "security", "vandal.ts");
const MEGABYTE = 1024 * 1024;

async function vandalise(raid: Raid, on: (inner: Command) => Command = (inner) => inner): Promise<Spoils> {
  const said = await output(on(command(process.execPath, "--experimental-strip-types", "--no-warnings", program)), {
    input: JSON.stringify(raid),
    deadline: 200,
  });
  return JSON.parse(said) as Spoils;
}

interface Size {
  /** Bytes of memory in use. */
  readonly memory: number;
  readonly descriptors: number;
}

function sizeOf(pid: number): Size {
  const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return { memory: Number(kilobytes) * 1024, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

/** How much a process may grow by a raid once it has had several, and by all of them, in bytes. */
const mayGrow = { more: 16 * MEGABYTE, all: 256 * MEGABYTE };

/**
 * Raids four times, and on until the last raid made none of these processes grow by much, eight times at most: what a
 * storm makes a process take, its garbage collector gives back late or never (rank 0 levels off after some twenty
 * raids, by less and less), but a leak goes on growing.
 */
async function unharmed(pids: readonly number[], raid: () => Promise<Spoils>): Promise<Spoils> {
  const before = pids.map(sizeOf);
  const rounds: { readonly spoils: Spoils; readonly sizes: readonly Size[] }[] = [];
  const memory = (index: number): number[] => rounds.map(({ sizes }) => sizes[index]?.memory ?? 0);
  const growth = (index: number): number => {
    const [last = 0, ...earlier] = memory(index).toReversed();
    return last - Math.max(...earlier);
  };
  for (let round = 1; round <= 8; round += 1) {
    const spoils = await raid();
    // A busy host hears late of connections that have ended.
    for (const until = performance.now() + 20_000; performance.now() < until; await sleep(300))
      if (pids.every((pid, index) => sizeOf(pid).descriptors - (before[index]?.descriptors ?? 0) < 10)) break;
    rounds.push({ spoils, sizes: pids.map(sizeOf) });
    if (round >= 4 && pids.every((_, index) => growth(index) < mayGrow.more)) break;
  }
  pids.forEach((pid, index) => {
    expect(growth(index), `growth of ${commandOf(pid)}: ${memory(index).join(", ")}`).toBeLessThan(mayGrow.more);
    const { memory: last = 0, descriptors = 0 } = rounds.at(-1)?.sizes[index] ?? {};
    expect(last - (before[index]?.memory ?? 0), `size of ${commandOf(pid)}`).toBeLessThan(mayGrow.all);
    expect(descriptors - (before[index]?.descriptors ?? 0), `descriptors of ${commandOf(pid)}`).toBeLessThan(10);
  });
  const all = rounds.map(({ spoils }) => spoils);
  const sum = (of: (spoils: Spoils) => number): number => all.reduce((total, spoils) => total + of(spoils), 0);
  return {
    tries: sum(({ tries }) => tries),
    ended: sum(({ ended }) => ended),
    held: sum(({ held }) => held),
    heard: sum(({ heard }) => heard),
  };
}

const commandOf = (pid: number): string => readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")[1] ?? "";

/** The unix sockets of a launch, and the processes that serve them. */
function socketsOf(clean: Clean): { readonly paths: readonly string[]; readonly pids: readonly number[] } {
  const paths = filesBelow(clean.tmp).filter((path) => /\/(host|fork)\.sock$/.test(path));
  const forkServer = clean
    .processes()
    .find(({ arguments: words }) => words.some((word) => word.endsWith("/forkserver.py")));
  return { paths, pids: [rankZero(clean), ...(forkServer === undefined ? [] : [forkServer.pid])] };
}

describe("thousands of malformed, huge, slow and half-open connections", () => {
  test("do not harm the host socket and the fork server", async () => {
    await using clean = nothingLeft();
    await using cluster = await startCluster(clean);
    const { paths, pids } = socketsOf(clean);
    expect(paths).toHaveLength(2);
    const spoils = await unharmed(pids, () =>
      vandalise({ doors: paths.map((path) => ({ path })), tries: 400, wire: "lines" }),
    );
    expect(spoils.tries).toBeGreaterThan(2500);
    expect(spoils.heard / spoils.tries, "bytes answered to each").toBeLessThan(1000);
    await cluster.compute();
    await cluster.stop();
    expect((await cluster.running.finished).code).toBe(0);
  });

  if (hostsAvailable() === true) {
    test("do not harm the hub", async () => {
      await using hosts = await startHosts();
      await using clean = nothingLeft();
      await using cluster = await startCluster(clean, { hosts });
      const zero = rankZero(clean);
      const [hub] = (await portsOf(clean, (words) => hosts.on("h1", words))).filter(({ pids }) => pids.includes(zero));
      const door = { host: hosts.address("h1"), port: hub?.port ?? 0 };
      const spoils = await unharmed([zero], () =>
        vandalise({ doors: [door], tries: 700, wire: "hub" }, (inner) => hosts.on("h3", inner)),
      );
      expect(spoils.held, "connections that were left open").toBe(0);
      expect(spoils.heard / spoils.tries, "bytes answered to each").toBeLessThan(1000);
      await cluster.compute();
      await cluster.stop();
      expect((await cluster.running.finished).code).toBe(0);
    });
  }
});
