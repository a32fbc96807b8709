import { DASK_MPI_GRAMMAR, daskMpiTable } from "../config/dask-mpi.ts";
import type { Grammar } from "../config/grammar.ts";
import { Failure } from "../errors/failure.ts";
import { show } from "../config/values.ts";
import type { OptionKey, Options } from "../config/options.ts";
import { buildCommand } from "../config/parse.ts";
import { GRAMMAR } from "../config/read.ts";
import { kebab } from "../config/option-names.ts";
import { table, type Table } from "../config/table.ts";

const ABOUT = `\
A Dask cluster in any MPI allocation: every rank runs this program; one becomes Dask's scheduler,
one runs your script, the others are workers. In the script, \`Client()\` with no argument is
connected. No MPI library and no mpi4py are needed.`;

const USAGE = `\
Usage: mpirun -np <ranks> tsdask-mpi [options] [script.py | notebook.ipynb | -] [its arguments]
       mpirun -np <ranks> tsdask-mpi [options] -- <command> [its arguments]
       mpirun -np <ranks> tsdask-mpi [options] <tcp://host:port | tls://host:port>
       tsdask-mpi list | status | logs | report | stop | open | connect | env | scale | adapt
                  | script | config | explain | doctor | completion [--help]`;

const SHORT = `\
tsdask-mpi: a Dask cluster in any MPI allocation. In your script, \`Client()\` is connected.

  mpirun -np 8 tsdask-mpi analysis.py --year 2024    a script on 6 workers
  srun -n 64 tsdask-mpi --wait-workers all a.py      under Slurm; starts when all workers are in
  tsdask-mpi --np 4 analysis.py                      no launcher: 4 ranks here, to try things out
  mpirun -np 8 tsdask-mpi nb.ipynb -p year 2024      a notebook, saved cell by cell as nb.out.ipynb
  mpirun -np 8 tsdask-mpi --jupyter lab              JupyterLab, with the ssh line to reach it
  mpirun -np 8 tsdask-mpi                            7 workers that serve until they are stopped

Usage: mpirun -np <ranks> tsdask-mpi [options] [script.py | notebook.ipynb | -] [its arguments]
       mpirun -np <ranks> tsdask-mpi [options] -- <command> [its arguments]

Options asked for most:
  --np <n>               without a launcher: start this many ranks on this machine
  --python <program>     the Python that has Dask
  --nthreads <n>         threads per worker; --memory-limit <size>: memory per worker
  --wait-workers <n|all> start the script only when this many workers are in
  --local-directory <f>  where workers put what does not fit into memory
  --interface <name>     the network between the hosts: ib0

More:
  --help starting | roles | workers | scheduler | network | security | jupyter | batch | messages
  --help all             every option with its default, values, exit codes; docs/options.md
  doctor, list, status, logs, report, stop, open, connect, env, scale, adapt, script,
  proxy-map, config, explain, completion, install-drop-in, each with --help: \`tsdask-mpi help scale\`

A failure has a code (TSD-...), its cause and its cure; docs/runbook.md says more about each.`;

const EXAMPLES = `\
Examples:
  mpirun -np 8 tsdask-mpi analysis.py --year 2024    a script on 6 workers
  srun -n 64 tsdask-mpi --wait-workers all a.py      under Slurm; starts when all workers are in
  tsdask-mpi --np 4 analysis.py                      no launcher: 4 ranks here, to try things out
  tsdask-mpi --np 4 - < analysis.py                  the script comes on standard input
  mpirun -np 8 tsdask-mpi nb.ipynb -p year 2024      a notebook, saved cell by cell as nb.out.ipynb
  mpirun -np 8 tsdask-mpi -- ./pipeline.sh in.zarr   any command; what it starts is connected, too
  mpirun -np 8 tsdask-mpi --jupyter lab              JupyterLab, with the ssh line to reach it
  mpirun -np 8 tsdask-mpi                            7 workers that serve until they are stopped
  mpirun -np 4 tsdask-mpi --no-scheduler             4 more workers for ./scheduler.json's cluster

Commands (each has its own --help):
  config           shows every option, its value and where it was set
  list             shows your clusters: those that run, wait in a batch system, and ended lately
  status [name]    shows what a cluster does, what it waits for, what idles; --watch as \`top\`
  logs [name]      shows what a launch and its Dask processes said, also after its end
  report [name]    writes what happened in a launch as a page, also after its end
  stop name|--all  ends clusters, in order or --now, from any host
  open <login>     from your computer: submits a job there, tunnels, opens the browser
  connect          prints how to reach a running cluster: ssh line, links, Python lines
  env              prints what connects a shell: eval "$(tsdask-mpi env)"
  script <system>  writes a job script: slurm, pbs, sge, lsf, flux, htcondor or kubernetes
  doctor           looks at all that a launch needs, here or behind a launcher: what to mend
  explain TSD-...  prints the runbook's entry about a message
  scale, adapt     grow and shrink a running cluster by submitting worker jobs
  completion       prints what completes command lines in bash, zsh or fish
  proxy-map        tells a TLS proxy which cluster is where, for --sni-domain
  install-drop-in  gives the stand-in for dask-mpi the name dask-mpi

Who does what:
  Rank 0 is the scheduler; rank 1 is the client, when there is a script or --jupyter; every other
  rank is a worker. So a script needs 3 ranks; --inclusive-workers puts workers on the first two as
  well. The launch ends when the script does, and the launcher reports the script's exit code.`;

