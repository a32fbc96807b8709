import type { Options } from "../config/options.ts";
import type { ReadResult } from "../config/read.ts";
import type { World } from "../launcher/world.ts";

/** What the checks of one host start from. */
export interface DoctorContext {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly host: string;
  readonly uid: number;
  /** The options that a launch would have here; the defaults where they cannot be read, which is a row of its own. */
  readonly options: Options;
  readonly read: ReadResult | undefined;
  readonly readProblem: unknown;
  readonly world: World | undefined;
  readonly worldProblem: unknown;
  readonly pythonRoot: string;
}
