import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { openCommand } from "../../src/commands/open.ts";
import { written } from "../../src/commands/open/lines.ts";
import { serveOpen } from "../../src/commands/open/login-side.ts";
import { rememberedNames } from "../../src/commands/open/remember.ts";
import type { ClusterEntry } from "../../src/registry/cluster-entry.ts";
import { readEntries } from "../../src/registry/entry.ts";
import { statePaths } from "../../src/registry/place.ts";
import { writeEntry } from "../../src/registry/write.ts";

/** An ssh of ours: what is put behind it stands for the connection, and for our program on the login host. */
const folder = mkdtempSync(join(tmpdir(), "tsdask-open-session-"));
afterAll(() => rmSync(folder, { recursive: true }));
const env = { HOME: folder, PATH: `${folder}:${process.env["PATH"] ?? ""}`, FAKE: folder };
const path = (name: string): string => join(folder, name);
const program = (name: string, text: string): void => {
  writeFileSync(path(name), `#!/bin/sh\n${text}`);
  chmodSync(path(name), 0o755);
};
const tell = (told: object): string => `echo 'tsdask-open ${JSON.stringify(told)}'`;
const hello = tell({ event: "hello", version: "0", host: "login1", user: "ada" });
/** Our program there: what it answers to each request. */
const serving = (answers: Readonly<Record<string, string>>): string =>
  [
    hello,
    "while read -r line; do",
    'echo "$line" >> "$FAKE/requests"',
    "case $line in",
    ...Object.entries(answers).map(([op, answer]) => `*'"op":"${op}"'*) ${answer} ;;`),
    "esac; done",
  ].join("\n");
const submitted = tell({ event: "submitted", name: "calm-otter", job: { system: "slurm", id: "7" } });
const stopped = tell({ event: "stopped", how: "its job was cancelled" });

program("ssh", 'case " $* " in *" -M "*) exec "$FAKE/connect";; *" -O "*) exit 0;; esac\nexec "$FAKE/there"\n');
beforeEach(() => {
  rmSync(path("requests"), { force: true });
  program("connect", "exit 0");
});
const requests = (): readonly string[] =>
  existsSync(path("requests"))
    ? [...readFileSync(path("requests"), "utf8").matchAll(/"op":"(\w+)"/g)].map(([, op = ""]) => op)
    : [];

/** Runs a session, and sends it signals: each when the line before it has been said. `go` is there once it waits. */
async function session(words: readonly string[], ...steps: (readonly [RegExp, NodeJS.Signals])[]) {
  let said = "";
  const waiting = [...steps];
  rmSync(path("go"), { force: true });
  const write = (text: string): boolean => {
    said += text;
    const [when, signal] = waiting[0] ?? [];
    if (signal !== undefined && when?.test(text) === true) {
      waiting.shift();
      process.listeners(signal).at(-1)?.(signal);
    }
    if (text.includes("waits for its id")) writeFileSync(path("go"), "");
    return true;
  };
  const code = await openCommand(["--no-ask", "--no-browser", ...words, "login"], {
    ...{ env, cwd: folder, stdout: { write }, stderr: { write } },
  });
  return { code, said };
}

