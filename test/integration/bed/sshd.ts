import { type ChildProcess, spawn } from "node:child_process";
import { connect } from "node:net";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Availability, command, isRoot, needs, which } from "./command.ts";
import { freePort } from "./ports.ts";
import { output } from "./run.ts";

/** An sshd on loopback with keys made for it, and a way to run any ssh line against it as it stands. */
export interface Sshd {
  readonly port: number;
  readonly user: string;
  /** Put this in front of PATH: its `ssh` takes every hostname for this sshd and uses the right key; the user must be `user`. */
  readonly path: string;
  /** Options that do the same for an `ssh` called by its own name. */
  readonly options: readonly string[];
  /** What sshd has logged. */
  log(): string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Whether an sshd can be started here. */
export function sshdAvailable(): Availability {
  return needs(["sshd", "ssh", "ssh-keygen"], "openssh-server, openssh-client");
}

/** Starts an sshd that lets this user in, on a free port of loopback; `hosts` is what it finds in /etc/hosts, which needs root. */
export async function startSshd({ hosts }: { readonly hosts?: string } = {}): Promise<Sshd> {
  const folder = mkdtempSync(join(tmpdir(), "bed-sshd-"));
  const inFolder = (name: string): string => join(folder, name);
  const port = await freePort();
  const user = userInfo().username;
  for (const key of ["host", "user"]) {
    await output(command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test bed", "-f", inFolder(key)));
  }
  writeFileSync(
    inFolder("sshd_config"),
    `ListenAddress 127.0.0.1:${port}
HostKey ${inFolder("host")}
AuthorizedKeysFile ${inFolder("user.pub")}
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
AllowTcpForwarding yes
`,
  );
  writeFileSync(
    inFolder("ssh_config"),
    `Host *
  HostName 127.0.0.1
  Port ${port}
  IdentityFile ${inFolder("user")}
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
`,
  );
  mkdirSync(inFolder("bin"));
  writeFileSync(inFolder("bin/ssh"), `#!/bin/sh\nexec ${which("ssh")} -F ${inFolder("ssh_config")} "$@"\n`, {
    mode: 0o755,
  });
  // sshd's privilege separation wants this folder, which only a started service makes.
  if (isRoot) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });

  const written: string[] = [];
  const line = [which("sshd") ?? "sshd", "-D", "-e", "-f", inFolder("sshd_config")];
  if (hosts !== undefined) {
    writeFileSync(inFolder("hosts"), hosts);
    line.unshift("unshare", "-m", "sh", "-c", `mount --bind ${inFolder("hosts")} /etc/hosts && exec "$@"`, "sh");
  }
  const child = spawn(line[0] ?? "", line.slice(1), { stdio: ["ignore", "ignore", "pipe"] });
  child.stderr.setEncoding("utf8").on("data", (text: string) => void written.push(text));
  const dispose = async (): Promise<void> => {
    await end(child);
    rmSync(folder, { recursive: true, force: true });
  };
  for (let round = 0; !(await answers(port)); round += 1) {
    if (child.exitCode !== null || round === 100) {
      await dispose();
      throw new Error(`sshd did not start: ${written.join("")}`);
    }
    await sleep(50);
  }
  return {
    port,
    user,
    path: inFolder("bin"),
    options: ["-F", inFolder("ssh_config")],
    log: () => written.join(""),
    [Symbol.asyncDispose]: dispose,
  };
}

/** Whether an SSH server greets on this port. */
async function answers(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  const greeted = await new Promise<boolean>((resolve) => {
    socket
      .once("data", () => resolve(true))
      .once("error", () => resolve(false))
      .once("close", () => resolve(false));
    socket.setTimeout(500, () => resolve(false));
  });
  socket.destroy();
  return greeted;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGTERM");
  });
}
