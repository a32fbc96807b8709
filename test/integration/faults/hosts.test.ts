import { chmodSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hostsAvailable, startHosts, type Hosts } from "../bed/hosts.ts";
import { availableLaunchers } from "../bed/launchers.ts";
import { type Clean, nothingLeft } from "../bed/left.ts";
import { freePorts } from "../bed/ports.ts";
import { python } from "../bed/pythons.ts";
import { type Finished, run, tell } from "../bed/run.ts";
import { tsdask } from "../launch.ts";
import { expectTold, type Seeded } from "./seeded.ts";

/** What is wrong on the second host alone: variables there, or words that only several hosts make wrong. */
interface Fault extends Pick<Seeded, "code" | "exit" | "names" | "says"> {
  readonly name: string;
  readonly there?: Readonly<Record<string, string>>;
  readonly options?: readonly string[];
}

const faults: readonly Fault[] = [
  {
    name: "a Python that only the first host has",
    there: { TSDASK_PYTHON: "/nowhere/python" },
    code: "TSD-041",
    exit: 64,
    names: /\/nowhere\/python cannot be started on h2: it is not there/,
    says: /--version/,
  },
  {
    name: "an interface that the second host does not have",
    there: { TSDASK_INTERFACE: "ib7" },
    code: "TSD-027",
    exit: 64,
    names: /ib7 cannot be used.*eth0 \(10\.77\.0\.2\)/s,
    says: /leave it out/,
  },
  {
    name: "a variable with a bad value on the second host",
    there: { TSDASK_NTHREADS: "two" },
    code: "TSD-003",
    exit: 64,
    names: /"two" \(from TSDASK_NTHREADS\)/,
    says: /whole number/,
  },
  {
    name: "a site's file that is broken on the second host",
    there: { TSDASK_SITE_CONFIG: "site.yaml" },
    code: "TSD-009",
    exit: 64,
    names: /site\.yaml/,
    says: /Mend it/,
  },
  {
    name: "a temporary folder that the second host does not have",
    there: { TMPDIR: "/nowhere" },
    code: "TSD-072",
    exit: 69,
    names: /\/nowhere is not there/,
    says: /Set TMPDIR/,
  },
  {
    name: "a disk for what workers spill that only the first host has",
    there: { TSDASK_LOCAL_DIRECTORY: "/proc/nowhere" },
    code: "TSD-207",
    exit: 69,
    names: /cannot be started on h2: .*\/proc\/nowhere/,
    says: /--local-directory/,
  },
  {
    name: "PYTHONHOME of another Python on the second host",
    there: { PYTHONHOME: "/nowhere" },
    code: "TSD-047",
    exit: 69,
    names: /PYTHONHOME is \/nowhere/,
    says: /unset PYTHONHOME/,
  },
  {
    name: "a loopback address for several hosts",
    options: ["--host", "127.0.0.1"],
    code: "TSD-160",
    exit: 64,
    names: /--host 127\.0\.0\.1 is one host's address, but the launch has 4 ranks on several hosts/,
    says: /Leave --host 127\.0\.0\.1 out/,
  },
];

const works = `
from dask.distributed import Client

if __name__ == "__main__":
    print("total", Client().submit(sum, range(1000)).result(), flush=True)
`;

/** A script that kills its scheduler once it has computed, as the system's memory killer would. */
const killer = `
import os, signal, time
from dask.distributed import Client

def pid(dask_scheduler=None):
    return os.getpid()

if __name__ == "__main__":
    client = Client()
    client.gather(client.map(abs, range(10)))
    os.kill(client.run_on_scheduler(pid), signal.SIGKILL)
    time.sleep(60)
`;

/** Each is told within this time (s); three are usual where no others compute. */
const toldWithin = 30;

