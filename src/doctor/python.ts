import { execa } from "execa";
import { deadlines } from "../deadlines.ts";
import { jupyterModules } from "../cluster/jupyter-modules.ts";
import { bokehWanted } from "../dask/bokeh.ts";
import { findPython } from "../host/python.ts";
import { pythonTrouble } from "../host/python-trouble.ts";
import { childEnvironment, namesWorkingFolder } from "../launcher/strip.ts";
import { refuseClosedFolder } from "../security/folder-trouble.ts";
import { fine, foretold, message, whySlow, type Row } from "./row.ts";
import { spillRow } from "./spill.ts";
import type { DoctorContext } from "./context.ts";
import { absentRows, namedModules, type Named } from "./modules.ts";

/** What `python/tsdask_mpi/look.py` says of a Python, as one JSON line. */
export interface PythonLook {
  readonly python: string;
  readonly executable: string;
  readonly problem?: { readonly reason: string; readonly message: string };
  readonly packages: Readonly<Record<string, string>>;
  readonly hidden: readonly (readonly [string, string])[];
  /** Modules of the options that are not there. */
  readonly absent: readonly Named[];
  readonly settings: {
    readonly address?: string | null;
    readonly encryption?: boolean | null;
    readonly spill?: string | null;
  };
}

/** The Python that would run Dask, what is in it, and what would break it. */
export async function pythonRows(context: DoctorContext): Promise<Row[]> {
  const { env, cwd, host, options } = context;
  try {
    const found = findPython({ requested: options.python, env, cwd, host, pythonRoot: context.pythonRoot });
    const began = performance.now();
    const ran = await execa(
      found.path,
      [`${context.pythonRoot}/tsdask_mpi/look.py`, cwd, JSON.stringify(namedModules(options))],
      {
        env: childEnvironment(env),
        extendEnv: false,
        cwd,
        reject: false,
        timeout: deadlines.doctorPython,
        stdin: "ignore",
      },
    );
    // The system says the same of a program and of the folder in which it should start.
    if (ran.code === "ENOENT" || ran.code === "EACCES") refuseClosedFolder(cwd);
    const seconds = (performance.now() - began) / 1000;
    const look = parsed(ran.stdout);
    const environment = environmentRows(env);
    if (look === undefined) {
      const words = (ran.stderr ?? "").slice(-8000);
      const last = words.trim().split("\n").at(-1) ?? "";
      const why = ran.timedOut
        ? `it did not import Dask within ${deadlines.doctorPython / 1000} s`
        : last || (ran.shortMessage?.split("\n", 1)[0] ?? String(ran.exitCode));
      const reason = ran.code === undefined ? "ended" : "spawn";
      return [troubleRow(context, found.path, { reason, message: why, words }), ...environment];
    }
    return [...(await lookRows(context, found, look, seconds)), ...environment];
  } catch (error) {
    return [foretold("python", "python", error)];
  }
}

