#!/bin/bash
# One worker for each NUMA domain, with the domain's cores and memory; on the first node two ranks more, for the scheduler and the script.
# For programs whose threads share large arrays: they stay close to their memory.

# --- change from here ---
#PBS -N dask-numa
#PBS -l select=2:ncpus=64:mpiprocs=8:mem=240gb
#PBS -l place=scatter:excl
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
# The hosts file says where each rank goes, beyond the slots that were granted.
export OMPI_MCA_rmaps_base_mapping_policy=seq OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=seq:oversubscribe

# The domains of this node stand for those of all: ask for nodes of one kind. Those without cores are memory alone.
domains=$(grep -ls '[0-9]' /sys/devices/system/node/node[0-9]*/cpulist | wc -l)
if [ "$domains" -eq 0 ]; then domains=1; fi

# One line for each rank: the first two and the first node's workers on the first node.
hosts=$(mktemp "$PWD/.dask-hosts-XXXXXX") || exit 1
trap 'rm -f "$hosts"' EXIT
awk -v n="$domains" '!seen[$1]++ { for (i = NR == 1 ? -2 : 0; i < n; i++) print $1 }' "$PBS_NODEFILE" > "$hosts"

# Each worker's rank moves to its domain's cores; memory is taken where the cores are. Its first argument is the number of domains.
# shellcheck disable=SC2016 # the rank's shell expands it
pick='
rank=${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-$PMIX_RANK}}
place=$((rank < 2 ? 0 : (rank - 2) % $1 + 1))
shift
domain=$(grep -ls "[0-9]" /sys/devices/system/node/node[0-9]*/cpulist | sort -V | awk -v place=$place "NR == place")
if [ -n "$domain" ]; then exec taskset -c "$(cat "$domain")" tsdask-mpi "$@"; fi
exec tsdask-mpi "$@"'

"${mpirun[@]}" -np "$(wc -l < "$hosts")" -machinefile "$hosts" bash -c "$pick" rank "$domains" "${script[@]}"
