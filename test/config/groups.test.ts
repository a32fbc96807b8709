import { describe, expect, test } from "vitest";
import { groupTrouble, groupWords, optionsOf } from "../../src/config/groups.ts";
import { Failure } from "../../src/errors/failure.ts";
import { readOptions, type ReadResult } from "../../src/config/read.ts";

const read = (...argv: string[]): Promise<ReadResult> => readOptions({ argv, env: {}, cwd: "/w", home: "/h" });
const wrong = async (...argv: string[]): Promise<string> =>
  read(...argv).then(
    () => "",
    (error: unknown) => (error instanceof Failure ? error.message : "no failure of ours"),
  );

describe("--group", () => {
  test("gives its ranks options of their own, and leaves the others' alone", async () => {
    const { options } = await read(
      ...["--nthreads", "4", "--resources", "CPU=4"],
      ...["--group", "gpu:ranks=4-6,9,resources=GPU=1,MEM=2e9,nthreads=1,memory-limit=4GiB"],
      ...["--group", "io: ranks=2 , local-directory=scratch"],
    );
    expect(options.group).toEqual([
      {
        name: "gpu",
        ranks: [4, 5, 6, 9],
        options: { resources: { GPU: 1, MEM: 2e9 }, nthreads: 1, memoryLimit: { kind: "bytes", bytes: 4 * 2 ** 30 } },
      },
      { name: "io", ranks: [2], options: { localDirectory: "/w/scratch" } },
    ]);
    expect(optionsOf(options, 9)).toMatchObject({ nthreads: 1, resources: { GPU: 1 } });
    expect(optionsOf(options, 2)).toMatchObject({ nthreads: 4, resources: { CPU: 4 }, localDirectory: "/w/scratch" });
    expect(optionsOf(options, 7)).toBe(options);
  });

  test("stands in a variable and in a file, too, with semicolons between several", async () => {
    const env = { TSDASK_GROUP: "a:ranks=1;b:ranks=2,3" };
    const { options } = await readOptions({ argv: [], env, cwd: "/w", home: "/h" });
    expect(options.group.map(({ name, ranks }) => [name, ranks])).toEqual([
      ["a", [1]],
      ["b", [2, 3]],
    ]);
  });

  test.each([
    ["gpu", "no name and a colon"],
    ["ranks=1", "no name and a colon"],
    ["gpu:ranks=4-2", "4-2"],
    ["gpu:ranks=x", '"x"'.replaceAll('"', "")],
    ["gpu:ranks=0-9999999", "0-9999999"],
    ["gpu:ranks=1,threads=2", "threads=2"],
    ["gpu:ranks=1,resources=GPU=1,ntreads=2", "ntreads=2"],
    ["gpu:ranks=1,nthreads=0", "gpu nthreads=0, which must be a whole number"],
    ["gpu:resources=", "gpu resources=, which has no value"],
    ["gpu:ranks=", "ranks= without a rank"],
    ["", "names no group"],
    ["gpu:ranks=1,nthreads=1,nthreads=2", "nthreads twice"],
    ["gpu:ranks=1;gpu:ranks=2", "the group gpu twice"],
    ["a:ranks=1-3;b:ranks=3", "rank 3 in two groups, a and b"],
  ])("%s is refused, and says why", async (text, says) => {
    expect(await wrong("--group", text)).toContain(says);
  });

  test("without ranks is for workers that come later, whose launches read its words as they were meant", async () => {
    const said = [
      "gpu:resources=GPU=1,MEM=2e9,nthreads=auto,memory-limit=0.25",
      "big:memory-limit=1GiB,local-directory=scratch,worker-class=distributed.Nanny,lifetime=1h",
      "free:memory-limit=none,nthreads=2",
    ];
    const { options } = await read(...said.flatMap((text) => ["--group", text]));
    for (const { ranks, options: own } of options.group) {
      expect(ranks).toEqual([]);
      const argv = Object.entries(groupWords(own)).flatMap(([word, text]) => [`--${word}`, text]);
      expect((await read(...argv)).options).toMatchObject(own);
    }
  });

  test.each(["--no-scheduler", "tcp://h:8786"])(
    "of a variable or a file is not one of a launch that joins a cluster by %s, the command line's is",
    async (joins) => {
      const env = { TSDASK_GROUP: "gpu:ranks=2-3,resources=GPU=1" };
      const groupsOf = async (...argv: string[]): Promise<readonly string[]> =>
        (await readOptions({ argv, env, cwd: "/w", home: "/h" })).options.group.map(({ name }) => name);
      expect(await groupsOf(joins)).toEqual([]);
      expect(await groupsOf("--group", "io:ranks=1", joins)).toEqual(["io"]);
      expect(await groupsOf()).toEqual(["gpu"]);
    },
  );

  const nanny = "distributed.Nanny";
  test.each([
    ["", nanny, {}],
    ["--worker-class my.W", nanny, { worker_class: "my.W" }],
    ["--worker-class dask_cuda.CUDAWorker", "dask_cuda.CUDAWorker", {}],
    ["--group g:ranks=2,worker-class=my.W", nanny, { worker_class: "my.W" }],
    ["--worker-class my.W --group g:ranks=2,worker-class=distributed.Worker", nanny, {}],
    ["--worker-class my.W --group g:ranks=2,worker-class=dask_cuda.CUDAWorker", "dask_cuda.CUDAWorker", {}],
    ["--worker-class my.W --group g:ranks=2,nthreads=1", nanny, { worker_class: "my.W" }],
  ])("--nanny %s puts Dask's Nanny around rank 2's worker, whatever its class", async (words, workerClass, given) => {
    const { options } = await read("--nanny", ...words.split(" ").filter((word) => word !== ""));
    expect(optionsOf(options, 2)).toMatchObject({ workerClass, workerOptions: given });
    expect(Object.keys(optionsOf(options, 2).workerOptions)).toEqual(Object.keys(given));
  });

  test("names workers of the launch only", async () => {
    const { options } = await read("--group", "gpu:ranks=2-3");
    const plan = (size: number, workerRanks: number[]): ReturnType<typeof groupTrouble> =>
      groupTrouble(options, { size, workerRanks });
    expect(plan(4, [2, 3])).toBeUndefined();
    expect(plan(3, [2])).toEqual({ group: "gpu", problem: expect.stringContaining("0 to 2, and no rank 3") });
    expect(plan(4, [3])).toEqual({ group: "gpu", problem: expect.stringContaining("rank 2 has no worker") });
  });
});
