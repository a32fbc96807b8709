import type { Options, Sources } from "../config/options.ts";
import type { ForkServer } from "../host/fork-server.ts";
import type { World } from "../launcher/world.ts";
import type { Out } from "../ui/out.ts";
import type { JoinedCluster } from "./join.ts";
import type { Plan } from "./plan.ts";

/** What rank 0 knows of its launch before it sets it up. */
export interface RankZeroContext {
  readonly world: World;
  readonly options: Options;
  readonly sources: Sources;
  readonly plan: Plan;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly out: Out;
  readonly python: string;
  readonly pythonRoot: string;
  /** The key that all hosts share, and the cluster folder that follows from it. */
  readonly key: string;
  readonly folder: string;
  readonly schedulerFile: string;
  readonly schedulerFileIsDefault: boolean;
  readonly multiHost: boolean;
  /** How many ranks this host has, where the launcher tells. */
  readonly localSize: number | undefined;
  /** The user has said how workers are called. */
  readonly workersAreNamed: boolean;
  readonly addresses: readonly string[];
  readonly forkServer: Promise<ForkServer>;
  /** The cluster that this launch joins instead of starting one. */
  readonly join: Promise<JoinedCluster> | undefined;
  readonly prompt: boolean;
  readonly started: number;
  readonly finished: (code: number) => void;
}
