import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { planFor } from "../cluster/plan.ts";
import { derivedSettings, workersMeant, type DerivedSetting } from "../dask/settings.ts";
import { defaultText } from "./help.ts";
import type { OptionKey, Options, Sources, WorkerGroup } from "../config/options.ts";
import { placesOf, readOptions, type ReadResult } from "../config/read.ts";
import { sourceName } from "../config/resolve.ts";
import type { CommandContext } from "./context.ts";
import { kebab } from "../config/option-names.ts";
import { optionKeys } from "../config/table.ts";
import { numberRanges } from "../ui/ranges.ts";
import { show } from "../config/values.ts";

const HELP = `\
Usage: tsdask-mpi config [--json] [options of a launch]

Shows every option, its value, and where it was set: on the command line, by a TSDASK_ variable, in a user's or the site's file, or nowhere.
Options after \`config\` are read as those of a launch: \`tsdask-mpi config --nthreads 2 script.py\`.

  --json  the same as JSON: {"options": {"nthreads": {"value": 2, "source": "the command line"}, …}, "derived": {…}, "files": […], "warnings": […]}
`;

/**
 * `tsdask-mpi config`: prints the options of a launch with their sources; resolves to the exit code. Throws as
 * `readOptions` does.
 */
export async function configCommand(
  argv: readonly string[],
  { env, cwd, stdout, stderr }: CommandContext,
): Promise<number> {
  const end = argv.indexOf("--");
  const json = argv.slice(0, end === -1 ? argv.length : end).includes("--json");
  const at = argv.indexOf("--json");
  const words = json ? argv.toSpliced(at, 1) : argv;
  const result = await readOptions({ argv: words, env, cwd, mayBeUnset: true });
  if (result.command.kind !== "launch") {
    stdout.write(HELP);
    return 0;
  }
  const files = placesOf({ env, cwd }).map(({ kind, file }) => ({ kind, file, found: existsSync(file) }));
  const fromSize = derivedFor(result.options);
  const derived = unlessSet(fromSize ?? {}, env);
  if (json) {
    stdout.write(`${JSON.stringify({ ...asJson(result), derived, files, warnings: result.warnings }, null, 2)}\n`);
    return 0;
  }
  const rows = optionKeys.map((key) => [kebab(key), valueText(key, result), sourceName(result.sources[key])]);
  const places = files.map(({ kind, file, found }) => `${kind}'s file: ${show(file)}${found ? "" : " (not there)"}`);
  stdout.write(
    `${columns([["option", "value", "source"], ...launched(result.options), ...rows])}\n\n${places.join("\n")}\n`,
  );
  const names = Object.entries(derived);
  if (names.length > 0) {
    const settings = names.map(([name, { value, why }]) => [name, String(value), why]);
    stdout.write(
      `\nDask's settings that follow from --np and --expected-workers, where its own configuration says nothing:\n${columns(settings)}\n`,
    );
  } else if (fromSize === undefined)
    stdout.write("\nWith --np or --expected-workers: which of Dask's settings follow from the size, and why.\n");
  for (const warning of result.warnings) stderr.write(`${warning}\n`);
  return 0;
}

/** What follows from the size of a launch on this host alone; of others only their launcher knows the size. */
function derivedFor(options: Options): Readonly<Record<string, DerivedSetting>> | undefined {
  if (options.np === undefined && options.expectedWorkers === 0) return undefined;
  const here = options.np === undefined ? 0 : planFor(options, options.np).workerRanks.length;
  return derivedSettings({ workers: workersMeant(here, options), here, cores: availableParallelism() });
}

/**
 * What a variable of Dask's (dask/config.py, collect_env: `DASK_A__B_C` is its setting `a.b-c`) says stays as it is;
 * what its files say, only a Python of that environment can tell.
 */
