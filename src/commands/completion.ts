import { Failure } from "../errors/failure.ts";
import { show } from "../config/values.ts";
import { commands, launchOptions, type Listed, type ListedCommand } from "./catalogue.ts";
import type { CommandContext } from "./context.ts";

const USAGE = `\
Usage: tsdask-mpi completion bash|zsh|fish

Prints what completes tsdask-mpi's command lines: options, their values, commands, scripts, clusters and their files. Packages install it.
  bash:  eval "$(tsdask-mpi completion bash)"            in ~/.bashrc
  zsh:   eval "$(tsdask-mpi completion zsh)"             in ~/.zshrc, after compinit
  fish:  tsdask-mpi completion fish | source             in ~/.config/fish/config.fish
`;

/**
 * `tsdask-mpi completion SHELL`: prints that shell's completion (or, for the build, a manual page); resolves to the
 * exit code. Throws TSD-006.
 */
export async function completionCommand(
  [word, ...more]: readonly string[],
  { stdout, stderr }: CommandContext,
): Promise<number> {
  if (word === undefined || word === "--help" || word === "-h") {
    (word === undefined ? stderr : stdout).write(USAGE);
    return word === undefined ? 64 : 0;
  }
  if (word === "man") {
    stdout.write((await import("./man-page.ts")).manPage());
    return 0;
  }
  if (word === "runbook" && more.length === 1) {
    const [{ runbookPage }, { readFileSync }] = await Promise.all([import("./runbook-page.ts"), import("node:fs")]);
    stdout.write(runbookPage(readFileSync(more[0] ?? "", "utf8")));
    return 0;
  }
  const write = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion }[word];
  if (write === undefined || more.length > 0)
    throw new Failure("TSD-006", {
      program: "tsdask-mpi completion",
      problem: `${show(more[0] ?? word)} is not a shell that it knows`,
      suggestion: "Write bash, zsh or fish. ",
    });
  stdout.write(write(launchOptions(), commands()));
  return 0;
}

/** What stands for a value that is a file, by the words of the help. */
const isPath = (value = ""): boolean => /file|folder|program|scheduler\.json/.test(value);
const names = (options: readonly Listed[]): string => options.map(({ flag }) => flag).join(" ");

/** A shell's words for the names of clusters. */
const clusters = String.raw`tsdask-mpi list --json 2>/dev/null | sed -n 's/^ *"name": "\([A-Za-z0-9._-]*\)",*$/\1/p'`;

/** Completion for bash 4 and later, without the package bash-completion. */
export function bashCompletion(launch: readonly Listed[], all: readonly ListedCommand[]): string {
  const valued = [...launch, ...all.flatMap(({ options }) => options)].filter(({ value }) => value !== undefined);
  const chosen = [...new Map(valued.flatMap((o) => (o.choices ? [[o.flag, o.choices] as const] : [])))];
  const free = valued.filter(({ choices, value }) => choices === undefined && !isPath(value)).map(({ flag }) => flag);
  const files = valued.filter(({ choices, value }) => choices === undefined && isPath(value)).map(({ flag }) => flag);
  const cases = all.map(({ name, options, words }) => {
    const more = Array.isArray(words) ? words.join(" ") : "";
    const paths = words === "cluster" ? "'@(*.json)'" : "";
    return `    ${name}) options='${names(options)} --help' words='${more}' files=${paths} ;;`;
  });
  return `# bash completion for tsdask-mpi
_tsdask_mpi() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} options words files i
  COMPREPLY=()
  case $prev in
${chosen.map(([flag, choices]) => `    ${flag}) COMPREPLY=($(compgen -W '${choices.join(" ")}' -- "$cur")); return ;;`).join("\n")}
    ${[...new Set(files)].join("|")}) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    ${[...new Set(free)].join("|")}) return ;;
  esac
  case \${COMP_WORDS[1]} in
${cases.join("\n")}
    *)
      # What follows the script's name belongs to the script.
      for ((i = 1; i < COMP_CWORD; i++)); do
        case \${COMP_WORDS[i]} in *.py | *.ipynb | --) compopt -o default; return ;; esac
      done
      options='${names(launch)} --help --version' files='@(*.py|*.ipynb)'
      [ "$COMP_CWORD" -ne 1 ] || words='${all.map(({ name }) => name).join(" ")}'
      ;;
  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$cur"))
    return
  fi
  # Names of running clusters, beside their files.
  [ "$files" != '@(*.json)' ] || words=$(${clusters})
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if [ -n "$files" ]; then
    compopt -o filenames
    local before=$(shopt -p extglob)
    shopt -s extglob
    # A name is a line, whatever blanks it has.
    mapfile -t -O \${#COMPREPLY[@]} COMPREPLY < <(compgen -f -X "!$files" -- "$cur"; compgen -d -- "$cur")
    $before
  fi
}
complete -F _tsdask_mpi tsdask-mpi
`;
}

