import { scriptSystems } from "../batch/script/render.ts";
import type { CommandOptions } from "../config/command-line.ts";
import { optionKeys, table } from "../config/table.ts";
import { adaptOptions } from "./adapt.ts";
import { COMMAND as CONNECT } from "./connect.ts";
import { COMMAND as DROP_IN } from "./drop-in.ts";
import { COMMAND as ENV } from "./env.ts";
import { COMMAND as EXPLAIN } from "./explain.ts";
import { COMMAND as LIST } from "./list.ts";
import { COMMAND as LOGS } from "./logs.ts";
import { openOptions } from "./open.ts";
import { COMMAND as PROXY_MAP } from "./proxy-map.ts";
import { COMMAND as REPORT } from "./report.ts";
import { scaleOptions } from "./scale.ts";
import { scriptOptions } from "./script-options.ts";
import type { SmallCommand } from "./small-command.ts";
import { COMMAND as STATUS } from "./status.ts";
import { COMMAND as STOP } from "./stop.ts";

/** An option as a shell completes it and a manual lists it. */
export interface Listed {
  readonly flag: string;
  /** What stands for its value; absent: it takes none. */
  readonly value?: string | undefined;
  readonly choices?: readonly string[] | undefined;
  readonly help: string;
}

/** A command with its options; `words` are what its first operand may be. */
export interface ListedCommand {
  readonly name: string;
  readonly about: string;
  readonly options: readonly Listed[];
  readonly words: readonly string[] | "cluster" | "folder" | "none";
}

/** The options of a launch, both ways of a yes/no option. */
export function launchOptions(): readonly (Listed & { readonly group: string })[] {
  return optionKeys.flatMap((key) => {
    const { value, negative, help, group, read } = table[key];
    const listed = { flag: `--${kebab(key)}`, value, choices: read.choices, help, group };
    return negative === undefined ? [listed] : [listed, { ...listed, flag: `--${negative}` }];
  });
}

/** All commands, as their own tables of options have them. */
export function commands(): readonly ListedCommand[] {
  return [
    {
      name: "config",
      about: "shows every option, its value and where it was set",
      options: [{ flag: "--json", help: "the same as JSON" }],
      words: "none",
    },
    { name: "list", about: "shows your clusters", options: small(LIST), words: "none" },
    { name: "status", about: "shows what a cluster does", options: small(STATUS), words: "cluster" },
    { name: "logs", about: "shows what a cluster's processes said", options: small(LOGS), words: "cluster" },
    { name: "report", about: "writes what happened in a launch as a page", options: small(REPORT), words: "cluster" },
    { name: "stop", about: "ends a cluster in order", options: small(STOP), words: "cluster" },
    { name: "explain", about: "prints the runbook's entry about a message", options: small(EXPLAIN), words: "none" },
    {
      name: "doctor",
      about: "looks at all that a launch needs, and says what to mend",
      options: [
        { flag: "--json", help: "the same as JSON" },
        { flag: "--bundle", value: "<file>", help: "all of it in one text for a ticket" },
      ],
      words: "none",
    },
    { name: "connect", about: "prints how to reach a running cluster", options: small(CONNECT), words: "cluster" },
    { name: "env", about: "prints what connects a shell to a cluster", options: small(ENV), words: "cluster" },
    {
      name: "open",
      about: "a cluster behind a login host, from your computer",
      options: plain(openOptions),
      words: "none",
    },
    { name: "script", about: "writes a job script", options: plain(scriptOptions), words: scriptSystems },
    { name: "scale", about: "brings a cluster to N workers by jobs", options: plain(scaleOptions), words: "cluster" },
    { name: "adapt", about: "submits worker jobs as the work asks", options: plain(adaptOptions), words: "cluster" },
    { name: "proxy-map", about: "writes which cluster a TLS proxy leads to", options: small(PROXY_MAP), words: "none" },
    {
      name: "install-drop-in",
      about: "gives dask-mpi's stand-in its name",
      options: small(DROP_IN),
      words: "folder",
    },
    { name: "completion", about: "prints a shell's completion", options: [], words: ["bash", "zsh", "fish"] },
    {
      name: "help",
      about: "help on a command or on a group of options",
      options: [],
      words: [
        ...groups().map((group) => group.split(" ")[0]?.toLowerCase() ?? ""),
        "all",
        "script",
        "open",
        "scale",
        "adapt",
      ],
    },
  ];
}

/** The groups of the launch's options, in the order of the help. */
export function groups(): readonly string[] {
  return [...new Set(optionKeys.map((key) => table[key].group))];
}

const plain = (options: CommandOptions): readonly Listed[] =>
  Object.entries(options).map(([key, { value, help, read }]) => ({
    flag: `--${kebab(key)}`,
    value,
    choices: read.choices,
    help,
  }));

const small = ({ options }: SmallCommand): readonly Listed[] =>
  options.map(({ flags, help, choices }) => {
    const [flag = "", value] = flags.split(" ");
    return { flag, value, choices, help };
  });

const kebab = (key: string): string => key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
