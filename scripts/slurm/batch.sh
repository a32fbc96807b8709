#!/bin/bash
# A Dask cluster for one script: rank 0 is the scheduler, rank 1 runs the script, all others are workers.
# Submit with `sbatch batch.sh`; the job ends with the script, and with its exit code.

# --- change from here ---
#SBATCH --job-name=dask
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=2
#SBATCH --mem=32G
#SBATCH --time=01:00:00
##SBATCH --partition=NAME
##SBATCH --account=NAME
#SBATCH --output=%x-%j.out

# command -v module >/dev/null || . /etc/profile
# module load python openmpi || exit 1
# source /path/to/venv/bin/activate || exit 1
script=(analysis.py)
launch=srun                               # or: mpirun
# --- to here ---

# A launcher that crashes leaves no core files in this folder.
ulimit -c 0
if [ "$launch" = srun ]; then
  # From Slurm 22.05 on, srun does not take the job's --cpus-per-task over by itself.
  export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"
  run=(srun)
else
  # Open MPI would bind each rank to a single core; tsdask-mpi shares a host's cores out itself.
  export OMPI_MCA_hwloc_base_binding_policy=none PRTE_MCA_hwloc_default_binding_policy=none
  # Open MPI 4 kills the ranks one second after it is told to end; this leaves the script nine to save what it has.
  export OMPI_MCA_odls_base_sigkill_timeout="${OMPI_MCA_odls_base_sigkill_timeout:-9}"
  run=("$launch" -np "$SLURM_NTASKS")
fi

exec "${run[@]}" tsdask-mpi "${script[@]}"
