import { describe, expect, test } from "vitest";
import { DASK_MPI_OPTIONS, readDaskMpiOptions } from "../../src/config/dask-mpi.ts";
import type { ReadResult } from "../../src/config/read.ts";
import { kebab } from "../../src/config/option-names.ts";
import { Failure } from "../../src/errors/failure.ts";

const read = (argv: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<ReadResult> =>
  readDaskMpiOptions({ argv, env, cwd: "/w", home: "/h" });

describe("the dask-mpi command line", () => {
  test("has dask-mpi's options", () => {
    expect(DASK_MPI_OPTIONS.map(kebab).sort()).toEqual([
      "dashboard",
      "dashboard-address",
      "exclusive-workers",
      "interface",
      "local-directory",
      "memory-limit",
      "name",
      "nanny",
      "nthreads",
      "protocol",
      "scheduler",
      "scheduler-file",
      "scheduler-port",
      "scheduler-rank",
      "worker-class",
      "worker-options",
    ]);
  });

  test("has its defaults: Nannies, its names, an open cluster, no scheduler file", async () => {
    expect((await read([])).options).toMatchObject({
      program: "dask-mpi",
      script: undefined,
      schedulerAddress: undefined,
      schedulerFile: undefined,
      scheduler: true,
      schedulerRank: 0,
      schedulerPort: 0,
      exclusiveWorkers: true,
      workerClass: "distributed.Nanny",
      nanny: true,
      workerOptions: {},
      name: "dask_mpi",
      security: "none",
      protocol: undefined,
      dashboard: true,
      dashboardAddress: ":8787",
      nthreads: undefined,
      memoryLimit: { kind: "auto" },
    });
  });

  test("reads what dask-mpi's own tests say", async () => {
    const file = ["--scheduler-file", "s.json"];
    expect((await read([...file, "--worker-class", "distributed.Worker"])).options).toMatchObject({
      schedulerFile: "/w/s.json",
      workerClass: "distributed.Worker",
      nanny: false,
    });
    expect((await read([...file, "--inclusive-workers"])).options.exclusiveWorkers).toBe(false);
    expect((await read([...file, "--no-scheduler"])).options.scheduler).toBe(false);
    expect((await read([...file, "--exclusive-workers", "--scheduler-rank", "1"])).options.schedulerRank).toBe(1);
    expect((await read([...file, "--nanny", "--scheduler-port", "56723"])).options).toMatchObject({
      schedulerPort: 56723,
      workerClass: "distributed.Nanny",
    });
    expect((await read([...file, "--no-nanny"])).options).toMatchObject({
      workerClass: "distributed.Worker",
      nanny: false,
    });
    expect((await read([...file, "--dashboard-address", "0", "--no-nanny"])).options.dashboardAddress).toBe(":0");
  });

  test("takes an address before or after the options, with or without scheme, and joins", async () => {
    for (const argv of [
      ["tcp://h:1", "--nthreads", "2"],
      ["--nthreads", "2", "h:1"],
    ]) {
      expect((await read(argv)).options).toMatchObject({
        schedulerAddress: "tcp://h:1",
        scheduler: false,
        nthreads: 2,
        protocol: "tcp",
        security: "none",
      });
    }
  });

  test("ignores what has no effect, as dask-mpi does", async () => {
    expect(
      (
        await read([
          "--no-dashboard",
          "--dashboard-address",
          ":1",
          "--protocol",
          "tcp",
          "--no-scheduler",
          "--scheduler-port",
          "1",
        ])
      ).warnings,
    ).toEqual([]);
  });

  test("takes from the environment how it is run, not what it is", async () => {
    const { options } = await read([], {
      TSDASK_PYTHON: "/py",
      TSDASK_NTHREADS: "7",
      TSDASK_SECURITY: "tls",
      TSDASK_SCHEDULER_FILE: "/x",
      TSDASK_LOG_LEVEL: "error",
    });
    expect(options).toMatchObject({
      python: "/py",
      nthreads: undefined,
      security: "none",
      schedulerFile: undefined,
      logLevel: "error",
    });
  });

  test("asks for help", async () => {
    expect((await read(["--help"])).command).toEqual({ kind: "help" });
  });

  test.each([
    [["--jupyter", "lab"], "TSD-006", "--jupyter is not one of its options"],
    [["--version"], "TSD-006", "--version"],
    [["tcp://h:1", "script.py"], "TSD-006", "runs no script"],
    [["script.py"], "TSD-003", "not an address"],
    [["--worker-options", "{'a': 1}"], "TSD-003", "is not JSON"],
    [["--scheduler-port"], "TSD-008", "--scheduler-port"],
    [["--scheduler-rank", "-1"], "TSD-003", "whole number"],
  ])("refuses %j", async (argv, code, part) => {
    const error: unknown = await read(argv).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(Failure);
    expect(error).toMatchObject({ code, exitCode: 64 });
    expect((error as Failure).message).toContain(part);
  });
});
