import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Availability, type Command, command, isRoot, needs, which } from "./command.ts";
import { launcher } from "./launchers.ts";
import { output } from "./run.ts";

export interface HostOptions {
  /** Their hostnames; h1, h2 and h3 by default. */
  readonly names?: readonly string[];
  /** Per host: folders that it does not share with the others; each is an empty file system of its own there. */
  readonly unshared?: Readonly<Record<string, readonly string[]>>;
  /** Folders in which each host sees these files over the machine's own. */
  readonly over?: Readonly<Record<string, string>>;
  /** Files for which each host sees others. */
  readonly bound?: Readonly<Record<string, string>>;
}

/**
 * Hosts on this machine: each its own network, address and hostname, all on one network 10.77.0.0/24, with one file
 * system.
 */
export interface Hosts {
  readonly names: readonly string[];
  /** The address of a host on their network. */
  address(name: string): string;
  /** A command that runs on a host, in the working directory it is started in. */
  on(name: string, program: Command | readonly string[]): Command;
  /** `mpirun` on the first host, with so many ranks on each host: `{ h1: 2, h2: 1 }`. */
  mpirun(kind: "openmpi4" | "mpich4", ranks: Readonly<Record<string, number>>, program: readonly string[]): Command;
  /** Cuts a host's cable, or joins it again. */
  cable(name: string, state: "up" | "down"): Promise<void>;
  /**
   * A firewall: what one host says to another from these of its ports (`8786`, `32768-65534`) gets lost, until the
   * result is disposed of.
   */
  firewall(from: string, to: string, ports: string): Promise<AsyncDisposable>;
  /** Ends the hosts. What runs on them must have ended before. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Whether hosts can be made here. */
export function hostsAvailable(): Availability {
  if (!isRoot) return { missing: "network namespaces need root" };
  return needs(["ip", "unshare", "nsenter", "mount"], "iproute2, util-linux, mount");
}

/**
 * Makes the hosts. A host is a process that holds its namespaces and ends with this one, so nothing stays behind after
 * a crash: no named namespace, no interface, no line in the machine's hosts file.
 */
export async function startHosts({
  names = ["h1", "h2", "h3"],
  unshared = {},
  over = {},
  bound = {},
}: HostOptions = {}): Promise<Hosts> {
  const folder = mkdtempSync(join(tmpdir(), "bed-hosts-"));
  chmodSync(folder, 0o755);
  const address = (name: string): string => `10.77.0.${names.indexOf(name) + 1}`;
  const hostsFile = join(folder, "hosts");
  writeFileSync(hostsFile, `127.0.0.1 localhost\n${names.map((name) => `${address(name)} ${name}\n`).join("")}`);

  const holders = new Map<string, ChildProcess>();
  const pidOf = (name: string): number => {
    const pid = holders.get(name)?.pid;
    if (pid === undefined) throw new Error(`There is no host ${name}, only ${names.join(", ")}`);
    return pid;
  };
  const inside = (name: string, ...words: string[]): Promise<string> =>
    output(command("nsenter", "--target", String(pidOf(name)), "--net", "--uts", "--mount", ...words), {
      deadline: 20,
    });
  const on = (name: string, program: Command | readonly string[]): Command => {
    const { file, args, env } = "file" in program ? program : command(program[0] ?? "true", ...program.slice(1));
    return { file: "sh", args: [join(folder, "on"), name, file, ...args], env };
  };

  const dispose = async (): Promise<void> => {
    await Promise.all([...holders.values()].map(end));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    holders.set("switch", await hold("ip link add br0 type bridge && ip link set br0 up", []));
    for (const name of names) {
      const mounts = [
        ...(unshared[name] ?? []).map((path) => `mount -t tmpfs -o mode=1777 tmpfs '${path}'`),
        ...Object.entries(bound).map(([path, other]) => `mount --bind '${other}' '${path}'`),
        ...Object.entries(over).map(
          ([path, upper]) => `mount -t overlay -o 'lowerdir=${upper}:${path}' overlay '${path}'`,
        ),
      ];
      const script = ['hostname "$1"', 'mount --bind "$0" /etc/hosts', "ip link set lo up", ...mounts].join(" && ");
      holders.set(name, await hold(script, [hostsFile, name]));
      const [port, net, peer] = [`to-${name}`, String(pidOf("switch")), String(pidOf(name))];
      await output(
        command("ip", "link", "add", port, "netns", net, "type", "veth", "peer", "name", "eth0", "netns", peer),
      );
      await inside("switch", "ip", "link", "set", port, "master", "br0", "up");
      await inside(name, "ip", "address", "add", `${address(name)}/24`, "dev", "eth0");
      await inside(name, "ip", "link", "set", "eth0", "up");
    }
    writeScripts(
      folder,
      names.map((name) => [name, pidOf(name)] as const),
    );
  } catch (error) {
    await dispose();
    throw error;
  }

  return {
    names,
    address,
    on,
    mpirun(kind, ranks, program) {
      const list = Object.entries(ranks).map(([name, count]) => `${name}:${count}`);
      const total = Object.values(ranks).reduce((sum, count) => sum + count, 0);
      const agent = join(folder, "agent");
      const options =
        kind === "openmpi4"
          ? ["--mca", "plm_rsh_agent", agent, "--mca", "oob_tcp_if_include", "10.77.0.0/24", "--host", list.join(",")]
          : ["-launcher", "ssh", "-launcher-exec", agent, "-hosts", list.join(",")];
      return on(names[0] ?? "", launcher(kind).command(total, program, { options }));
    },
    async cable(name, state) {
      await inside("switch", "ip", "link", "set", `to-${name}`, state);
    },
    async firewall(from, to, ports) {
      const rule = (verb: string): Promise<string> =>
        inside(
          from,
          "ip",
          "rule",
          verb,
          "to",
          address(to),
          "ipproto",
          "tcp",
          "sport",
          ports,
          "blackhole",
          "priority",
          "10",
        );
      await rule("add");
      return { [Symbol.asyncDispose]: async () => void (await rule("del")) };
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/**
 * Starts a process with namespaces of its own, sets them up, and returns when they are ready. It ends when its stdin
 * does.
 */
async function hold(script: string, args: readonly string[]): Promise<ChildProcess> {
  const all = ["--net", "--uts", "--mount", "sh", "-c", `${script} && echo ready && exec cat >/dev/null`, ...args];
  const child = spawn(which("unshare") ?? "unshare", all, { stdio: ["pipe", "pipe", "pipe"], cwd: "/" });
  const said = { stdout: "", stderr: "" };
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`a host could not be made (${code}): ${said.stderr}`)));
    child.stderr.setEncoding("utf8").on("data", (text: string) => void (said.stderr += text));
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said.stdout += text;
      if (said.stdout.includes("ready")) resolve();
    });
  });
  child.removeAllListeners("exit");
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}

/**
 * `on host command…`, and the same in the manner of rsh, `agent [-options] host command line`, as launchers call it.
 */
function writeScripts(folder: string, pids: readonly (readonly [string, number])[]): void {
  const cases = pids.map(([name, pid]) => `  ${name}) pid=${pid} ;;`).join("\n");
  const enter = 'exec nsenter --target "$pid" --net --uts --mount sh -c';
  const find = `case $host in\n${cases}\n  *) echo "no such host: $host" >&2; exit 255 ;;\nesac`;
  const on = `#!/bin/sh\nhost=$1\nshift\n${find}\n${enter} 'cd "$0" && exec "$@"' "$(pwd -P)" "$@"\n`;
  const agent = `#!/bin/sh\nwhile :; do case $1 in -*) shift ;; *) break ;; esac; done\nhost=$1\nshift\n${find}\n${enter} "cd '$(pwd -P)'; $*"\n`;
  writeFileSync(join(folder, "on"), on, { mode: 0o755 });
  writeFileSync(join(folder, "agent"), agent, { mode: 0o755 });
}