describe("the end of a session by its user", () => {
  it("before the job is submitted submits none", async () => {
    program("there", serving({ submit: submitted, stop: stopped }));
    const { code, said } = await session(["--at-end", "stop"], [/connected to/, "SIGINT"]);
    expect(code).toBe(130);
    expect(said).toContain("ended by you; nothing was submitted");
    expect(requests()).toEqual([]);
  });

  /** Is there for longer than the test looks, and says that it has begun. */
  const stays = ': > "$FAKE/begun"; exec sleep 30\n';

  it.each([
    ["ssh connects", `echo Hm >&2; ${stays}`, "exit 1\n"],
    [
      "ssh connects, and what it has started stays",
      `sleep 60 & echo $! > "$FAKE/started"; echo Hm >&2; ${stays}`,
      "exit 1\n",
    ],
    ["a login shell loads modules", "exit 0\n", stays],
  ])("while %s ends that at once", async (_, connect, there) => {
    program("connect", connect);
    program("there", there);
    for (const name of ["begun", "started"]) rmSync(path(name), { force: true });
    const listeners = process.listenerCount("SIGTERM");
    const listens = (): boolean => existsSync(path("begun")) && process.listenerCount("SIGTERM") > listeners;
    const signalled = async (): Promise<number> => {
      await expect.poll(listens).toBe(true);
      process.listeners("SIGTERM").at(-1)?.("SIGTERM");
      return performance.now();
    };
    const [{ code, said }, from] = await Promise.all([
      session([]).finally(() => {
        const started = existsSync(path("started")) ? Number(readFileSync(path("started"), "utf8")) : 0;
        if (started > 0) process.kill(started);
      }),
      signalled(),
    ]);
    expect({ code, said }).toEqual({
      code: 143,
      said: expect.stringMatching(
        /^(tsdask-mpi: ssh: Hm\n)?tsdask-mpi: ended by you; nothing was submitted\n$/,
      ) as string,
    });
    expect(performance.now() - from).toBeLessThan(20_000);
  });

  // The note is said while the batch system takes the job, which it has done once the session has said that it waits.
  const slow = `${tell({ event: "note", text: "sbatch" })}; until [ -e "$FAKE/go" ]; do sleep 0.05; done; ${submitted}`;

  it("while the job is submitted waits for its id, and then does as --at-end says", async () => {
    program("there", serving({ submit: slow, stop: stopped }));
    const stop = await session(["--at-end", "stop"], [/sbatch/, "SIGINT"]);
    expect(stop.code).toBe(0);
    expect(stop.said).toMatch(/waits for its id[\s\S]*job 7 is submitted[\s\S]*calm-otter has ended/);
    expect(requests()).toEqual(["submit", "stop"]);
    const leave = await session(["--at-end", "leave"], [/sbatch/, "SIGTERM"]);
    expect(leave.code).toBe(0);
    expect(leave.said).toMatch(/job 7 is submitted[\s\S]*calm-otter goes on; back to it with/);
    expect(await rememberedNames(env)).toEqual(["calm-otter"]);
  });

  it("twice does not wait, and says what is not known", async () => {
    program("there", serving({ submit: slow }));
    const { code, said } = await session([], [/sbatch/, "SIGINT"], [/waits for its id/, "SIGTERM"]);
    expect(code).toBe(143);
    expect(said).toContain("ended by you; look with `tsdask-mpi list` there whether a job was submitted");
  });

  it("leaves no job that is not in the list, when the laptop goes while the batch system takes it", async () => {
    program("sbatch", "sleep 0.2; echo 7\n");
    const input = new PassThrough();
    input.end(written({ op: "submit", system: "slurm", options: [], words: ["--cluster-name", "calm-otter"] }));
    expect(await serveOpen(env, input, { write: () => true })).toBe(0);
    const listed = await readEntries(statePaths(env).clusters);
    expect(listed.map(({ entry: { name, job } }) => [name, job.id])).toEqual([["calm-otter", "7"]]);
  });
});

it("follows, on the login host, the launch of a job that HTCondor calls by the number of several", async () => {
  const state = { ...env, XDG_STATE_HOME: path("condor-state") };
  await writeEntry(
    {
      ...{
        format: 1,
        version: "0",
        name: "night",
        launch: "abc.1",
        state: "ended",
        why: "its script has ended",
        code: 0,
      },
      ...{ started: Date.now() / 1000, pid: 1, startTime: "1", host: "n1", machine: "m", hosts: ["n1"] },
      ...{ ranks: 3, workers: 1, cwd: folder, folder, security: "tls", grace: 1 },
      job: { system: "htcondor", id: "12.0" },
    },
    state,
  );
  const input = new PassThrough();
  let said = "";
  const serving = serveOpen(state, input, { write: (line) => (said += line) });
  input.write(written({ op: "follow", target: { job: { system: "htcondor", id: "12" } } }));
  await expect.poll(() => said).toMatch(/"event":"(?:ended|failure)"/);
  input.end();
  await serving;
  expect(said).toContain('"event":"ended","why":"its script has ended","code":0');
});

