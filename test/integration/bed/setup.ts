import { stopSlurm } from "./slurm.ts";

/** Before the first integration test: what is started lazily and shared by test files belongs to this process. */
export function setup(): void {
  process.env["BED_OWNER"] = String(process.pid);
}

/** After the last one: nothing shared stays up. */
export async function teardown(): Promise<void> {
  await stopSlurm();
}