/** Text in single quotes of a shell's script, as zsh's and fish's own words take it. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** Completion for zsh 5; works when it is evaluated, and as `_tsdask-mpi` in fpath. */
export function zshCompletion(launch: readonly Listed[], all: readonly ListedCommand[]): string {
  const spec = ({ flag, value, choices, help }: Listed): string => {
    const text = help.replaceAll(/[[\]:]/g, "\\$&");
    const action = choices ? `(${choices.join(" ")})` : isPath(value) ? "_files" : " ";
    return quoted(`${flag}[${text}]${value === undefined ? "" : `:${value.replaceAll(/[<>:]/g, "")}:${action}`}`);
  };
  const operand = (words: ListedCommand["words"]): string => {
    if (words === "cluster") return "'*:cluster:_tsdask_mpi_clusters'";
    if (words === "folder") return "'*:folder:_files -/'";
    return words === "none" ? "" : `'1:word:(${words.join(" ")})' '*:file:_files'`;
  };
  const lines = (options: readonly Listed[]): string => options.map(spec).join(" \\\n        ");
  return `#compdef tsdask-mpi
_tsdask_mpi_clusters() {
  local -a clusters=(\${(f)"$(${clusters})"})
  _describe cluster clusters
  _files -g '*.json'
}
_tsdask_mpi() {
  local -a commands=(${all.map(({ name, about }) => quoted(`${name}:${about}`)).join(" ")})
  if (( CURRENT > 2 )); then
    case $words[2] in
${all
  .map(
    ({ name, options, words }) =>
      `      ${name}) shift words; (( CURRENT-- )); _arguments ${lines(options)} ${operand(words)}; return ;;`,
  )
  .join("\n")}
    esac
  fi
  if [[ $CURRENT -eq 2 && $words[2] != -* ]]; then
    _describe command commands
    _files -g '*.(py|ipynb)'
    return
  fi
  _arguments ${lines(launch)} '1:script:_files -g "*.(py|ipynb)"' '*::argument:_files'
}
if [ "$funcstack[1]" = _tsdask-mpi ]; then _tsdask_mpi "$@"; else compdef _tsdask_mpi tsdask-mpi; fi
`;
}

/** Completion for fish 3. */
export function fishCompletion(launch: readonly Listed[], all: readonly ListedCommand[]): string {
  const line = ({ flag, value, choices, help }: Listed, when: string): string => {
    const takes = value === undefined ? "" : choices ? ` -xa '${choices.join(" ")}'` : isPath(value) ? " -rF" : " -x";
    return `complete -c tsdask-mpi -n '${when}' -l ${flag.slice(2)}${takes} -d ${fishText(help)}`;
  };
  const known = all.map(({ name }) => name).join(" ");
  const launches = `not __fish_seen_subcommand_from ${known}`;
  return `# fish completion for tsdask-mpi
complete -c tsdask-mpi -n __fish_use_subcommand -a '(__fish_complete_suffix .py .ipynb)'
${all.map(({ name, about }) => `complete -c tsdask-mpi -n __fish_use_subcommand -a ${name} -d ${fishText(about)}`).join("\n")}
${launch.map((option) => line(option, launches)).join("\n")}
${all
  .flatMap(({ name, options, words }) => [
    ...options.map((option) => line(option, `__fish_seen_subcommand_from ${name}`)),
    ...(Array.isArray(words)
      ? [`complete -c tsdask-mpi -n '__fish_seen_subcommand_from ${name}' -xa '${words.join(" ")}'`]
      : []),
    // Beside files, which fish has by itself.
    ...(words === "cluster"
      ? [`complete -c tsdask-mpi -n '__fish_seen_subcommand_from ${name}' -a ${fishText(`(${clusters})`)}`]
      : []),
  ])
  .join("\n")}
`;
}

const fishText = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
