import fc from "fast-check";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { expandHostlist } from "../../src/batch/hostlist.ts";
import { batchSystem } from "../../src/batch/job.ts";
import { readJobList } from "../../src/batch/job-list.ts";
import type { Shell } from "../../src/batch/system.ts";
import { parseFile } from "../../src/config/yaml-file.ts";
import { lineChannel } from "../../src/protocol/channel.ts";
import { acceptEvent, acceptFromLeader, acceptFromRank, acceptToLeader } from "../../src/protocol/schemas.ts";
import { encodeFrames, frameDecoder } from "../../src/dask/frames.ts";
import { readSchedulerFile } from "../../src/dask/read-scheduler-file.ts";
import { Failure } from "../../src/errors/failure.ts";
import { holds, near, patience, values } from "./fuzz.ts";

const folder = mkdtempSync(join(tmpdir(), "tsdask-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, "file");

/** Runs a parser; returns what it makes, or undefined where it throws a Failure. Every other error is a defect. */
async function parsed<T>(parse: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await parse();
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}

const deep = (open: string, close = ""): string => open.repeat(50_000) + close.repeat(50_000);

describe("a parser of foreign bytes ends in a value or in its own failure", { timeout: patience }, () => {
  const messages = [
    { t: "join", v: 1, launch: "l", host: "h", rank: 1, proof: "p" },
    { t: "challenge", nonce: "n" },
    { t: "hello", rank: 0, pid: 1 },
    {
      t: "event",
      rank: 1,
      event: { k: "scheduler-ready", address: "tls://10.0.0.1:1", identity: {}, dashboard: null },
    },
    { t: "end", code: 0, grace: 1 },
    { k: "exit", code: 0, signal: null },
  ];
  test("the messages of hub, leaders and rank agents", async () => {
    await holds(
      values(messages),
      (value) => {
        for (const accept of [acceptEvent, acceptFromLeader, acceptFromRank, acceptToLeader]) accept(value);
        expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
      },
      [JSON.parse('{"t":"event","__proto__":{"polluted":1}}'), JSON.parse(`${"[".repeat(5_000)}${"]".repeat(5_000)}`)],
    );
  });

  test("the lines of the host's socket, in pieces of any size", async () => {
    const lines = fc.array(
      fc.oneof(
        near(messages.map((one) => JSON.stringify(one))),
        values(messages).map((one) => JSON.stringify(one)),
      ),
      { maxLength: 6 },
    );
    await holds<[string[], number]>(
      fc.tuple(lines, fc.integer({ min: 1, max: 50 })),
      async ([said, size]) => {
        const socket = new Duplex({ read: () => undefined, write: (_, __, done) => done() });
        const channel = lineChannel<unknown, unknown>(socket as Socket, acceptFromRank);
        channel.onMessage(() => undefined);
        const bytes = Buffer.from(`${said.join("\n")}\n`);
        for (let at = 0; at < bytes.length && !socket.destroyed; at += size)
          socket.emit("data", bytes.subarray(at, at + size));
        socket.destroy();
      },
      [[[deep("[")], 4_096]],
    );
  });

  test("Dask's frames, whole, cut and wrong", async () => {
    const frames = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 });
    await holds(
      fc.tuple(
        fc.array(
          fc.oneof(
            frames.map((one) => encodeFrames(one)),
            fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
          ),
          { maxLength: 6 },
        ),
        fc.integer({ min: 1, max: 30 }),
      ),
      async ([parts, size]) => {
        const bytes = Buffer.concat(parts);
        const decoder = frameDecoder({ peer: "p", largest: 4_096 });
        await parsed(() => {
          for (let at = 0; at < bytes.length; at += size)
            for (const message of decoder.push(bytes.subarray(at, at + size)))
              expect(message.length).toBeLessThanOrEqual(4_096);
        });
      },
    );
    await holds(fc.array(frames, { maxLength: 5 }), (all) => {
      const got = frameDecoder({ peer: "p" }).push(Buffer.concat(all.map((one) => encodeFrames(one))));
      expect(got.map((one) => one.map((frame) => [...frame]))).toEqual(
        all.map((one) => one.map((frame) => [...frame])),
      );
    });
  });

  test("scheduler.json and the list of worker jobs", async () => {
    const place = { host: "h", port: 1 };
    const cluster = {
      version: "1",
      launch: "l",
      pid: 1,
      host: "h",
      hub: { addresses: [], fingerprint: "" },
      folder: "/f",
      dashboard: place,
      jupyter: null,
      hosts: [],
      security: "tls",
      started: 1,
    };
    const samples = [
      { type: "Scheduler", id: "x", address: "tls://h:1", services: {}, workers: {}, tsdask: cluster },
      { version: 1, jobs: [] },
      { system: "slurm", id: "1", host: "h", submitted: 1, expected: 1, joined: false },
    ];
    await holds(
      fc.oneof(
        near(['{"id":', '"address":"tls://h:1"']),
        values(samples).map((one) => JSON.stringify(one)),
      ),
      async (text) => {
        writeFileSync(file, text);
        const read = await parsed(() => readSchedulerFile(file));
        if (read !== undefined) expect(read.address).toMatch(/^[a-z]\S+$/);
        await parsed(() => readJobList(file));
      },
      [deep("["), deep('{"a":', "}"), "\ufeff{}"],
    );
  });

  test("YAML of the user and the site", async () => {
    await holds(
      near([
        "workers: 4\n",
        "script:\n  name: x\n",
        "&a ",
        "*a",
        "<<: *a\n",
        "? ",
        "- ",
        "!!binary ",
        "!!set ",
        "|\n",
        ">-\n",
        "%YAML 1.1\n",
        "---\n",
        "#",
        "grace: 5s\n",
      ]),
      async (text) => {
        await parsed(() => parseFile("user", "f.yaml", text));
      },
      [
        deep("["),
        deep("- "),
        deep("{a: "),
        `a: &a [x,x]\n${Array.from({ length: 30 }, (_, i) => `b${i}: &b${i} [*a,*a]`).join("\n")}`,
        "? *a\n: 1",
        "? [a]\n: 1",
        "<<: 1",
        "python: &a [*a]",
      ],
    );
  });

  test("lists of hosts", async () => {
    await holds(
      near(["n[1-3,07]", "login1", "[1-99999]", "[000-999]", "a[1][2]"]),
      (text) => {
        const before = process.cpuUsage();
        const hosts = expandHostlist(text);
        expect(hosts?.length ?? 0).toBeLessThanOrEqual(100_000);
        // The processor's time: others may have it meanwhile.
        expect(process.cpuUsage(before).user).toBeLessThan(2_000_000);
      },
      [deep("["), deep(","), deep("a,", "]"), deep("[1]"), "a[1-99999],".repeat(500), "[0-999][0-999][0-999]"],
    );
  });

  test("the answers of batch systems", async () => {
    const words = [
      "123|123|RUNNING|None\n",
      "Job Id: 1.pbs\n",
      "    job_state = R\n",
      "<job_list>",
      "<JB_job_number>1</JB_job_number>",
      "1 RUN\n",
      "1|constructor\n",
      "constructor",
      "__proto__",
      '{"items":[]}',
      '{"status":{"conditions":[]}}',
      "JobStatus = 2\n",
      "f1 R\n",
      "1767225600|1767225600|60",
    ];
    const states = ["gone", "ending", "held", "pending", "running"];
    await holds<[string, string, number]>(
      fc.tuple(
        near(words),
        fc.constantFrom("slurm", "pbs", "sge", "lsf", "flux", "htcondor", "kubernetes"),
        fc.constantFrom(0, 1),
      ),
      async ([text, name, code]) => {
        const shell: Shell = { run: async () => ({ code, stdout: text, stderr: "" }), now: () => 0, env: {} };
        const system = batchSystem(name as "slurm");
        const seen = await parsed(() => system.states(["1", "123"], shell));
        for (const state of seen?.values() ?? []) expect(states).toContain(state);
        await parsed(() => system.inquire({ system: name, jobId: "1" } as never, shell));
        await parsed(() => system.submit({ path: file }, shell));
        await parsed(() => system.cancel(["1"], shell));
      },
      [
        ["1|1|constructor|x", "slurm", 0],
        ["1|1|__proto__|x", "slurm", 0],
        ["Job Id: 1\n    job_state = toString\n", "pbs", 0],
      ],
    );
  });
});
