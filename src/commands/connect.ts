import { hostname } from "node:os";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { lineTrouble, type TlsCredentials } from "../dask/comm.ts";
import { securityFiles, type SecurityFiles } from "../dask/configuration.ts";
import { credentialsFor, pagesToken } from "../dask/live-cluster.ts";
import { readSchedulerFile } from "../dask/read-scheduler-file.ts";
import { identity, type SchedulerIdentity } from "../dask/rpc.ts";
import type { ClusterRecord, SchedulerFile } from "../dask/scheduler-file.ts";
import { clusterTunnel, dashboardLink, tunnelLines } from "../net/cluster-tunnel.ts";
import { clustersNamed, listClusters, refuseSuspended } from "../registry/find.ts";
import { atHost, loginHost, type Tunnel, type TunnelKind } from "../net/tunnel.ts";
import { userName } from "../security/user.ts";
import { visible, visibleLine } from "../errors/visible.ts";
import { clusterFileOf } from "./cluster-argument.ts";
import { clusterTrust } from "./cluster-trust.ts";
import { readOptions } from "../config/read.ts";
import type { CommandContext } from "./context.ts";
import { posixWord } from "./shells.ts";
import { readSmallCommand, type SmallCommand, type SmallLine } from "./small-command.ts";

export const COMMAND: SmallCommand = {
  name: "tsdask-mpi connect",
  usage: "[options] [name | scheduler.json]",
  about: `Shows how to reach a running cluster: the ssh line for your own computer, the links to open (they hold the
cluster's token: keep them to yourself), and the Python lines that connect a Client.
Without a name or a file: the one that TSDASK_SCHEDULER_FILE names, else scheduler.json in this folder.`,
  options: [
    { flags: "--json", help: "the same as JSON" },
    { flags: "--trust-shared-folder", help: "believe a scheduler.json in a folder that your group may write in" },
    { flags: "--tunnel <kind>", help: "how your computer gets there", choices: ["direct", "jump", "reverse"] },
    { flags: "--client", help: "what makes a plain Client() work, on your own computer and here" },
    { flags: "--public", help: "the address for any network: through the facility's proxy (--sni-domain)" },
    { flags: "--login-host <host>", help: "the host that your computer reaches with ssh" },
  ],
};

/**
 * Whether the cluster answers: `unreachable` when this host has no way to its network, which says nothing of the
 * cluster.
 */
type State =
  | { readonly state: "running"; readonly identity: SchedulerIdentity }
  | { readonly state: "unreachable"; readonly problem: string };

/**
 * `tsdask-mpi connect`: prints how to reach a cluster; resolves to the exit code.
 * Throws TSD-023, TSD-024, TSD-120 (its file), TSD-073, TSD-074 (its credentials), TSD-087 (it is gone), TSD-186 (it is
 * suspended), and TSD-006, TSD-008 for wrong words.
 */
export async function connectCommand(argv: readonly string[], context: CommandContext): Promise<number> {
  const { stdout, stderr } = context;
  const line = readSmallCommand(COMMAND, argv);
  if (line.help !== undefined) {
    stdout.write(line.help);
    return 0;
  }
  const path = await clusterFileOf(line.words[0], context);
  const trust = await clusterTrust(line.options, context);
  const file = await readSchedulerFile(path, trust);
  const credentials = await credentialsFor(file, trust);
  if (line.options["public"] === true) {
    stdout.write(`${publicText({ path, file }).map(visibleLine).join("\n")}\n`);
    return 0;
  }
  const state = await lookAt(path, file, credentials).catch(async (error: unknown) => {
    // A scheduler that has been stopped for now takes connections and does not answer.
    const [listed] = file.tsdask === undefined ? [] : await clustersNamed(file.tsdask.launch, context.env);
    if (listed !== undefined) refuseSuspended(listed);
    throw error;
  });
  if (line.options["client"] === true) {
    stdout.write(`${(await clientText({ path, file }, line, context)).map(visibleLine).join("\n")}\n`);
    return 0;
  }
  const token = file.tsdask && (await pagesToken(file.tsdask));
  const tunnel = await tunnelOf(file.tsdask, line, context, { token, certificate: credentials?.cert });
  const files = file.tsdask === undefined ? undefined : securityFiles(file.tsdask);
  if (line.options["json"] === true) {
    // What `visible` shows of a control character is JSON's own way to write it.
    stdout.write(`${visible(JSON.stringify(asJson({ path, file, state, tunnel, files, token }), null, 2))}\n`);
    return 0;
  }
  if (state.state === "unreachable")
    stderr.write(
      `the scheduler cannot be reached from ${hostname()} (${state.problem}), so whether it still runs is not known\n`,
    );
  stdout.write(
    `${[...headline(file, state), ...tunnelText(tunnel, file.tsdask), ...pythonText({ path, file, files })].map(visibleLine).join("\n")}\n`,
  );
  return 0;
}

