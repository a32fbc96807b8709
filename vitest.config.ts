import { defineConfig } from "vitest/config";
import { closingLine } from "./test/closing-line.ts";

/** Tests of single parts that start processes (Dask, shells, openssl, the build) or open hundreds of connections: seconds each. */
const startProcesses = [
  "test/{bin,dependencies,ordinary-places,setup,shell}.test.ts",
  "test/batch/run.test.ts",
  "test/commands/{completion,connect,script,shells}.test.ts",
  "test/config/bundled.test.ts",
  "test/dask/{configuration,rpc,scheduler-file}.test.ts",
  "test/fuzz/*.test.ts",
  "test/host/{fork-server,shell-ranks}.test.ts",
  "test/rank/{client,follower,input-wait,proc-memory,worker-meter}.test.ts",
  "test/registry/find.test.ts",
  "test/rendezvous/hub.test.ts",
  "test/security/site-certificates.test.ts",
  "test/ui/out.test.ts",
];

/**
 * Integration tests that share neither Slurm nor Grid Engine nor a fixed port with the others: about half of them. `npm test` runs them beside
 * the others (scripts/test), since they mostly wait.
 */
const beside = [
  "batch-htcondor",
  "dask-mpi",
  "examples",
  "faults/{files,hosts,scheduler-returns,script,session,start,workers}",
  "install-*",
  "jupyter-*",
  "notebook",
  "prometheus",
  "proxy",
  "python-examples",
  "security*",
  "terminal",
  "ui",
  "usage",
  "world",
].map((name) => `test/integration/${name}.test.ts`);

/** A temporary folder of its own for each test file, in which nothing may stay. */
const setupFiles = ["test/own-temporary-folder.ts"];

/** What comes only on a busy machine's own time: `expect.poll` looks for so long (ms), and is done as soon as it is there. */
const poll = { timeout: 60_000 };

export default defineConfig({
  test: {
    reporters: ["default", closingLine()],
    // `npm run coverage`: the parts that decide, which are pure and need no process to be tested.
    coverage: {
      include: ["src/{cluster,config,protocol}/**/*.ts"],
      reportsDirectory: ".tools/coverage",
      reporter: ["text", "html"],
    },
    projects: [
      {
        // Hermetic: no Dask, no Slurm, no network. What `npm run check` runs.
        test: {
          name: "unit",
          setupFiles,
          include: ["test/**/*.test.ts"],
          exclude: ["test/integration/**", "test/python/**", ...startProcesses],
          // The files share a process: none changes what another one sees.
          isolate: false,
          testTimeout: 120_000,
          expect: { poll },
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "process",
          setupFiles,
          include: startProcesses,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          expect: { poll },
          sequence: { groupOrder: 1 },
        },
      },
      {
        // The Python part, driven as a rank drives it: real processes, one file at a time.
        test: {
          name: "python",
          setupFiles,
          include: ["test/python/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        // Real launchers and real Dask: one file at a time.
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          exclude: beside,
          globalSetup: ["test/integration/bed/setup.ts"],
          fileParallelism: false,
          // Tests that mostly wait are marked as concurrent.
          maxConcurrency: 2,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 3 },
        },
      },
      {
        // As `integration`, for what may run at the same time.
        test: {
          name: "beside",
          include: beside,
          globalSetup: ["test/integration/bed/setup.ts"],
          fileParallelism: false,
          maxConcurrency: 2,
          // A browser and a JupyterLab take a minute on a quiet machine, and this one has the other half to do as well.
          testTimeout: 300_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
});
