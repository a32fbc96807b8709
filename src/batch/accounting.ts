import { Failure } from "../errors/failure.ts";
import { batchSystem } from "./job.ts";
import { commandShell } from "./run.ts";
import type { BatchName } from "./system.ts";

/**
 * What the batch system says that a job uses, or has used, in its own words; undefined where there is no job, or no
 * answer within `deadline` ms.
 */
export async function jobAccounting(
  { system, id }: { readonly system: BatchName; readonly id?: string | undefined },
  { env, deadline }: { readonly env: NodeJS.ProcessEnv; readonly deadline: number },
): Promise<string | undefined> {
  const { accounting } = batchSystem(system);
  if (id === undefined || accounting === undefined) return undefined;
  try {
    const text = await accounting(id, commandShell({ env, deadline }));
    return text.trim() === "" ? undefined : text;
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}
