import { expect, test } from "vitest";
import { planFor } from "../../src/cluster/plan.ts";
import { readOptions } from "../../src/config/read.ts";
import { hostAssignments } from "../../src/host/assignment.ts";
import type { LeadContext } from "../../src/host/lead-context.ts";
import type { Assign, Hello } from "../../src/protocol/messages.ts";

/** What the ranks of a launch are told, or why not, whose command lines are these, one for each; rank 0 leads. */
async function settled(...lines: readonly string[]): Promise<readonly PromiseSettledResult<Assign>[]> {
  const [cwd, env, size] = ["/w", {}, lines.length];
  const hellos = lines.map(
    (line, rank): Hello => ({ t: "hello", v: 1, rank, size, pid: process.pid, argv: line.split(" "), cwd, env }),
  );
  const argv = hellos[0]?.argv ?? [];
  const { options } = await readOptions({ argv, env, cwd, home: cwd });
  const context = {
    ...{ world: { launcher: "openmpi", rank: 0, size }, program: "tsdask-mpi", argv, env, cwd, pythonRoot: "p" },
    paths: { base: cwd, folder: cwd, socket: "/w/s", forkSocket: "/w/f" },
  } as unknown as LeadContext;
  const work = hostAssignments({
    ...{ context, host: "h", options, plan: planFor(options, size), python: "python", multiHost: true },
    ...{ workerPrefix: "tsdask", localAddress: () => "10.0.0.1" },
  });
  await work.prepare({
    ...{ t: "welcome", folder: cwd, schedulerFile: "/w/scheduler.json", credentials: null, token: null },
    ...{ namedByRank: false, clientRank: 1, schedulerReturns: false },
  });
  return await Promise.allSettled(hellos.map((hello) => work.assign(hello, hellos)));
}

async function assigned(...lines: readonly string[]): Promise<readonly Assign[]> {
  return (await settled(...lines)).flatMap((told) => (told.status === "fulfilled" ? [told.value] : []));
}

test.each(["distributed.Worker", "my.W"])("a rank ends its worker at its limit of memory, be it a %s", async (name) => {
  const line = `--worker-class ${name} --memory-limit 100MB s.py`;
  const [, , third] = await assigned(line, line, line);
  expect(third).toMatchObject({ roles: ["worker"], terminateAt: 95e6 });
});

test("the parts of a command line divide their host as the groups of --group do", async () => {
  const said = "--resources BIG=1 --nthreads 1 --memory-limit 300MB s.py";
  const parts = await assigned("s.py", "s.py", "s.py", "s.py", said);
  const group = "--group big:ranks=4,resources=BIG=1,nthreads=1,memory-limit=300MB s.py";
  const groups = await assigned(group, group, group, group, group);
  const shares = (all: readonly Assign[]): readonly unknown[] => all.map(({ worker }) => worker?.params.kwargs);
  expect(shares(parts)).toEqual(shares(groups));
  expect(shares(parts)[4]).toMatchObject({ nthreads: 1, memory_limit: 300e6, resources: { BIG: 1 } });
});

test("a rank whose words are wrong says so, and no other rank does", async () => {
  const told = await settled("s.py", "s.py", "s.py", "--nthreads x s.py");
  expect(told.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "fulfilled", "rejected"]);
  expect(told[3]).toMatchObject({ reason: { code: "TSD-003" } });
});

test.each([
  ["s.py", 60],
  ["--jupyter lab", undefined],
  ["--jupyter hub", undefined],
])("--idle-timeout is the scheduler's, and with Jupyter Jupyter's: %s", async (words, seconds) => {
  const line = `--idle-timeout 1m ${words}`;
  const [first] = await assigned(line, line, line);
  expect(first?.scheduler?.params.kwargs?.["idle_timeout"]).toBe(seconds);
});
