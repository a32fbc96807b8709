import { defaultText, optionTerm } from "./help.ts";
import { variable } from "../config/option-names.ts";
import { optionKeys, table } from "../config/table.ts";

const HEAD = `\
# Options

This page is written by \`node scripts/docs.mjs\` from the same table that the command line, the environment, the configuration files and
\`--help\` are read with.

## Where an option can be set

| place | example |
|---|---|
| command line | \`mpirun -np 8 tsdask-mpi --memory-limit 4GiB analysis.py\` |
| environment | \`export TSDASK_MEMORY_LIMIT=4GiB\` |
| your file, \`~/.config/tsdask-mpi.yaml\` (under \`$XDG_CONFIG_HOME\`, when that is set) | \`memory-limit: 4GiB\` |
| the site's file, \`/etc/tsdask-mpi.yaml\`, or the one that \`TSDASK_SITE_CONFIG\` names | \`memory-limit: 4GiB\` |

The command line wins over the environment, that over your file, that over the site's file, that over the default.
\`tsdask-mpi config\` shows every option, its value, and the place it came from; \`tsdask-mpi config --json\` says the same to programs.
Options stand before the script's name: what follows it belongs to the script. What follows \`--\` is a command.

A variable that is set but empty counts as not set. The launcher must pass TSDASK_ variables on to the other hosts (Open MPI:
\`mpirun -x TSDASK_MEMORY_LIMIT\`; MPICH, Intel MPI and \`srun\` do so by themselves); the command line reaches every rank anyway.

## Configuration files

\`\`\`yaml
# /etc/tsdask-mpi.yaml: for all users of a cluster
interface: ib0
login-host: login.example.org
local-directory: \${SLURM_TMPDIR}        # variables are filled in, in paths
warm: [numpy, pandas, xarray]
preload:
  - /apps/dask/site_setup.py
worker-options:
  connection_limit: 256
script:                                # defaults of \`tsdask-mpi script\`
  queue: compute
\`\`\`

One \`name: value\` to a line, with the names of the command line without their dashes. Lists and mappings may be YAML's own. A yes/no option
takes \`true\` or \`false\`: \`exclusive-workers: false\` is \`--inclusive-workers\`. In paths, \`~/\` is your home folder, and \`$NAME\` and \`\${NAME}\` are variables
that must be set. \`name: null\` goes back to the default, against the site's file. A name that is no option, or a value that cannot be used, is an
error that names the file and the line (TSD-009, TSD-010, TSD-003).

## How values are written

| | |
|---|---|
| \`<time>\` | \`30\` (seconds), \`30s\`, \`500ms\`, \`5m\`, \`1h30m\`, \`2 days\`, \`HH:MM:SS\`, \`D-HH:MM:SS\` |
| \`<size>\` | bytes, \`500MB\`, \`4GB\` (10⁹ bytes), \`4GiB\` (2³⁰ bytes), as Dask reads them; \`--memory-limit\` also takes \`auto\`, \`0\` (no limit), and a fraction of the host's memory, \`0.25\` |
| \`<json>\` | a JSON object, in single quotes for the shell: \`'{"validate": true}'\` |
| lists | given several times, or with commas: \`--warm numpy,pandas --warm xarray\` |
`;

const TAIL = `\
## What does not go together

Of two options that exclude each other, the one set at the higher place wins, so that a command line can overrule a file: \`--security none\`
against a site's certificates, \`--host\` against the site's \`interface\`. Set at the same place they are an error (TSD-007),
and so is \`--protocol tcp\` or \`ws\` where a file or a variable says \`security: tls\`: encryption is never lost by the way.

- A script, or \`--jupyter\`, with \`--no-scheduler\` or an address: ranks that join a cluster are all workers.
- \`--protocol tcp\` or \`ws\` with \`--security tls\`: Dask does not encrypt them. \`--protocol ucx\` and a \`tcp://\` address turn the default \`tls\` off, and that is said at the start.
- \`TSDASK_GROUP\`, or \`group:\` in a file, with \`--no-scheduler\` or an address: the ranks are those of the cluster's own launch, and one that joins it has none of these groups.
- \`--nanny\` with \`--worker-class C\`: the Nanny runs a worker of class C. \`distributed.Nanny\` and \`dask_cuda.CUDAWorker\` bring their own.

## The dask-mpi command

\`dask-mpi\` takes dask-mpi's own command line: ${"`--scheduler-file --scheduler-port --scheduler-rank --interface --protocol --nthreads --memory-limit --local-directory --scheduler/--no-scheduler --nanny/--no-nanny --exclusive-workers/--inclusive-workers --worker-class --worker-options --dashboard/--no-dashboard --dashboard-address --name`"}
and a scheduler's address. Its defaults are dask-mpi's: \`distributed.Nanny\`, workers called \`dask_mpi-<rank>\`, no encryption, and no scheduler file
unless one is named. Configuration files are not read. Of the variables only those count that say how a launch is run:
\`TSDASK_PYTHON\`, \`TSDASK_SPAWN\`, \`TSDASK_WARM\`, \`TSDASK_NP\`, \`TSDASK_START_TIMEOUT\`, \`TSDASK_RENDEZVOUS\`, \`TSDASK_LAUNCH_ID\`, \`TSDASK_GRACE\`, \`TSDASK_RESTARTS\`,
\`TSDASK_SCHEDULER_RESTARTS\`, \`TSDASK_EXPECTED_WORKERS\`, \`TSDASK_LOG_LEVEL\`, \`TSDASK_LOG_DIR\`, \`TSDASK_JSON_SUMMARY\`, \`TSDASK_REPORT\`,
\`TSDASK_QUIET\`.

Where it differs: \`--no-nanny\` gives plain workers (in dask-mpi it is deprecated, and its workers fail to start); an address means
\`--no-scheduler\` (dask-mpi starts a second scheduler that nobody uses); a worker's threads and memory are its fair share of the host (in dask-mpi
every worker gets the whole host).
`;

/** The text of `docs/options.md`. */
export function optionsPage(): string {
  const groups = [...new Set(optionKeys.map((key) => table[key].group))];
  const tables = groups.map((group) => {
    const rows = optionKeys
      .filter((key) => table[key].group === group)
      .map(
        (key) =>
          `| \`${cell(optionTerm(key))}\` | \`${variable(key)}\` | ${cell(defaultText(key))} | ${cell(table[key].help)}${table[key].repeat ? " (repeatable)" : ""} |`,
      );
    return [`## ${group}`, "", "| option | variable | default | meaning |", "|---|---|---|---|", ...rows].join("\n");
  });
  return [HEAD, ...tables.map((text) => `${text}\n`), TAIL].join("\n");
}

const cell = (text: string): string =>
  text.replaceAll("|", "\\|").replaceAll("<", text.startsWith("--") ? "<" : "&lt;");