function unlessSet(
  derived: Readonly<Record<string, DerivedSetting>>,
  env: NodeJS.ProcessEnv,
): Readonly<Record<string, DerivedSetting>> {
  const said = (name: string): DerivedSetting | undefined => {
    const variable = `DASK_${name.replaceAll(".", "__").replaceAll("-", "_").toUpperCase()}`;
    const value = env[variable];
    return value === undefined ? undefined : { value: show(value), why: `${variable} says so` };
  };
  return Object.fromEntries(Object.entries(derived).map(([name, setting]) => [name, said(name) ?? setting]));
}

const SCRIPT_NAMES = {
  python: "Python script",
  stdin: "Python script on standard input",
  notebook: "notebook",
  command: "command",
} as const;

const launched = ({ script, schedulerAddress }: Options): readonly string[][] => [
  ...(script === undefined
    ? []
    : [["(script)", show(script.words.join(" ")), `the command line: a ${SCRIPT_NAMES[script.kind]}`]]),
  ...(schedulerAddress === undefined ? [] : [["(address)", show(schedulerAddress), "the command line"]]),
];

const TLS = { tlsCaFile: "caFile", tlsCert: "cert", tlsKey: "key" } as const;

const chosenValue = (key: OptionKey, options: Options): unknown =>
  key === "tlsCaFile" || key === "tlsCert" || key === "tlsKey" ? options.tls?.[TLS[key]] : options[key];

const SECONDS: readonly OptionKey[] = [
  "startTimeout",
  "grace",
  "deathTimeout",
  "lifetime",
  "lifetimeStagger",
  "idleTimeout",
  "walltime",
  "drain",
];

const valueText = (key: OptionKey, result: ReadResult): string => {
  const { options, unset } = result;
  const missing = unset[key];
  if (missing !== undefined) return `${valueText(key, { ...result, unset: {} })} (${missing} is not set here)`;
  const value = chosenValue(key, options);
  if (value === undefined) return `(${defaultText(key)})`;
  if (key === "memoryLimit") return memoryText(options.memoryLimit);
  if (key === "workerPort" && options.workerPort) return `${options.workerPort.first}:${options.workerPort.last}`;
  if (SECONDS.includes(key)) return `${String(value)}s`;
  if (key === "group" && options.group.length > 0) return show(options.group.map(groupText).join("; "));
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "object" && value !== null && Object.keys(value).length === 0) return "(none)";
  if (Array.isArray(value))
    return show(value.map((part: unknown) => (Array.isArray(part) ? part.join(" ") : String(part))).join(", "));
  return show(value);
};

const groupText = ({ name, ranks, options }: WorkerGroup): string =>
  [
    `${name}: ${ranks.length === 0 ? "no ranks" : `ranks ${numberRanges(ranks)}`}`,
    ...Object.entries(options).map(([key, value]) => `${kebab(key as OptionKey)} ${JSON.stringify(value)}`),
  ].join(", ");

const memoryText = (limit: Options["memoryLimit"]): string => {
  switch (limit.kind) {
    case "auto":
      return "auto";
    case "none":
      return "0 (no limit)";
    case "fraction":
      return `${limit.fraction} of the host's`;
    case "bytes":
      return `${limit.bytes} bytes`;
  }
};

const asJson = ({ options, sources, unset }: ReadResult): object => ({
  script: options.script ?? null,
  schedulerAddress: options.schedulerAddress ?? null,
  options: Object.fromEntries(
    optionKeys.map((key) => [
      kebab(key),
      {
        value: chosenValue(key, options) ?? null,
        source: sourceName(sources[key]),
        from: sources[key] satisfies Sources[OptionKey],
        ...(unset[key] === undefined ? {} : { unset: unset[key] }),
      },
    ]),
  ),
});

const columns = (rows: readonly (readonly string[])[]): string => {
  const widths = [0, 1].map((column) => Math.min(48, Math.max(...rows.map((row) => row[column]?.length ?? 0))));
  return rows
    .map(([option = "", value = "", source = ""]) =>
      `${option.padEnd(widths[0] ?? 0)}  ${value.padEnd(widths[1] ?? 0)}  ${source}`.trimEnd(),
    )
    .join("\n");
};
