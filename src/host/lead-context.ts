import type { World } from "../launcher/world.ts";
import type { HostPaths } from "../launcher/host-paths.ts";
import type { Out } from "../ui/out.ts";
import type { HostListener } from "./election.ts";

/** What a host's agent is given. */
export interface LeadContext {
  readonly world: World;
  /** Ctrl-C is the script's while it runs. */
  readonly prompt: boolean;
  readonly program: "tsdask-mpi" | "dask-mpi";
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly uid: number;
  readonly out: Out;
  readonly paths: HostPaths;
  readonly hostKey: string;
  readonly listener: HostListener;
  readonly pythonRoot: string;
  readonly started: number;
  /** The built-in launcher has said that all ranks are started. */
  readonly allStarted: () => boolean;
  /** True: rank 0 apart from the other ranks of its host, which another rank leads. */
  readonly alone?: boolean;
  readonly exit: (code: number) => void;
}
