import { hostname } from "node:os";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { groupTrouble } from "../config/groups.ts";
import { readNotebook } from "../config/notebook-options.ts";
import type { Options } from "../config/options.ts";
import type { ReadResult } from "../config/read.ts";
import { Failure } from "../errors/failure.ts";
import { visible } from "../errors/visible.ts";
import { namesWorkingFolder } from "../launcher/strip.ts";
import type { Plan } from "../cluster/plan.ts";
import { openClusterNote } from "../dask/open-cluster.ts";
import { statsOf } from "../security/stats.ts";
import { count } from "../ui/ranges.ts";
import type { LeadContext } from "./lead-context.ts";

/** Says what is odd about the options and the environment, on rank 0 for all. */
export function sayWarnings(
  { world, program, env, out }: LeadContext,
  { options, warnings, sources }: ReadResult,
): void {
  if (world.rank !== 0) return;
  const note = openClusterNote({ ...options, program });
  const unused =
    sources.np.kind === "command-line" && world.launcher !== "tsdask"
      ? `--np ${options.np} has no effect here: the launcher has started ${count(world.size, "rank")}.`
      : undefined;
  for (const warning of [...warnings, note, unused].filter((one) => one !== undefined))
    out.write(`tsdask-mpi: ${visible(warning)}\n`);
  if (!namesWorkingFolder(env["PYTHONPATH"])) return;
  void import("../ui/failure-text.ts").then(({ failureText }) => out.write(failureText(new Failure("TSD-127", {}))));
}

/**
 * Refuses, on rank 0, what could not run: throws TSD-191, TSD-015, TSD-052, TSD-112 and those of a mistaken command or
 * notebook.
 */
export async function checkStart(context: LeadContext, options: Options, plan: Plan): Promise<void> {
  const group = groupTrouble(options, plan);
  if (group !== undefined) throw new Failure("TSD-191", group);
  await checkScript(options, context, hostname());
  if (plan.clientRank === undefined && context.world.launcher !== "tsdask") await refuseInput();
}

/** A launch without a script, that nobody would end: throws TSD-112 when there is input that was meant as one. */
async function refuseInput(): Promise<void> {
  if ((await import("../cluster/input.ts")).inputWaits()) throw new Failure("TSD-112");
}

/** Throws TSD-015, TSD-052 and those of a mistaken command or notebook. */
export async function checkScript(
  options: Options,
  context: Pick<LeadContext, "argv" | "env" | "cwd">,
  host: string,
): Promise<void> {
  const { script } = options;
  const { cwd } = context;
  if (script?.kind === "command") {
    const mistaken = await import("../config/mistaken.ts");
    mistaken.refuseMistaken(options, context);
    mistaken.refuseNoProgram(options, context);
  }
  if (script?.kind !== "python" && script?.kind !== "notebook") return;
  const file = script.words[0] ?? "";
  const found = statsOf(resolve(cwd, file));
  if (found === undefined) throw new Failure("TSD-015", { file, cwd, host });
  if (found.isDirectory() && !existsSync(resolve(cwd, file, "__main__.py"))) {
    throw new Failure("TSD-052", { file, problem: "it is a folder without a __main__.py" });
  }
  if (script.kind === "notebook")
    (await import("../cluster/check-notebook.ts")).checkNotebook(readNotebook(script.words, cwd));
}