it("waits, on the login host, for credentials of a scheduler that does not answer, as long as its cluster has not ended", async () => {
  const state = { ...env, XDG_STATE_HOME: path("busy-state") };
  const entry: Omit<ClusterEntry, "state"> = {
    ...{ format: 1, version: "0", name: "busy", launch: "abc.1", job: { system: "local" } },
    ...{ started: Date.now() / 1000, pid: 1, startTime: "1", host: "n1", machine: "m", hosts: ["n1"] },
    ...{ ranks: 3, workers: 1, cwd: folder, folder, security: "tls", grace: 1 },
  };
  await writeEntry({ ...entry, state: "running" }, state);
  const input = new PassThrough();
  let said = "";
  const serving = serveOpen(state, input, { write: (line) => (said += line) });
  input.write(written({ op: "credentials", target: { name: "busy" } }));
  await sleep(1_500);
  expect(said).not.toContain('"event":"failure"');
  await writeEntry({ ...entry, state: "ended", why: "its script has ended", code: 0 }, state);
  await expect.poll(() => said, { timeout: 10_000 }).toContain('"event":"failure"');
  input.end();
  await serving;
  expect(said).toContain('"code":"TSD-176","facts":{"name":"busy","why":"its script has ended"}');
});

it("cancels its own job where that can never run, and says that it has", async () => {
  const facts = { system: "slurm", jobs: "7", reason: "BadConstraints", hint: "Cancel it, and ask for less." };
  program(
    "there",
    serving({ submit: submitted, follow: tell({ event: "failure", code: "TSD-141", facts }), stop: stopped }),
  );
  await expect(session([])).rejects.toThrow(/TSD-141[\s\S]*cure: {2}`open` has cancelled it: ask for less\.$/);
  expect(requests()).toEqual(["submit", "follow", "stop"]);
});

describe("a connection", () => {
  const ended = tell({ event: "ended", why: "its script has ended", code: 0 });
  const waits = tell({ event: "waits", state: "pending", reason: "Priority" });
  /** What is there the first time, the second and the third. */
  const inTurn = (...programs: readonly string[]): void => {
    rmSync(path("turn"), { force: true });
    for (const [index, text] of programs.entries()) program(`there${index + 1}`, text);
    program("there", 'echo >> "$FAKE/turn"; exec "$FAKE/there$(wc -l < "$FAKE/turn")"\n');
  };

  it.each([
    ["drops", "echo Welcome; exit 255\n"],
    ["finds no program there yet", "echo 'sh: tsdask-mpi: not found' >&2; exit 127\n"],
  ])("that %s while it is made again is made once more", async (_, again) => {
    inTurn(serving({ submit: submitted, follow: `${waits}; exit 255` }), again, serving({ follow: ended }));
    const { code, said } = await session([]);
    expect(code).toBe(0);
    expect(said).toMatch(/is lost; connecting again[\s\S]*connected again[\s\S]*calm-otter has ended/);
  });

  const up = tell({
    ...{ event: "up", name: "calm-otter", address: "tcp://127.0.0.1:8786" },
    record: { launch: "abc.1", host: "login1", folder: "/f", dashboard: null, jupyter: null, security: "none" },
  });
  const credentials = tell({ event: "credentials", packages: {} });

  it("that is made again leads to the scheduler again, whose credentials are here", async () => {
    inTurn(
      serving({ submit: submitted, follow: up, credentials: `${credentials}; sleep 0.5; exit 255` }),
      serving({ follow: `${up}; sleep 0.5; ${ended}` }),
    );
    const { code, said } = await session(["--client", "--python", "false"]);
    expect(code).toBe(0);
    expect(said).toMatch(/DASK_CONFIG=[\s\S]*connected again[\s\S]*calm-otter has ended/);
    expect(requests()).toEqual(["submit", "follow", "credentials", "follow"]);
  });

  it("that drops before the credentials are here leaves a cluster that goes on", async () => {
    program("there", serving({ submit: submitted, follow: up, credentials: "exit 255" }));
    await expect(session(["--client"])).rejects.toThrow(/TSD-173 [\s\S]*The cluster goes on: open it again/);
  });

  it("that drops before our program answers is told from a program that is not there", async () => {
    program("there", "exit 255\n");
    await expect(session([])).rejects.toThrow(/TSD-173 .* the connection was lost before tsdask-mpi answered\./);
    program("there", "exit 0\n");
    await expect(session([])).rejects.toThrow("TSD-174");
  });
});
