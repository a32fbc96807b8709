#!/bin/bash
# More workers for a running Dask cluster: every rank is a worker, and finds the cluster through its scheduler.json.
#   one job:            sbatch workers.sh
#   an array of ten:    sbatch --array=1-10 workers.sh
#   as many as needed:  tsdask-mpi adapt --max 40 --script workers.sh
# The jobs may start before the cluster does: they wait for it. They leave when it ends, and before their time is over
# their results move to other workers, so that nothing is lost.

# --- change from here ---
#SBATCH --job-name=dask-workers
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=2
#SBATCH --mem=16G
#SBATCH --time=01:00:00
##SBATCH --partition=NAME
##SBATCH --account=NAME
#SBATCH --output=%x-%j.out

# command -v module >/dev/null || . /etc/profile
# module load python openmpi || exit 1
# source /path/to/venv/bin/activate || exit 1
scheduler_file=scheduler.json             # of the cluster to join
options=(--start-timeout 30m)
launch=srun                               # or: mpirun
# --- to here ---

# A launcher that crashes leaves no core files in this folder.
ulimit -c 0
if [ "$launch" = srun ]; then
  export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"
  run=(srun)
else
  export OMPI_MCA_hwloc_base_binding_policy=none PRTE_MCA_hwloc_default_binding_policy=none
  # Open MPI 4 kills the ranks one second after it is told to end; this leaves the script nine to save what it has.
  export OMPI_MCA_odls_base_sigkill_timeout="${OMPI_MCA_odls_base_sigkill_timeout:-9}"
  run=("$launch" -np "$SLURM_NTASKS")
fi

# `tsdask-mpi scale` and `adapt` name the cluster in TSDASK_SCHEDULER_FILE.
exec "${run[@]}" tsdask-mpi --no-scheduler --scheduler-file "${TSDASK_SCHEDULER_FILE:-$scheduler_file}" "${options[@]}"
