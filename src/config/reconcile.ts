import { extname, resolve } from "node:path";
import { Failure } from "../errors/failure.ts";
import { readNotebook } from "./notebook-options.ts";
import type { OptionKey, Options, Script, Source, Sources, TlsFiles } from "./options.ts";
import { kebab } from "./option-names.ts";
import { table, type Values } from "./table.ts";
import { show } from "./values.ts";

/** The words of a command line that are no options, and where it was typed. */
export interface Positional {
  readonly program: Options["program"];
  readonly address: string | undefined;
  readonly words: readonly string[];
  readonly separated: boolean;
  readonly cwd: string;
}

export interface Reconciled {
  readonly options: Options;
  readonly sources: Sources;
  readonly warnings: readonly string[];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** What the rules below read and change: a later rule sees what an earlier one reconciled. */
interface Draft {
  readonly values: Mutable<Values>;
  readonly sources: Mutable<Sources>;
  readonly warnings: string[];
}

const LEVEL = { default: 0, site: 1, user: 2, environment: 3, "command-line": 4, derived: 5 } as const;

/**
 * Makes one consistent `Options` of single values: what follows from another option is filled in, and of two that
 * exclude each other the one said at the higher place wins. Throws Failure TSD-007 when both were said at the same
 * place.
 */
export function reconcile(values: Values, sources: Sources, positional: Positional): Reconciled {
  const draft: Draft = { values: { ...values }, sources: { ...sources }, warnings: [] };
  const script = scriptOf(positional);
  reconcileJoining(draft, positional.address);
  reconcileRoles(draft, script);
  reconcileSecurity(draft, positional.address);
  reconcileNetwork(draft);
  reconcileWorkers(draft);
  reconcileGroups(draft);
  reconcileTime(draft);
  reconcileHttps(draft);
  // A script that knows nothing of it would wait for results that nobody computes any more.
  if (script !== undefined && draft.sources.schedulerRestarts.kind === "default")
    derive(draft, "schedulerRestarts", 0, "the script");
  reconcileUnused(draft, script);
  const { tlsCaFile: _ca, tlsCert: _cert, tlsKey: _key, ...plain } = draft.values;
  const schedulerFile = plain.schedulerFile === undefined ? undefined : resolve(positional.cwd, plain.schedulerFile);
  const options: Options = {
    ...plain,
    schedulerFile,
    program: positional.program,
    script,
    schedulerAddress: positional.address,
    tls: tlsFiles(draft),
  };
  return { options, sources: draft.sources, warnings: draft.warnings };
}

const scriptOf = ({ words, separated, cwd }: Positional): Script | undefined => {
  const [first] = words;
  if (first === undefined) {
    if (separated)
      throw together(
        "`--`",
        "No command follows it.",
        "Write the command after it, `-- ./simulate --steps 10`, or leave it out.",
      );
    return undefined;
  }
  if (separated) return { kind: "command", words };
  if (first === "-") return { kind: "stdin", words };
  const kinds: Readonly<Record<string, Script["kind"]>> = { ".py": "python", ".ipynb": "notebook" };
  const kind = kinds[extname(first).toLowerCase()] ?? "command";
  // What follows a notebook's name is read again where it is started; a mistake is told before anything is.
  if (kind === "notebook") readNotebook(words, cwd);
  return { kind, words };
};

const reconcileJoining = (draft: Draft, address: string | undefined): void => {
  if (address === undefined) return;
  if (draft.values.scheduler && draft.sources.scheduler.kind === "command-line") {
    throw together(
      `${show(address)} and --scheduler`,
      "An address joins a running cluster, which has its scheduler.",
      "Leave out one of them.",
    );
  }
  derive(draft, "scheduler", false, "the scheduler's address");
};

const reconcileRoles = ({ values, sources, warnings }: Draft, script: Script | undefined): void => {
  if (!values.scheduler && script !== undefined) {
    const joining = sources.scheduler.kind === "derived" ? "A scheduler's address" : "--no-scheduler";
    const shown = show(script.words[0]);
    throw together(
      `${joining} and the script ${shown}`,
      "Ranks that join a running cluster are all workers: none would run the script.",
      `Run the script where the cluster is, or as a client of its own: \`eval "$(tsdask-mpi env)"\`, then \`python ${shown}\`. `,
    );
  }
  if (values.jupyter !== undefined) {
    if (script !== undefined && sources.jupyter.kind === "command-line")
      throw together(
        `--jupyter and the script ${show(script.words[0])}`,
        "Both want the client's rank.",
        "Leave out one of them; a script can be opened in Jupyter.",
      );
    if (!values.scheduler && sources.jupyter.kind === "command-line")
      throw together(
        "--jupyter and --no-scheduler",
        "Ranks that join a running cluster are all workers: none would run Jupyter.",
        "Start Jupyter with the cluster itself.",
      );
    if (script !== undefined || !values.scheduler) {
      values.jupyter = undefined;
      sources.jupyter = { kind: "derived", from: script === undefined ? "--no-scheduler" : "the script" };
    }
  }
  const hasClient = script !== undefined || values.jupyter !== undefined;
  if (values.clientRank !== undefined && !hasClient && sources.clientRank.kind === "command-line") {
    warnings.push("--client-rank has no effect: there is no script to run.");
  }
};

const PLAIN = ["tcp", "ws", "ucx", "ucxx"];

/** `security` and `protocol` have to agree, with each other, with the address to join, and with the TLS files. */
const reconcileSecurity = (draft: Draft, address: string | undefined): void => {
  const { values, sources } = draft;
  const scheme = address?.split("://")[0];
  if (scheme !== undefined) {
    if (values.protocol !== undefined && values.protocol !== scheme && sources.protocol.kind === "command-line") {
      throw together(
        `${show(address)} and --protocol ${show(values.protocol)}`,
        "The cluster to join has its protocol already.",
        "Leave out --protocol.",
      );
    }
    derive(draft, "protocol", scheme, "the scheduler's address");
  }
  const { protocol } = values;
  if (protocol !== undefined && PLAIN.includes(protocol) && values.security === "tls") {
    const said = `--protocol ${protocol}`;
    if (sources.security.kind === "default" && (scheme !== undefined || protocol.startsWith("ucx")))
      derive(draft, "security", "none", scheme === undefined ? said : "the scheduler's address");
    else if (
      LEVEL[sources.security.kind] < LEVEL[sources.protocol.kind] ||
      LEVEL[sources.security.kind] === LEVEL[sources.protocol.kind] ||
      scheme !== undefined
    ) {
      throw together(
        `${scheme === undefined ? said : show(address)} and --security tls${sources.security.kind === "default" ? " (the default)" : ""}`,
        `Dask's ${protocol}:// is not encrypted.`,
        "Leave out --protocol (tls:// is TCP with encryption), or say --security none if everyone on the network may see and use the cluster.",
      );
    } else reset(draft, "protocol", "--security tls");
  }
  if ((protocol === "tls" || protocol === "wss") && values.security === "none")
    exclude(draft, "security", "protocol", `Dask's ${protocol}:// needs certificates.`, "Leave out one of them.");
  if (values.security === "none") {
    for (const key of ["tlsCaFile", "tlsCert", "tlsKey"] as const) {
      if (values[key] !== undefined)
        exclude(draft, "security", key, "Without TLS there are no certificates.", "Leave out one of them.");
    }
  }
};

const tlsFiles = ({ values: { tlsCaFile, tlsCert, tlsKey } }: Draft): TlsFiles | undefined => {
  if (tlsCaFile === undefined && tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCaFile === undefined || tlsCert === undefined) {
    throw together(
      "--tls-ca-file, --tls-cert and --tls-key",
      `${tlsCaFile === undefined ? "--tls-ca-file" : "--tls-cert"} is missing.`,
      "Give the certificate authority and the certificate (and its key, when it is not in the same file), or none of them.",
    );
  }
  return { caFile: tlsCaFile, cert: tlsCert, key: tlsKey ?? tlsCert };
};

const reconcileNetwork = (draft: Draft): void => {
  const { values } = draft;
  if (values.interface !== undefined && values.host !== undefined)
    exclude(draft, "interface", "host", "Each says where ports are opened.", "Leave out one of them.");
  if (values.listenAddress !== undefined && values.workerPort !== undefined)
    exclude(draft, "listenAddress", "workerPort", "Each says which port the workers have.", "Leave out one of them.");
  if (!values.dashboard && draft.sources.dashboardAddress.kind === "command-line") {
    if (draft.sources.dashboard.kind === "command-line")
      throw together(
        "--no-dashboard and --dashboard-address",
        "There is no dashboard to put there.",
        "Leave out one of them.",
      );
    derive(draft, "dashboard", true, "--dashboard-address");
  }
};

const reconcileWorkers = (draft: Draft): void => {
  const { values, sources, warnings } = draft;
  if (!values.nanny && values.preloadNanny.length > 0 && !values.workerClass.endsWith("Nanny"))
    warnings.push("--preload-nanny has no effect without --nanny.");
  if (values.lifetime === undefined) {
    for (const key of ["lifetimeStagger", "lifetimeRestart"] as const) {
      if (sources[key].kind === "command-line" && values[key])
        throw together(`--${kebab(key)}`, "It needs a lifetime.", "Add --lifetime 2h, or leave it out.");
    }
  }
};

/**
 * Ranks are numbered in each launch: those of a group that a variable or a file names are the cluster's own, not those
 * of a launch that joins it. What `scale` and `adapt` start reads both, too.
 */
const reconcileGroups = (draft: Draft): void => {
  const { values, sources } = draft;
  if (values.scheduler || values.group.length === 0 || sources.group.kind === "command-line") return;
  reset(draft, "group", sources.scheduler.kind === "derived" ? sources.scheduler.from : "--no-scheduler");
};

/** A drain that is as long as the job would begin with it. */
const reconcileTime = ({ values }: Draft): void => {
  const { walltime, drain } = values;
  if (walltime !== undefined && drain !== undefined && drain >= walltime)
    throw new Failure("TSD-007", {
      options: `--walltime ${walltime}s and --drain ${drain}s`,
      problem: "Workers are drained so long before the job's end; that would be from its start.",
      hint: "Give a --drain that is a part of the walltime, or leave it out: a tenth of it is then taken, and at most five minutes.",
    });
};

/** Pages over TLS need a certificate, and a launch without security has none. */
const reconcileHttps = (draft: Draft): void => {
  const { values, sources } = draft;
  if (values.https !== "on" || values.security !== "none") return;
  if (sources.https.kind === "command-line")
    throw together(
      "--https on and --security none",
      "Without security the launch has no certificate that the pages could show.",
      "Leave out one of them.",
    );
  reset(draft, "https", "--security none");
};

const reconcileUnused = ({ values, sources, warnings }: Draft, script: Script | undefined): void => {
  const said = (key: OptionKey): boolean => sources[key].kind === "command-line";
  if (script === undefined && values.jupyter === undefined && said("waitWorkers") && values.waitWorkers !== 0)
    warnings.push("--wait-workers has no effect: there is no script to hold back.");
  if (values.jupyter === undefined && said("jupyterPort"))
    warnings.push("--jupyter-port has no effect without --jupyter.");
  for (const key of ["jupyterPrefix", "connectionFile"] as const)
    if (values.jupyter === undefined && said(key)) warnings.push(`--${kebab(key)} has no effect without --jupyter.`);
  if (values.jupyter === undefined && said("afterNotebook"))
    warnings.push("--after-notebook has no effect without --jupyter; --idle-timeout ends a cluster without work.");
  if (values.scheduler) {
    if (!values.dashboard && said("prometheusTargets"))
      warnings.push("--prometheus-targets has no effect with --no-dashboard: Prometheus asks the dashboard.");
    return;
  }
  for (const key of [
    "schedulerPort",
    "schedulerRestarts",
    "schedulerOptions",
    "idleTimeout",
    "dashboardAddress",
    "prometheusTargets",
    "report",
    "clusterName",
  ] as const) {
    if (said(key))
      warnings.push(`--${kebab(key)} has no effect here: the cluster that is joined has its scheduler already.`);
  }
};

/** Settles two options that exclude each other: the one said at the higher place stays. */
const exclude = (draft: Draft, a: OptionKey, b: OptionKey, problem: string, hint: string): void => {
  const [levelA, levelB] = [LEVEL[draft.sources[a].kind], LEVEL[draft.sources[b].kind]];
  const names = [a, b].map((key) => flagOf(draft, key));
  if (levelA === levelB) throw together(names.join(" and "), problem, hint);
  reset(draft, levelA > levelB ? b : a, names[levelA > levelB ? 0 : 1] ?? "");
};

const flagOf = ({ values }: Draft, key: OptionKey): string => {
  const value = values[key];
  return typeof value === "string" && !value.includes("/") ? `--${kebab(key)} ${show(value)}` : `--${kebab(key)}`;
};

const derive = <K extends OptionKey>({ values, sources }: Draft, key: K, value: Values[K], from: string): void => {
  if (values[key] === value && sources[key].kind !== "default") return;
  (values as Record<OptionKey, unknown>)[key] = value;
  sources[key] = { kind: "derived", from } satisfies Source;
};

const reset = (draft: Draft, key: OptionKey, from: string): void => {
  (draft.values as Record<OptionKey, unknown>)[key] = table[key].initial;
  draft.sources[key] = { kind: "derived", from };
};

const together = (options: string, problem: string, hint: string): Failure =>
  new Failure("TSD-007", { options, problem, hint: hint.trim() });
