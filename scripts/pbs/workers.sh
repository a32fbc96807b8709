#!/bin/bash
# More workers for a running Dask cluster: every rank is a worker, and finds the cluster through its scheduler.json.
#   one job:            qsub workers.sh
#   an array of ten:    qsub -J 1-10 workers.sh      (TORQUE: qsub -t 1-10)
#   as many as needed:  tsdask-mpi adapt --max 40 --script workers.sh
# The jobs may start before the cluster does: they wait for it. They leave when it ends, and before their time is over
# their results move to other workers, so that nothing is lost.

# --- change from here ---
#PBS -N dask-workers
#PBS -l select=1:ncpus=8:mpiprocs=4:ompthreads=2:mem=16gb
#PBS -l walltime=01:00:00
##PBS -q NAME
##PBS -A NAME
#PBS -j oe

# command -v module >/dev/null || . /etc/profile
# module load python openmpi || exit 1
# source /path/to/venv/bin/activate || exit 1
scheduler_file=scheduler.json             # of the cluster to join
options=(--start-timeout 30m)
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

# `tsdask-mpi scale` and `adapt` name the cluster in TSDASK_SCHEDULER_FILE.
exec "${mpirun[@]}" -np "$(wc -l < "$PBS_NODEFILE")" -machinefile "$PBS_NODEFILE" \
  tsdask-mpi --no-scheduler --scheduler-file "${TSDASK_SCHEDULER_FILE:-$scheduler_file}" "${options[@]}"
