import { jobOf } from "./describe.ts";
import type { BatchSystem, Job } from "./system.ts";

function describe(env: NodeJS.ProcessEnv): Job | undefined {
  const id = env["FLUX_JOB_ID"] || env["FLUX_ENCLOSING_ID"];
  if (id === undefined || id === "") return undefined;
  return jobOf({ system: "flux", jobId: asciiId(id) });
}

/** A Flux id in F58 with an ASCII `f` for the `ƒ` of UTF-8 terminals; Flux takes both. */
export function asciiId(id: string): string {
  return id.replace(/^ƒ/, "f");
}
export const flux = { name: "flux", describe } as unknown as BatchSystem;
