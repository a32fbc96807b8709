import { randomBytes } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { hostPort, parseAddress } from "../dask/address.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { visibleLine } from "../errors/visible.ts";
import { listClusters, type Listed } from "../registry/find.ts";
import { unwritable } from "../security/file-problems.ts";
import type { CommandContext } from "./context.ts";
import { readSmallCommand, type SmallCommand } from "./small-command.ts";

const formats = ["haproxy", "traefik"] as const;
type Format = (typeof formats)[number];

export const COMMAND: SmallCommand = {
  name: "tsdask-mpi proxy-map",
  usage: "[options]",
  about: `Writes which of your clusters a TLS proxy leads to by which name (--sni-domain), to standard output or a file; with
--watch again whenever that changes. The proxy passes TLS on without opening it: docs/security.md has its configuration.`,
  options: [
    { flags: "--format <proxy>", help: "haproxy: a map file; traefik: a file of its file provider", choices: formats },
    { flags: "--out <file>", help: "write to this file, as a whole, and only when it changes" },
    { flags: "--watch", help: "stay, and look every few seconds" },
    { flags: "--reload <command>", help: "a shell line to run after each change: systemctl reload haproxy" },
  ],
};

/** How often (ms) `--watch` looks. */
const lookEvery = 3_000;

/** One name, and the scheduler that it means. */
export interface Route {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/**
 * `tsdask-mpi proxy-map`; resolves to the exit code. Throws TSD-006, TSD-008 (wrong words), TSD-072 (the file) and
 * TSD-199 (the command).
 */
export async function proxyMapCommand(argv: readonly string[], context: CommandContext): Promise<number> {
  const { env, cwd, stdout, stderr } = context;
  const { help, options } = readSmallCommand(COMMAND, argv);
  if (help !== undefined) {
    stdout.write(help);
    return 0;
  }
  const format = (options["format"] ?? "haproxy") as Format;
  const file = typeof options["out"] === "string" ? resolve(cwd, options["out"]) : undefined;
  if (file === undefined && (options["watch"] === true || options["reload"] !== undefined))
    throw new Failure("TSD-006", {
      program: COMMAND.name,
      problem: "--watch and --reload want a file",
      suggestion: "Name it with --out. ",
    });
  let stale = false;
  for (;;) {
    const text = mapText(routesOf(await listClusters(env, ({ public: name }) => name !== undefined)), format);
    if (file === undefined) stdout.write(text);
    else {
      const changed = await written(file, text);
      if (changed) stderr.write(`tsdask-mpi: ${visibleLine(file)} is written.\n`);
      if ((changed || stale) && typeof options["reload"] === "string") {
        const failed = await reload(options["reload"], context);
        // A proxy that restarts by itself reads the map then; until its command works it is run again, and said once.
        if (failed !== undefined && options["watch"] !== true) throw failed;
        if (failed !== undefined && !stale) stderr.write(`${failed.message}\n`);
        stale = failed !== undefined;
      }
    }
    if (options["watch"] !== true) return 0;
    await sleep(lookEvery);
  }
}

/** The clusters that run and can be reached from elsewhere; of two of the same name, the newer one. Pure. */
export function routesOf(clusters: readonly Pick<Listed, "entry" | "state">[]): readonly Route[] {
  const routes = clusters
    .filter(({ state }) => ["running", "suspended", "silent", "unknown"].includes(state))
    .toSorted((a, b) => a.entry.started - b.entry.started)
    .flatMap(({ entry: { public: name, scheduler, security } }) => {
      if (name === undefined || scheduler === undefined || security !== "tls") return [];
      const { protocol, host, port } = parseAddress(scheduler.address);
      return protocol === "tls" && isIP(host) !== 0 ? [{ name, host, port }] : [];
    });
  const newest = new Map(routes.map((route) => [route.name, route]));
  return [...newest.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** The map as a proxy reads it. Pure. */
export function mapText(routes: readonly Route[], format: Format): string {
  if (format === "haproxy") return routes.map(({ name, host, port }) => `${name} ${host}/${port}\n`).join("");
  if (routes.length === 0) return "# no cluster runs\n";
  const quoted = (text: string): string => JSON.stringify(text);
  // One name of Traefik's for each host's: a name that stands twice makes the whole file unreadable for it.
  const id = (name: string): string => name.replaceAll("-", "--").replaceAll(".", "-");
  return [
    "tcp:",
    "  routers:",
    ...routes.flatMap(({ name }) => [
      `    ${id(name)}:`,
      `      rule: ${quoted(`HostSNI(\`${name}\`)`)}`,
      `      service: ${quoted(id(name))}`,
      "      tls:",
      "        passthrough: true",
    ]),
    "  services:",
    ...routes.flatMap(({ name, host, port }) => [
      `    ${id(name)}:`,
      "      loadBalancer:",
      "        servers:",
      `          - address: ${quoted(hostPort(host, port))}`,
    ]),
    "",
  ].join("\n");
}

/** Writes a file that the proxy's own user reads (0644) as a whole; false where it says so already. Throws TSD-072. */
async function written(path: string, text: string): Promise<boolean> {
  if ((await readFile(path, "utf8").catch(() => undefined)) === text) return false;
  const temporary = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    await writeFile(temporary, text, { mode: 0o644, flag: "wx" });
    await rename(temporary, path);
    return true;
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw unwritable(path, error);
  }
}

/** Runs the command; what went wrong, if anything did. */
async function reload(command: string, { env, cwd }: CommandContext): Promise<Failure | undefined> {
  const { execa } = await import("execa");
  const ran = await execa("sh", ["-c", command], {
    env,
    cwd,
    extendEnv: false,
    reject: false,
    stdin: "ignore",
    timeout: deadlines.proxyReload,
  });
  if (ran.exitCode === 0) return undefined;
  const said = String(ran.stderr).trim().split("\n").at(-1) ?? "";
  const how = ran.timedOut ? "it did not end in time" : `exit code ${ran.exitCode ?? "none"}`;
  return new Failure("TSD-199", { command, problem: visibleLine(said === "" ? how : `${how}; ${said}`) });
}
