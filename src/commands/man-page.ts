import { VERSION } from "../config/version.ts";
import { commands, groups, launchOptions, type Listed } from "./catalogue.ts";

/** `tsdask-mpi(1)` in man's own notation, from the table of options. */
export function manPage(): string {
  const launch = launchOptions();
  return [
    `.TH TSDASK-MPI 1 "" "tsdask-mpi ${VERSION}" "User Commands"`,
    ".SH NAME",
    "tsdask-mpi \\- a Dask cluster from any MPI launcher",
    ".SH SYNOPSIS",
    ".nf",
    plain("mpirun -np RANKS tsdask-mpi [OPTIONS] [SCRIPT.py | NOTEBOOK.ipynb | -] [ARGUMENTS]"),
    plain("mpirun -np RANKS tsdask-mpi [OPTIONS] -- COMMAND [ARGUMENTS]"),
    plain("tsdask-mpi COMMAND [--help]"),
    ".fi",
    ".SH DESCRIPTION",
    plain(
      "Every rank runs this program; one becomes Dask's scheduler, one runs the script, the others are workers. In the script, Client() with no argument is connected. The launch ends when the script does, with its exit code.",
    ),
    ".SH EXAMPLES",
    ".nf",
    ...[
      "mpirun -np 8 tsdask-mpi analysis.py --year 2024",
      "srun -n 64 tsdask-mpi --wait-workers all analysis.py",
      "tsdask-mpi --np 4 analysis.py",
      "mpirun -np 8 tsdask-mpi --jupyter lab",
    ].map(plain),
    ".fi",
    ".SH OPTIONS",
    plain(
      "Each can also be set as a variable (--memory-limit is TSDASK_MEMORY_LIMIT) and in YAML (memory-limit: 4GiB).",
    ),
    ...groups().flatMap((group) => [
      `.SS ${plain(group)}`,
      ...launch.filter((option) => option.group === group).flatMap(entry),
    ]),
    ".SH COMMANDS",
    ...commands().flatMap(({ name, about, options }) => [
      `.SS ${plain(name)}`,
      `${plain(about)}.`,
      ...options.flatMap(entry),
    ]),
    ".SH FILES",
    ...entry({ flag: "~/.config/tsdask-mpi.yaml", help: "your own defaults" }),
    ...entry({ flag: "/etc/tsdask-mpi.yaml", help: "the site's defaults, or the file that TSDASK_SITE_CONFIG names" }),
    ...entry({ flag: "scheduler.json", help: "how to reach the cluster; removed at its end" }),
    ".SH EXIT STATUS",
    plain(
      "The script's own; 64 wrong usage; 69 the cluster was not up in time; 70 a defect of tsdask-mpi; 72 the scheduler was lost; 73 all workers were lost; 128 + n ended by signal n.",
    ),
    ".SH SEE ALSO",
    ".BR mpirun (1),",
    ".BR srun (1)",
    "",
  ].join("\n");
}

const entry = ({ flag, value, help }: Listed): string[] => [
  ".TP",
  `.B ${plain(value === undefined ? flag : `${flag} ${value}`)}`,
  plain(help),
];

/** Text that troff shows as it is. */
function plain(text: string): string {
  const escaped = text.replaceAll("…", "...").replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll("'", "\\(aq");
  return escaped.startsWith(".") ? `\\&${escaped}` : escaped;
}
