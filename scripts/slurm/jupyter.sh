#!/bin/bash
# JupyterLab with a Dask cluster behind it: rank 1 runs JupyterLab, all ranks from 2 on are workers.
# Submit with `sbatch jupyter.sh`. The job's output then holds the ssh line that leads from your laptop to JupyterLab and the
# dashboard; `tsdask-mpi connect` in the same folder prints it again, with the links and their token, for you alone.
# `Client()` in a notebook is connected. The job ends when JupyterLab is shut down from its page (File > Shut Down), or at its time.

# --- change from here ---
#SBATCH --job-name=dask-jupyter
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=10
#SBATCH --cpus-per-task=2
#SBATCH --mem=64G
#SBATCH --time=04:00:00
##SBATCH --partition=NAME
##SBATCH --account=NAME
#SBATCH --output=%x-%j.out

# command -v module >/dev/null || . /etc/profile
# module load python openmpi || exit 1
# source /path/to/venv/bin/activate || exit 1
options=(--jupyter lab --idle-timeout 2h)
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

exec "${run[@]}" tsdask-mpi "${options[@]}"
