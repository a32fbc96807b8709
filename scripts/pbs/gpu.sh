#!/bin/bash
# Dask on GPU nodes: one worker for each GPU, and on the first node two ranks more, for the scheduler and the script.
# Each worker sees its own GPU alone (CUDA_VISIBLE_DEVICES). Where dask_cuda is installed, workers are its CUDAWorker.

# --- change from here ---
#PBS -N dask-gpu
#PBS -l select=2:ncpus=32:mpiprocs=4:ngpus=4:mem=128gb
#PBS -l place=scatter:excl
#PBS -l walltime=01:00:00
##PBS -q NAME
##PBS -A NAME
#PBS -j oe

# command -v module >/dev/null || . /etc/profile
# module load python openmpi || exit 1
# source /path/to/venv/bin/activate || exit 1
gpus=4                                    # of each node, as in ngpus
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
# The hosts file says where each rank goes, beyond the slots that were granted.
export OMPI_MCA_rmaps_base_mapping_policy=seq OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=seq:oversubscribe

# One line for each rank: the first two and the first node's workers on the first node.
hosts=$(mktemp "$PWD/.dask-hosts-XXXXXX") || exit 1
trap 'rm -f "$hosts"' EXIT
awk -v n="$gpus" '!seen[$1]++ { for (i = NR == 1 ? -2 : 0; i < n; i++) print $1 }' "$PBS_NODEFILE" > "$hosts"

worker=()
if python3 -c 'import sys, importlib.util; sys.exit(importlib.util.find_spec("dask_cuda") is None)'; then
  worker=(--worker-class dask_cuda.CUDAWorker)
fi

# Each rank picks its GPU from those that PBS granted on its node; ranks 0 and 1 get none. Its first argument is the number of GPUs.
# shellcheck disable=SC2016 # the rank's shell expands it
pick='
rank=${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-$PMIX_RANK}}
if [ "$rank" -lt 2 ]; then
  export CUDA_VISIBLE_DEVICES=
else
  granted=${CUDA_VISIBLE_DEVICES:-$(seq -s, 0 $(($1 - 1)))}
  export CUDA_VISIBLE_DEVICES=$(echo "$granted" | cut -d, -f$(((rank - 2) % $1 + 1)))
fi
shift
exec tsdask-mpi "$@"'

"${mpirun[@]}" -np "$(wc -l < "$hosts")" -machinefile "$hosts" bash -c "$pick" rank "$gpus" "${worker[@]}" "${script[@]}"