/** The rows of what a Python said of itself. */
async function lookRows(
  context: Pick<DoctorContext, "env" | "host" | "options" | "cwd">,
  found: { readonly path: string; readonly from: string },
  { python, problem, packages, hidden, absent, settings }: PythonLook,
  seconds: number,
): Promise<Row[]> {
  const rows: Row[] = [
    fine("python", "python", `${python} (${found.path}, from ${found.from})`, {
      same: python.split(".").slice(0, 2).join("."),
    }),
  ];
  if (problem !== undefined) return [...rows, troubleRow(context, found.path, problem)];
  const dask = `Dask ${packages["dask"]}, distributed ${packages["distributed"]}`;
  rows.push(fine("python", "dask", dask, { same: dask }));
  rows.push(
    seconds < 8
      ? fine("python", "imports", `Dask imported in ${seconds < 3 ? "a moment" : `${seconds.toFixed(0)} s`}`)
      : {
          group: "python",
          name: "imports",
          state: "warning",
          text: `Dask took ${seconds.toFixed(0)} s to import`,
          ...whySlow({
            cause: "The environment is on a slow or busy file system.",
            cure: "Put the environment on a faster one (the host's own disk, an image), or give the start longer: --start-timeout 10m.",
          }),
          code: "TSD-050",
        },
  );
  if (packages["bokeh"] === undefined && options(context).dashboard)
    rows.push(
      message("python", "bokeh", "TSD-158", { problem: `bokeh is not in ${found.path}`, wanted: bokehWanted("") }),
    );
  else rows.push(fine("python", "bokeh", packages["bokeh"] ?? "not there, and no dashboard is asked for"));
  const { jupyter } = options(context);
  const lab = packages["jupyterlab"];
  const [needed = ""] = jupyter === undefined ? [] : jupyterModules[jupyter].split(".");
  if (jupyter !== undefined && packages[needed] === undefined)
    rows.push(
      message("python", "jupyter", "TSD-161", { kind: jupyter, module: needed, package: needed, python: found.path }),
    );
  else
    rows.push(
      fine("python", "jupyter", lab === undefined ? "not there (only --jupyter needs it)" : `JupyterLab ${lab}`),
    );
  for (const [name, path] of hidden.slice(0, 3))
    rows.push(message("python", `hidden ${name}`, "TSD-155", { name, path }));
  rows.push(...absentRows(absent, { ...context, python: found.path }));
  const { spill } = settings;
  if (spill && context.options.localDirectory === undefined)
    rows.push({ ...(await spillRow(spill, "Dask's temporary-directory", context)), name: "spill of Dask" });
  return [...rows, ...settingsRows(context, settings)];
}

const options = ({ options: all }: Pick<DoctorContext, "options">): DoctorContext["options"] => all;

function settingsRows(context: Pick<DoctorContext, "options">, settings: PythonLook["settings"]): Row[] {
  const rows: Row[] = [];
  if (settings.address)
    rows.push({
      group: "python",
      name: "dask's settings",
      state: "warning",
      text: `Dask's own configuration names a scheduler (${settings.address})`,
      cause:
        "`scheduler-address` in a YAML file of Dask's, or DASK_SCHEDULER_ADDRESS: outside of a launch, `Client()` goes there.",
      cure: "Take it out (`grep -r scheduler-address ~/.config/dask`, `unset DASK_SCHEDULER_ADDRESS`); a launch sets its own for its script.",
    });
  if (settings.encryption === true && context.options.security === "none")
    rows.push(
      message("python", "encryption", "TSD-050", {
        rank: 0,
        host: "the scheduler's host",
        why: "Dask's configuration says `distributed.comm.require-encryption: true`, the options say --security none",
        cause: "The two exclude each other.",
        cure: "Leave out --security none, or set require-encryption to false.",
      }),
    );
  return rows;
}

function troubleRow(
  { env, host }: Pick<DoctorContext, "env" | "host">,
  python: string,
  problem: { readonly reason: string; readonly message: string; readonly words?: string },
): Row {
  const trouble = pythonTrouble({ host, python, env, ...problem });
  return message("python", "dask", trouble.code, trouble.facts);
}

/** Variables that break a Python, seen without starting one; pure. */
function environmentRows(env: NodeJS.ProcessEnv): Row[] {
  const rows: Row[] = [];
  const home = env["PYTHONHOME"];
  if (home)
    rows.push({
      group: "python",
      name: "PYTHONHOME",
      state: "warning",
      text: `PYTHONHOME is ${home}`,
      cause: "It sends every Python there for its library: those of other versions, and of environments, break.",
      cure: "`unset PYTHONHOME`; no environment needs it.",
      code: "TSD-047",
    });
  if (namesWorkingFolder(env["PYTHONPATH"])) rows.push(message("python", "PYTHONPATH", "TSD-127", {}));
  return rows;
}

function parsed(text: string | undefined): PythonLook | undefined {
  try {
    return JSON.parse((text ?? "").trim().split("\n").at(-1) ?? "") as PythonLook;
  } catch {
    // It ended before it could say anything.
    return undefined;
  }
}
