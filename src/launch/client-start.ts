import type { Options } from "../cli/options.ts";
import type { ToMember } from "../control/messages.ts";
import { clientEnvironment } from "../dask/configuration.ts";
import type { SchedulerFacts } from "./launch.ts";
import type { LaunchSecrets } from "./secrets.ts";

/**
 * What the client's rank starts: the script with the cluster's Python, a notebook executed in place, or a command as it is.
 * Its environment connects a plain `Client()`; secrets are named by file only.
 */
export async function clientStart({ options, python, folder, schedulerFile, scheduler, secrets }: {
  readonly options: Options;
  readonly python: string;
  readonly folder: string;
  readonly schedulerFile: string | undefined;
  readonly scheduler: SchedulerFacts;
  readonly secrets: Promise<LaunchSecrets>;
}): Promise<Extract<ToMember, { t: "client" }>> {
  await secrets;
  const env = clientEnvironment({
    address: scheduler.address,
    folder,
    security: options.security,
    ...(schedulerFile === undefined ? {} : { schedulerFile }),
    ...(options.tls === undefined ? {} : { files: options.tls }),
  });
  const { file, args } = command(options, python);
  return { t: "client", file, args, env, jupyter: options.jupyter !== undefined, grace: options.grace };
}

function command({ script }: Options, python: string): { readonly file: string; readonly args: readonly string[] } {
  const words = script?.words ?? [];
  const [first = "", ...rest] = words;
  switch (script?.kind) {
    case "notebook":
      return { file: python, args: ["-m", "jupyter", "nbconvert", "--to", "notebook", "--execute", "--inplace", first, ...rest] };
    case "command":
      return { file: first, args: rest };
    default:
      return { file: python, args: words };
  }
}
