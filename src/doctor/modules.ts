import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { startTrouble } from "../rank/start-trouble.ts";
import type { Options } from "../config/options.ts";
import type { DoctorContext } from "./context.ts";
import { message, type Row } from "./row.ts";

/** An option and the module, without what is in it, that it names: `--worker-class` and `dask_cuda`. */
export type Named = readonly [option: string, module: string];

/** The modules that the options of a launch name; pure. */
export function namedModules({
  workerClass,
  preload,
  warm,
}: Pick<Options, "workerClass" | "preload" | "warm">): readonly Named[] {
  const top = (name: string): string => name.split(".", 1)[0] ?? name;
  const preloads = preload.flatMap(([name = ""]) =>
    /^[A-Za-z_][\w.]*$/.test(name) && !name.endsWith(".py") ? [name] : [],
  );
  return [
    ["--worker-class", top(workerClass)],
    ...preloads.map((name): Named => ["--preload", top(name)]),
    ...warm.map((name): Named => ["--warm", top(name)]),
  ];
}

/** The rows of modules that are not in a Python, and of preloads that are files and are not there. */
export function absentRows(
  absent: readonly Named[],
  { options, cwd, host, python }: Pick<DoctorContext, "options" | "cwd" | "host"> & { readonly python: string },
): Row[] {
  const files = options.preload.flatMap(([name = ""]) =>
    name.endsWith(".py") && !existsSync(resolve(cwd, name)) ? [["--preload", name] as const] : [],
  );
  return [...absent, ...files].map(([option, name]) => {
    const why = `${option} names ${name}, which ${name.endsWith(".py") ? "is not there" : `is not in ${python}`}`;
    if (option === "--warm") return message("python", `module ${name}`, "TSD-046", { host, python, problem: why });
    const trouble = startTrouble("import");
    if (option === "--preload")
      return message("python", `module ${name}`, "TSD-050", { rank: 0, host, why, ...trouble });
    const cause = "The class of --worker-class is in a module that this Python does not have.";
    return message("python", `module ${name}`, "TSD-207", { host, why, ...trouble, cause });
  });
}
