#!/bin/bash
# A Dask cluster for one script: rank 0 is the scheduler, rank 1 runs the script, all others are workers.
# Submit with `qsub batch.sh`; the job ends with the script, and with its exit code.

# --- change from here ---
#PBS -N dask
#PBS -l select=2:ncpus=16:mpiprocs=8:ompthreads=2:mem=32gb
#PBS -l place=scatter
#PBS -l walltime=01:00:00
##PBS -q NAME
##PBS -A NAME
#PBS -j oe

# command -v module >/dev/null || . /etc/profile
# module load python openmpi || exit 1
# source /path/to/venv/bin/activate || exit 1
script=(analysis.py)
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

# The file has one line for each rank, whatever MPI this is and whether it knows PBS or not.
exec "${mpirun[@]}" -np "$(wc -l < "$PBS_NODEFILE")" -machinefile "$PBS_NODEFILE" tsdask-mpi "${script[@]}"
