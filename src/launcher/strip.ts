/**
 * What a launcher puts into a rank's environment for an MPI library to find. A child that inherited it would join a
 * half-open MPI: a script's own `mpirun` refuses to start, and an `import mpi4py` waits for ranks that never come.
 */
const launchers: readonly RegExp[] = [
  /^PMI/, // PMI_*, PMI2_*, PMIX_*: Hydra, Slurm, PALS, Flux, PMIx
  /^OMPI_/,
  /^OPAL_USER_PARAMS_GIVEN$/,
  /^(ORTE|PRTE|PRRTE)_/,
  /^MPI_LOCAL/, // Hydra
  /^(HYDI|HYDRA)_/,
  /^MPIR_CVAR_CH3_INTERFACE_HOSTNAME$/, // Debian's MPICH: this host's name
  /^I_MPI_(INFO_|HYDRA_UUID$|PIN_(INFO|MAPPING)$|MPIRUN$|INTERNAL_|BIND_WIN_ALLOCATE$|RETURN_WIN_MEM_NUMA$)/,
  /^(MV2|MPISPAWN|MPIRUN)_/,
  /^(PALS|JSM|ALPS_APP)_/,
  /^FLUX_(TASK_|JOB_SIZE$|JOB_NNODES$)/,
  /^SLURM_(PROCID|LOCALID|NODEID|GTIDS|TASK_PID|STEP_.*|STEPID|STEPMGR|MPI_TYPE|PMI.*)$/,
  /^SLURM_(SRUN_COMM_.*|LAUNCH_NODE_IPADDR|CPU_BIND.*|MEM_BIND.*|DISTRIBUTION|UMASK)$/,
  /^TSDASK_(COMM_\w+|SCRIPT_NAME|RANK|SIZE|LOCAL_RANK|LOCAL_SIZE|LAUNCH_ID)$/,
  /^TSDASK_CLUSTERS$/, // of a script that starts a launch of its own: it is meant for that script's Python alone
];

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
 * launcher's variables and without the working folder in PYTHONPATH. The batch system's (`SLURM_JOB_*`, `PBS_*`, `LSB_*`, …) and people's own settings stay, so a script may start a launch of its own.
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
 * Whether a PYTHONPATH has an empty element, as `export PYTHONPATH=$PYTHONPATH:…` makes it: Python takes that for the working folder, before its own
 * library (CPython, Modules/getpath.py), and what others have put there would be imported by every Python of a launch.
 */
export function namesWorkingFolder(path: string | undefined): boolean {
  return path !== undefined && path !== "" && path.split(":").includes("");
}

function belongsToLauncher(name: string): boolean {
  return launchers.some((pattern) => pattern.test(name)) && !settings.some((pattern) => pattern.test(name));
}