if (hostsAvailable() === true) {
  describe("a fault of the second host alone is told once, on rank 0, at once", () => {
    let hosts: Hosts;
    beforeAll(async () => {
      hosts = await startHosts({ names: ["h1", "h2"] });
    });
    afterAll(async () => hosts[Symbol.asyncDispose]());

    const kinds = availableLaunchers("openmpi4", "mpich4").map(({ name }) => name as "openmpi4" | "mpich4");
    const start = (
      clean: Clean,
      kind: (typeof kinds)[number],
      {
        there = {},
        options = [],
        ranks = { h1: 2, h2: 2 },
      }: Partial<Fault> & { ranks?: Readonly<Record<string, number>> },
      env: Readonly<Record<string, string>> = {},
    ): Promise<Finished> => {
      const set = Object.entries(there).map(([name, value]) => `export ${name}=${value}`);
      clean.write("script.py", works);
      clean.write("site.yaml", "nthreads: [2\n");
      clean.write("rank.sh", `if [ "$(hostname)" = h2 ]; then :; ${set.join("; ")}\nfi\nexec "$@"\n`);
      const words = ["sh", "rank.sh", tsdask, ...options, "--no-dashboard", "script.py"];
      return run(hosts.mpirun(kind, ranks, words), {
        folder: clean.folder,
        env: { ...clean.env, ...env, TSDASK_PYTHON: python().path },
        deadline: 100,
      });
    };

    test.each(faults.map((fault, index) => [fault.name, kinds[index % kinds.length] ?? "openmpi4", fault] as const))(
      "%s, under %s",
      async (_, kind, fault) => {
        await using clean = nothingLeft();
        const failed: Finished = await start(clean, kind, fault);
        expect(failed.code, tell(failed)).toBe(fault.exit);
        expect(failed.seconds, tell(failed)).toBeLessThan(toldWithin);
        expectTold(failed.stderr, fault);
        if (fault.there !== undefined) expect(failed.stderr).toMatch(/where: ranks? [23](-3)? on h2$/m);
      },
    );

    test.each(kinds)("a host that comes when the script has ended leaves with its code, under %s", async (kind) => {
      await using clean = nothingLeft();
      clean.write("script.py", 'print("done")');
      const words = [
        "sh",
        "-c",
        '[ "$(hostname)" != h2 ] || sleep 4; exec "$@"',
        "sh",
        tsdask,
        "--no-dashboard",
        "script.py",
      ];
      const finished = await run(hosts.mpirun(kind, { h1: 3, h2: 2 }, words), {
        folder: clean.folder,
        env: { ...clean.env, TSDASK_PYTHON: python().path },
        deadline: 100,
      });
      expect(finished.code, tell(finished)).toBe(0);
      expect(finished.stdout).toBe("done\n");
      expect(finished.stderr).not.toContain("TSD-");
    });

    test.each(kinds)(
      "the doctor behind %s: one report for all hosts, and the odd one out by its name",
      async (kind) => {
        await using clean = nothingLeft();
        clean.write("notes", "x");
        const odd = `[ "$(hostname)" != h2 ] || export TSDASK_LOCAL_DIRECTORY=notes/scratch; exec "$@"`;
        const words = ["sh", "-c", odd, "sh", tsdask, "doctor"];
        const report = await run(hosts.mpirun(kind, { h1: 2, h2: 1 }, words), {
          folder: clean.folder,
          env: { ...clean.env, TSDASK_PYTHON: python().path },
          deadline: 60,
        });
        expect(report.code, tell(report)).not.toBe(0);
        expect(report.stdout).toMatch(/^tsdask-mpi doctor, 2 hosts \(h\[1-2\]\)$/m);
        expect(report.stdout).toMatch(/^ {2}ERROR {3}spill +\[h2\] .*notes\/scratch/m);
        expect(report.stdout).toMatch(/^ {2}ok +spill +\[h1\] /m);
        expect(report.stdout).toMatch(/all 3 ranks' hosts met/);
        for (const name of ["ports", "names", "clock", "shared folder"])
          expect(report.stdout).toMatch(new RegExp(`^ {2}ok +${name} `, "m"));
        expect(report.stdout.match(/^ {2}ERROR/gm)).toHaveLength(1);
      },
    );

    test("the report of a launch on two hosts whose scheduler was killed is there, with both hosts and the reason", async () => {
      await using clean = nothingLeft();
      clean.allow(/^page\.html$/);
      clean.write("killer.py", killer);
      const words = [tsdask, "--no-dashboard", "--wait-workers", "all", "--report", "page.html", "killer.py"];
      const failed = await run(hosts.mpirun("openmpi4", { h1: 2, h2: 2 }, words), {
        folder: clean.folder,
        env: { ...clean.env, TSDASK_PYTHON: python().path },
        deadline: 60,
      });
      expect(failed.code, tell(failed)).toBe(72);
      const page = readFileSync(join(clean.folder, "page.html"), "utf8");
      for (const part of [
        "the scheduler was lost; the launch is over, exit code 72",
        "TSD-051 The Dask scheduler was lost (rank 0 on h1): it was killed (SIGKILL)",
        "<td>h1</td><td>0-1</td><td>scheduler (rank 0), script (rank 1)</td>",
        "<td>h2</td><td>2-3</td><td>2 workers</td>",
        "The script started after",
        "There is none: the scheduler was gone",
      ])
        expect(page).toContain(part);
      expect(page).toMatch(/The last of 2 workers \(rank [23] on h2\) was in [\d.]+ s after the first process/);
    });

    test("a firewall before the scheduler's port alone: who cannot reach it is said, and the cure is a port that it lets through", async () => {
      await using clean = nothingLeft();
      const [port = 0, other = 0] = await freePorts(2);
      await using _ = await hosts.firewall("h1", "h2", String(port));
      const begin = (...options: string[]): Promise<Finished> =>
        start(clean, "openmpi4", { options: [...options, "--start-timeout", "25s"] });
      const failed = await begin("--scheduler-port", String(port));
      expect(failed.stderr, tell(failed)).toMatch(
        new RegExp(`TSD-165 h2 cannot reach the scheduler at tls://10\\.77\\.0\\.1:${port}: `),
      );
      expect([failed.code, ...new Set(failed.stderr.match(/TSD-\d{3}/g))]).toEqual([69, "TSD-165", "TSD-053"]);
      const mended = await begin("--scheduler-port", String(other));
      expect(mended.stdout, tell(mended)).toContain("total 499500");
    });

    test("a firewall between the hosts: the launch ends, and says between which", async () => {
      await using clean = nothingLeft();
      await using _ = await hosts.firewall("h1", "h2", "32768-65534");
      const failed = await start(
        clean,
        "openmpi4",
        { there: {} },
        { OMPI_MCA_oob_tcp_dynamic_ipv4_ports: "20000-20100" },
      );
      expect(failed.code, tell(failed)).toBe(69);
      expect(failed.seconds, tell(failed)).toBeLessThan(60);
      expectTold(failed.stderr, {
        code: "TSD-022",
        names: /on h2 could not connect to rank 0 on h1 \(10\.77\.0\.1:\d+\)/,
        says: /Name the network that the hosts share/,
      });
    });

    test.each(kinds)("a Python that hangs on one host does not keep a launch that is over, under %s", async (kind) => {
      await using clean = nothingLeft();
      // As where the mount of an environment has stalled.
      const hangs = `#!/bin/sh\ncase " $* " in *forkserver.py*) exec sleep 600 ;; esac\nexec ${python().path} "$@"\n`;
      const wrapper = clean.write("python", hangs);
      chmodSync(wrapper, 0o755);
      const ended = await start(clean, kind, { there: { TSDASK_PYTHON: wrapper }, ranks: { h1: 3, h2: 2 } });
      expect(ended.code, tell(ended)).toBe(0);
      expect(ended.stdout).toContain("total 499500");
      expect(ended.seconds, tell(ended)).toBeLessThan(60);
    });

    test.each(kinds)("the cure of each, which is to leave it out, works under %s", async (kind) => {
      await using clean = nothingLeft();
      const mended = await start(clean, kind, {});
      expect(mended.code, tell(mended)).toBe(0);
      expect(mended.stdout).toContain("total 499500");
    });
  });
}