async function lookAt(path: string, file: SchedulerFile, tls: TlsCredentials | undefined): Promise<State> {
  const { address, id } = file;
  try {
    const found = await identity({ address, tls }, { deadline: deadlines.connectCommand });
    if (found.id === id) return { state: "running", identity: found };
    throw gone(path, address, "another scheduler listens there now");
  } catch (error) {
    if (!(error instanceof Failure) || !["TSD-075", "TSD-076", "TSD-077", "TSD-086"].includes(error.code)) throw error;
    const problem = String(error.facts["problem"] ?? `${address} is spoken by Dask only`);
    const line = lineTrouble(error);
    const noWay = line?.stage === "connect" && line.trouble !== "refused";
    if (noWay || error.code === "TSD-086") return { state: "unreachable", problem };
    throw gone(path, address, problem, error);
  }
}

function gone(path: string, address: string, problem: string, cause?: unknown): Failure {
  return new Failure("TSD-087", { path, address, problem }, { cause });
}

async function tunnelOf(
  record: ClusterRecord | undefined,
  line: SmallLine,
  { env, cwd }: CommandContext,
  { token, certificate }: { readonly token: string | undefined; readonly certificate: string | undefined },
): Promise<Tunnel | undefined> {
  if (record === undefined) return undefined;
  const { options, sources } = await readOptions({ argv: [], env, cwd, mayBeUnset: true });
  const login = loginOf(record, line, options.loginHost, env);
  const configured = sources.tunnel.kind === "default" ? undefined : options.tunnel;
  const tunnel = clusterTunnel({
    record,
    user: userName(env),
    token,
    certificate,
    kind: (line.options["tunnel"] as TunnelKind | undefined) ?? configured,
    login,
  });
  return tunnel === undefined ? undefined : { ...tunnel, notes: [...tunnel.notes, ...notesOn(record)] };
}

/** What is to come, and has a link and an ssh line of its own. */
function notesOn(record: ClusterRecord | undefined): readonly string[] {
  return record?.jupyterComes === true && record.jupyter === null
    ? ["JupyterLab is still starting; run this again in a moment (its link and ssh line are others)"]
    : [];
}

/**
 * The host that a laptop's ssh leads to: as it was said, as the launch knew it, or this one where it is none of the
 * cluster's.
 */
function loginOf(
  record: ClusterRecord,
  line: SmallLine,
  configured: string | undefined,
  env: NodeJS.ProcessEnv,
): string | undefined {
  const said = line.options["loginHost"];
  const here = record.hosts.includes(hostname()) ? undefined : hostname();
  return loginHost({ option: typeof said === "string" ? said : configured, env }) ?? record.tunnel?.login ?? here;
}

function headline({ address, tsdask }: SchedulerFile, state: State): string[] {
  const workers = state.state === "running" ? Object.values(state.identity.workers) : undefined;
  const threads = workers?.reduce((sum, worker) => sum + (worker.nthreads ?? 0), 0);
  const hosts = tsdask?.hosts.length ?? 0;
  return [
    `cluster    ${tsdask === undefined ? "of plain Dask" : `${tsdask.launch}, scheduler on ${tsdask.host}${hosts > 1 ? `, ${hosts} hosts` : ""}`}`,
    `scheduler  ${address}`,
    ...(workers === undefined
      ? []
      : [`workers    ${workers.length} with ${threads} ${threads === 1 ? "thread" : "threads"}`]),
    ...(tsdask === undefined ? [] : [`folder     ${tsdask.folder}`]),
    ...(tsdask?.jupyter?.hub === true ? ["jupyter    in the JupyterHub that started the cluster"] : []),
    ...(tsdask?.security === "tls"
      ? []
      : ["security   none: everyone who reaches this network can use it, and run code as its owner"]),
  ];
}

function tunnelText(tunnel: Tunnel | undefined, record: ClusterRecord | undefined): readonly string[] {
  if (tunnel !== undefined) return ["", ...tunnelLines(tunnel)];
  // Without the dashboard, JupyterLab will be its only page.
  return notesOn(record).flatMap((note) => ["", `note: ${note}`]);
}

interface Access {
  readonly path: string;
  readonly file: SchedulerFile;
  readonly files: SecurityFiles | undefined;
}

