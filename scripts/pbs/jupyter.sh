#!/bin/bash
# JupyterLab with a Dask cluster behind it: rank 1 runs JupyterLab, all ranks from 2 on are workers.
# Submit with `qsub -koed jupyter.sh`, which shows the job's output in your home folder while it runs. It holds the ssh line that leads
# from your laptop to JupyterLab and the dashboard; `tsdask-mpi connect` in the same folder prints it again, with the links and their token,
# for you alone. `Client()` in a notebook is connected. The job ends when JupyterLab is shut down from its page (File > Shut Down), or at its time.

# --- change from here ---
#PBS -N dask-jupyter
#PBS -l select=1:ncpus=20:mpiprocs=10:ompthreads=2:mem=64gb
#PBS -l walltime=04:00:00
##PBS -q NAME
##PBS -A NAME
#PBS -j oe

# command -v module >/dev/null || . /etc/profile
# module load python openmpi || exit 1
# source /path/to/venv/bin/activate || exit 1
options=(--jupyter lab --idle-timeout 2h)
mpirun=(mpirun)
# --- to here ---

# A launcher that crashes leaves no core files in this folder.
ulimit -c 0
cd "$PBS_O_WORKDIR" || exit 1
# Open MPI would bind each rank to a single core; tsdask-mpi shares a host's cores out itself.
export OMPI_MCA_hwloc_base_binding_policy=none PRTE_MCA_hwloc_default_binding_policy=none
# Open MPI 4 kills the ranks one second after it is told to end; this leaves the script nine to save what it has.
export OMPI_MCA_odls_base_sigkill_timeout="${OMPI_MCA_odls_base_sigkill_timeout:-9}"
# Open MPI over ssh: the ranks on other nodes are to know their job, too. It takes a list, or -x, and with both it starts nothing.
case " ${mpirun[*]} " in
  *" -x "*) mpirun+=(-x PBS_JOBID ${TSDASK_JOB:+-x TSDASK_JOB}) ;;
  *) export OMPI_MCA_mca_base_env_list="PBS_JOBID;${TSDASK_JOB:+TSDASK_JOB}" ;;
esac

exec "${mpirun[@]}" -np "$(wc -l < "$PBS_NODEFILE")" -machinefile "$PBS_NODEFILE" tsdask-mpi "${options[@]}"