const AFTER = `\
Values:
  <time> is 30 (seconds), 30s, 5m, 1h30m, HH:MM:SS or D-HH:MM:SS.
  <size> is 4GB (10^9 bytes), 4GiB (2^30) or a number of bytes.
  Every option can also be set as a variable (--memory-limit is TSDASK_MEMORY_LIMIT) and in YAML
  (\`memory-limit: 4GiB\`), in your own file, ~/.config/tsdask-mpi.yaml, or in the site's,
  /etc/tsdask-mpi.yaml or the one that TSDASK_SITE_CONFIG names. The command line wins over
  variables, these over your file, that over the site's. docs/options.md has it all.

When it fails:
  Each message has a code (TSD-...), a cause and a cure; \`tsdask-mpi explain TSD-...\` says more.
  \`tsdask-mpi config\` shows what was understood, --log-level debug what Dask says, and
  \`tsdask-mpi logs\` what happened. Try \`tsdask-mpi --np 3 script.py\` on one machine first; if
  that works, look between the hosts: --interface, --rendezvous, is the folder shared?
  Exit codes: the script's own; 64 wrong usage; 69 the cluster was not up in time; 70 a defect of
  tsdask-mpi; 72 the scheduler was lost; 73 all workers were lost; 128 + n ended by signal n.`;

const DASK_MPI_ABOUT = `\
dask-mpi's command line, run by tsdask-mpi: rank 0 is Dask's scheduler, every other rank a worker,
until they are stopped. As with dask-mpi, everyone on the network can use the cluster, and run code
as you; \`tsdask-mpi\` makes private ones, and runs scripts.`;

/**
 * The text of `--help`, at most `columns` wide, with a newline at its end; on a topic: a group of options, or `all`.
 * Throws TSD-006 for a topic that there is not.
 */
export function helpText(program: Options["program"], columns: number, topic?: string): string {
  const width = Math.max(60, Math.min(columns, 132));
  if (program === "dask-mpi") {
    const usage = "Usage: mpirun -np <ranks> dask-mpi [options] [scheduler address]";
    return `${usage}\n\n${DASK_MPI_ABOUT}\n\n${optionsText(DASK_MPI_GRAMMAR, daskMpiTable, width)}\n`;
  }
  if (topic === undefined) return `${SHORT}\n`;
  if (topic !== "all") return `${groupText(topic, width)}\n`;
  return `${USAGE}\n\n${ABOUT}\n\n${EXAMPLES}\n\n${optionsText(GRAMMAR, table, width)}\n\n${AFTER}\n`;
}

/** The options of the group whose name begins with that word. */
function groupText(topic: string, width: number): string {
  const groups = [...new Set(Object.values(table).map(({ group }) => group))];
  const wanted = topic.toLowerCase();
  const group = groups.find((name) => name.split(" ").some((word) => word.toLowerCase() === wanted));
  if (group === undefined)
    throw new Failure("TSD-006", {
      program: "tsdask-mpi",
      problem: `there is no help on ${show(topic)}`,
      suggestion: `Topics are ${groups.map((name) => name.split(" ")[0]?.toLowerCase()).join(", ")}, all, and the commands. `,
    });
  const text = `${optionsText(GRAMMAR, table, width)}\n`;
  const start = text.indexOf(`${group}:\n`);
  const end = text.indexOf("\n\n", start);
  return text.slice(start, end === -1 ? undefined : end).trimEnd();
}

const optionsText = (grammar: Grammar, specs: Table, width: number): string => {
  const command = buildCommand(grammar);
  command.configureHelp({
    helpWidth: width,
    optionTerm: (option) => {
      const key = keyOf(option.name(), specs);
      return key === undefined ? option.flags : optionTerm(key, specs);
    },
    optionDescription: (option) => {
      const key = keyOf(option.name(), specs);
      return key === undefined ? option.description : `${option.description} [${defaultText(key, specs)}]`;
    },
    commandUsage: () => "",
  });
  const text = command.helpInformation();
  const firstGroup = Object.values(grammar.specs)[0]?.group ?? "";
  return text.slice(text.indexOf(`${firstGroup}:`)).trimEnd();
};

const keyOf = (name: string, specs: Table): OptionKey | undefined =>
  (Object.keys(specs) as OptionKey[]).find((key) => kebab(key) === name);

/** `--memory-limit <size>`, `--[no-]scheduler`, `--exclusive-workers | --inclusive-workers`. */
export function optionTerm(key: OptionKey, specs: Table = table): string {
  const { value, negative } = specs[key];
  const name = kebab(key);
  if (value !== undefined) return `--${name} ${value}`;
  return negative === `no-${name}` ? `--[no-]${name}` : `--${name} | --${negative}`;
}

/** The default of an option as the help shows it. */
export function defaultText(key: OptionKey, specs: Table = table): string {
  const { initial, otherwise, negative } = specs[key];
  if (otherwise !== undefined) return otherwise;
  if (typeof initial === "boolean") return `--${initial ? kebab(key) : negative}`;
  if (initial === undefined || (typeof initial === "object" && Object.keys(initial).length === 0)) return "none";
  return String(initial);
}
