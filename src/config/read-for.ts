import { readOptions, type ReadResult } from "./read.ts";

/** The options of a command line, of ours or of dask-mpi's. */
export async function readFor(
  program: "tsdask-mpi" | "dask-mpi",
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  cwd: string,
): Promise<ReadResult> {
  if (program === "tsdask-mpi") return readOptions({ argv, env, cwd });
  const { readDaskMpiOptions } = await import("./dask-mpi.ts");
  return readDaskMpiOptions({ argv, env, cwd });
}