/**
 * What connects a Client through the proxy. distributed/comm/tcp.py sends the host of an address as the name of the
 * server (SNI), so the name in the address is enough; it does not look at `Security(extra_conn_args=…)` for tls://.
 * Throws TSD-007.
 */
function publicText({ path, file }: Pick<Access, "path" | "file">): string[] {
  const known = file.tsdask?.public;
  const files = file.tsdask === undefined ? undefined : securityFiles(file.tsdask);
  if (known === undefined || files === undefined)
    throw new Failure("TSD-007", {
      options: `connect --public and ${path}`,
      problem:
        files === undefined
          ? "The cluster has no TLS, and so no name that a proxy could see."
          : "The cluster was started without --sni-domain.",
      hint: "Start it with --sni-domain af.example.org, the domain of the facility's proxy; best said in the site's file.",
    });
  return [
    `in Python, from any network that reaches ${known.name}, with copies of these three files (they open the cluster: keep them to yourself):`,
    ...pythonLines({ file: { ...file, address: `tls://${known.name}:${known.port}` }, files }).map((one) => `  ${one}`),
  ];
}

/**
 * A `Client()` without arguments: from a laptop through ssh, which `open` does, and in a shell that reaches the
 * scheduler. Throws TSD-007.
 */
async function clientText(
  { path, file }: Pick<Access, "path" | "file">,
  line: SmallLine,
  { env, cwd }: CommandContext,
): Promise<string[]> {
  const record = file.tsdask;
  const [listed] = await listClusters(env, ({ launch }) => launch === record?.launch);
  if (record === undefined || listed === undefined)
    throw new Failure("TSD-007", {
      options: `connect --client and ${path}`,
      problem: "The cluster is not in your list of clusters, by which `tsdask-mpi open` finds it.",
      hint: "`tsdask-mpi env` connects a shell that reaches its scheduler.",
    });
  const { options } = await readOptions({ argv: [], env, cwd, mayBeUnset: true });
  const login = loginOf(record, line, options.loginHost, env);
  const target = login === undefined ? "<login host>" : atHost(userName(env), login);
  return [
    "on your own computer, where tsdask-mpi and a Python with Dask are (docs/laptop.md):",
    `  tsdask-mpi open --cluster ${listed.entry.name} --client ${target}`,
    "in a shell on a host that reaches the scheduler:",
    `  ${shellLine(path)}`,
  ];
}

const shellLine = (path: string): string => `eval "$(tsdask-mpi env ${posixWord(path)})"`;

function pythonText(access: Access): string[] {
  const { path } = access;
  return [
    "",
    "in Python, on a host that reaches the scheduler:",
    ...pythonLines(access).map((line) => `  ${line}`),
    "or in a shell there (then Client() needs no argument):",
    `  ${shellLine(path)}`,
  ];
}

function pythonLines({ file, files }: Pick<Access, "file" | "files">): string[] {
  // A Python string and a JSON string are written alike, for what paths and addresses hold.
  const text = (value: string): string => JSON.stringify(value);
  if (files === undefined) return ["from distributed import Client", `client = Client(${text(file.address)})`];
  return [
    "from distributed import Client",
    "from distributed.security import Security",
    `security = Security(require_encryption=True, tls_ca_file=${text(files.caFile)},`,
    `                    tls_client_cert=${text(files.cert)},`,
    `                    tls_client_key=${text(files.key)})`,
    `client = Client(${text(file.address)}, security=security)`,
  ];
}

function asJson({
  path,
  file,
  state,
  tunnel,
  files,
  token,
}: Access & {
  readonly state: State;
  readonly tunnel: Tunnel | undefined;
  readonly token: string | undefined;
}): object {
  const workers = state.state === "running" ? Object.entries(state.identity.workers) : undefined;
  return {
    file: path,
    state: state.state,
    ...(state.state === "unreachable" ? { problem: state.problem } : {}),
    id: file.id,
    address: file.address,
    launch: file.tsdask?.launch ?? null,
    security: file.tsdask?.security ?? "none",
    hosts: file.tsdask?.hosts ?? [],
    folder: file.tsdask?.folder ?? null,
    workers:
      workers?.map(([address, { name, nthreads, memory_limit }]) => ({
        address,
        name: name ?? null,
        threads: nthreads ?? null,
        memoryLimit: memory_limit ?? null,
      })) ?? null,
    credentials: files ?? null,
    tunnel: tunnel === undefined ? null : { onNode: tunnel.onNode, onLaptop: tunnel.onLaptop, notes: tunnel.notes },
    links: tunnel?.links ?? [],
    dashboard: (file.tsdask && dashboardLink(file.tsdask, token)) ?? null,
    python: pythonLines({ file, files }),
  };
}
