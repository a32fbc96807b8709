import type { Options } from "../config/options.ts";
import { messages } from "../errors/messages.ts";
import type { RankZero } from "../cluster/rank-zero.ts";
import type { Channel } from "../protocol/channel.ts";
import type { FromLeader, RankEvent, ToLeader } from "../protocol/messages.ts";
import type { ForkServer } from "./fork-server.ts";
import { pythonTrouble } from "./python-trouble.ts";

/** Tells the hub what this host's Python is, once it is known, or what is wrong with it. */
export function reportPython({
  forkServer,
  zero,
  up,
  rank,
  options,
  host,
  python,
  env,
}: {
  readonly forkServer: ForkServer;
  readonly zero: RankZero | undefined;
  readonly up: Channel<FromLeader, ToLeader>;
  readonly rank: number;
  readonly options: Options;
  readonly host: string;
  readonly python: string;
  readonly env: NodeJS.ProcessEnv;
}): void {
  const tell = (event: RankEvent): void => up.send({ t: "event", rank, event });
  forkServer.onReady((ready) => {
    zero?.pythonKnown({ version: ready.python, dask: ready.dask });
    up.send({
      t: "python",
      report: {
        host,
        executable: ready.executable,
        python: ready.python,
        dask: ready.dask,
        distributed: ready.distributed,
        packages: ready.packages,
      },
    });
    // All hosts have the same release, and one says so for all.
    if (zero !== undefined && ready.newest_tested !== null)
      tell({
        k: "note",
        level: "info",
        text: `distributed ${ready.distributed} is newer than ${ready.newest_tested}, the newest that tsdask-mpi was tested with`,
      });
    for (const module of ready.missing) {
      const [name = module] = module.split(".");
      const facts = { kind: options.jupyter, module: name, package: name, python };
      tell({ k: "failure", code: "TSD-161", facts, exit: 64 });
    }
    for (const [name, path] of ready.hidden.slice(0, 3)) tell({ k: "warning", code: "TSD-155", facts: { name, path } });
  });
  forkServer.onFailed((failure) => {
    const trouble = pythonTrouble({ host, python, env, ...failure });
    const { exit } = messages[trouble.code];
    tell(
      trouble.fatal
        ? { k: "failure", code: trouble.code, facts: trouble.facts, exit }
        : { k: "warning", code: trouble.code, facts: trouble.facts },
    );
  });
}
