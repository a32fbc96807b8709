import { launcherVariables } from "./known.ts";

/** Settings that people make themselves under the same prefixes, for their own nested launch or MPI build. */
const settings: readonly RegExp[] = [
  /^(OMPI|PRTE)_ALLOW_RUN_AS_ROOT/,
  /^OMPI_(CC|CXX|FC|F77|CPP|CFLAGS|CXXFLAGS|FCFLAGS|CPPFLAGS|LDFLAGS|LIBS)$/,
  /^OMPI_MCA_(btl|pml|mtl|osc|coll|io|fcoll|sharedfp|oob_tcp|plm_rsh|opal_cuda|opal_warn|rmaps_base_mapping)/,
  /^PRTE_MCA_(plm_ssh|oob_tcp|rmaps_default|hwloc_default)/,
  /^PMIX_MCA_(gds|psec|ptl)/,
  /^HYDRA_(HOST_FILE|LAUNCHER|BOOTSTRAP|IFACE|RMK|ENV$|DEBUG$)/,
];

/**
 * The environment for what a rank starts (the script, JupyterLab, Dask's processes): this rank's own without its
 * launcher's variables (a child that inherited them would join a half-open MPI: a script's own `mpirun` refuses to
 * start, and an `import mpi4py` waits for ranks that never come) and without the working folder in PYTHONPATH. The
 * batch system's (`SLURM_JOB_*`, `PBS_*`, `LSB_*`, …) and people's own settings stay, so a script may start a launch of
 * its own.
 */
export function childEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  // names this common belong to a launcher only together
  const torch = env["RANK"] !== undefined && env["WORLD_SIZE"] !== undefined;
  const kept: Record<string, string> = {};
  for (const name in env) {
    const value = env[name];
    if (value === undefined || belongsToLauncher(name) || (torch && /^(LOCAL_)?(RANK|WORLD_SIZE)$/.test(name)))
      continue;
    if (name !== "PYTHONPATH") kept[name] = value;
    else if (!namesWorkingFolder(value)) kept[name] = value;
    else if (/[^:]/.test(value))
      kept[name] = value
        .split(":")
        .filter((folder) => folder !== "")
        .join(":");
  }
  return kept;
}

/**
 * Whether a PYTHONPATH has an empty element, as `export PYTHONPATH=$PYTHONPATH:…` makes it: Python takes that for the
 * working folder, before its own library (CPython, Modules/getpath.py), and what others have put there would be
 * imported by every Python of a launch.
 */
export function namesWorkingFolder(path: string | undefined): boolean {
  return path !== undefined && path !== "" && path.split(":").includes("");
}

function belongsToLauncher(name: string): boolean {
  return launcherVariables.some((pattern) => pattern.test(name)) && !settings.some((pattern) => pattern.test(name));
}
