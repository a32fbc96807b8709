import * as v from "valibot";
import { groupKeys, groupName } from "../config/groups.ts";
import { kebab } from "../config/option-names.ts";
import { Failure } from "../errors/failure.ts";
import { systemCode } from "../security/file-problems.ts";
import { readPlainFile, readTrustedFile, type Trust } from "../security/trusted-file.ts";
import { batchNames, type SchedulerFile } from "./scheduler-file.ts";

/** The file of a cluster with ten thousand workers has about 10 MB; nothing larger is read. */
const LARGEST = 64 * 1024 * 1024;

const Port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535));
/** Words that are shown to people, and go into variables and paths. */
const plain = v.check<string, string>((text) => !/\p{Cc}/u.test(text), "holds control characters");
/** These words end up in shell lines that people paste, so they must be no more than hosts and paths. */
const Host = v.pipe(
  v.string(),
  v.regex(/^[\w.:%*-]*$/, "not a host"),
  v.check((host) => !host.startsWith("-"), "not a host"),
);
const LinkPath = v.pipe(v.string(), v.regex(/^\/(?!\/)[\w./@%~:+-]*$/, "not a path"));
const Login = v.pipe(v.string(), v.regex(/^(?:[\w.-]+@)?[A-Za-z0-9][\w.-]*$/, "not a host"));
const PageAddress = v.object({
  host: Host,
  port: Port,
  node: v.optional(Host),
  path: v.optional(LinkPath),
  https: v.optional(v.boolean()),
});

/** What stands under `tsdask` in a scheduler.json, and what a login host tells of a cluster. */
export const ClusterRecordSchema = v.object({
  version: v.string(),
  launch: v.pipe(v.string(), v.nonEmpty(), plain),
  pid: v.number(),
  host: Host,
  hub: v.object({ addresses: v.array(v.string()), fingerprint: v.string() }),
  folder: v.pipe(v.string(), v.startsWith("/"), plain),
  dashboard: v.nullable(PageAddress),
  jupyter: v.nullable(
    v.object({ ...PageAddress.entries, dashboard: v.optional(LinkPath), hub: v.optional(v.boolean()) }),
  ),
  jupyterComes: v.optional(v.boolean()),
  hosts: v.array(v.string()),
  python: v.optional(v.pipe(v.string(), v.startsWith("/"), plain)),
  security: v.picklist(["tls", "none"]),
  tunnel: v.optional(v.object({ kind: v.picklist(["direct", "jump", "reverse"]), login: v.optional(Login) })),
  public: v.optional(
    v.object({ name: v.pipe(v.string(), v.regex(/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/, "not a host")), port: Port }),
  ),
  job: v.optional(
    v.object({
      system: v.picklist(batchNames),
      id: v.optional(v.string()),
    }),
  ),
  schedulerReturns: v.optional(v.boolean()),
  expects: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
  groups: v.optional(
    v.array(
      v.object({
        name: v.pipe(v.string(), v.regex(groupName, "not a group's name")),
        resources: v.record(v.string(), v.number()),
        options: v.record(v.picklist(groupKeys.map(kebab)), v.pipe(v.string(), plain)),
      }),
    ),
  ),
  started: v.number(),
});

const Content = v.object({
  type: v.optional(v.string(), "Scheduler"),
  id: v.pipe(v.string(), v.nonEmpty()),
  address: v.pipe(v.string(), v.regex(/^[a-z][a-z0-9+.-]*:\/\/\S+$/, "not an address with a protocol"), plain),
  services: v.optional(v.record(v.string(), v.unknown()), {}),
  started: v.optional(v.number()),
  workers: v.optional(v.record(v.string(), v.unknown()), {}),
  tsdask: v.optional(ClusterRecordSchema),
});

/**
 * Reads a scheduler.json, ours or plain Dask's (then without `tsdask`).
 * What it says decides whose code runs as the user, so only a file is taken that nobody else could write or replace;
 * `"anyone"` is for those who only want to know whose file lies there, and act on nothing in it.
 * Throws TSD-023 when it is not there or cannot be read, TSD-024 when it is not what it should be, TSD-120 when it
 * cannot be believed.
 */
export async function readSchedulerFile(path: string, trust: Trust | "anyone" = {}): Promise<SchedulerFile> {
  return parse(path, await readText(path, trust));
}

async function readText(path: string, trust: Trust | "anyone"): Promise<string> {
  try {
    return trust === "anyone"
      ? await readPlainFile(path, { limit: LARGEST })
      : await readTrustedFile(path, { limit: LARGEST, ...trust });
  } catch (error) {
    if (error instanceof Failure) throw error;
    // A command says how it names a cluster (commands/run.ts).
    const again = "name its file: `--scheduler-file /path/to/scheduler.json`";
    throw new Failure("TSD-023", { path, problem: readProblem(error), again }, { cause: error });
  }
}

function readProblem(error: unknown): string {
  const code = systemCode(error);
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES" || code === "EPERM") return "you may not read it";
  if (code === "EISDIR") return "it is a folder";
  return error instanceof Error ? error.message : String(error);
}

function parse(path: string, text: string): SchedulerFile {
  if (text.trim() === "") throw new Failure("TSD-024", { path, problem: "it is empty" });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Failure("TSD-024", { path, problem: "it is not JSON" }, { cause: error });
  }
  const result = v.safeParse(Content, json);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const where = v.getDotPath(issue) ?? "the whole";
  throw new Failure("TSD-024", { path, problem: `${where}: ${issue.message}` });
}
