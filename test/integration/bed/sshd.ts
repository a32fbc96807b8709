import { type ChildProcess, spawn } from "node:child_process";
import { connect } from "node:net";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
  /**
   * Put this in front of PATH: its `ssh` takes every hostname for this sshd and uses the right key; the user must be
   * `user`.
   */
  readonly path: string;
  /** Options that do the same for an `ssh` called by its own name. */
  readonly options: readonly string[];
  /** What sshd has logged. */
  log(): string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Whether an sshd can be started here. */
export function sshdAvailable(): Availability {
  return needs(["sshd", "ssh", "ssh-keygen", "openssl"], "openssh-server, openssh-client, openssl");
}

/**
 * Another login name of this machine's root, with a home folder and a password of its own, that only this sshd knows.
 */
export interface Account {
  readonly name: string;
  readonly home: string;
  readonly password: string;
}

interface SshdOptions {
  /** What it finds in /etc/hosts; needs root. */
  readonly hosts?: string;
  /** Who logs in, by the key and then by a question for the password (keyboard-interactive, by PAM); needs root. */
  readonly account?: Account;
}

/** Starts an sshd that lets this user in, on a free port of loopback. */
export async function startSshd({ hosts, account }: SshdOptions = {}): Promise<Sshd> {
  const folder = mkdtempSync(join(tmpdir(), "bed-sshd-"));
  const inFolder = (name: string): string => join(folder, name);
  const port = await freePort();
  const user = account?.name ?? userInfo().username;
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
PasswordAuthentication no
${account === undefined ? "UsePAM no" : "UsePAM yes\nKbdInteractiveAuthentication yes\nAuthenticationMethods publickey,keyboard-interactive"}
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
  User ${user}
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
  const seen = { ...(hosts === undefined ? {} : { "/etc/hosts": hosts }), ...(await accountFiles(account)) };
  const binds = Object.entries(seen).map(([place, text], index) => {
    writeFileSync(inFolder(`seen-${index}`), text);
    return `mount --bind ${inFolder(`seen-${index}`)} ${place} && `;
  });
  if (binds.length > 0) line.unshift("unshare", "-m", "sh", "-c", `${binds.join("")}exec "$@"`, "sh");
  const child = spawn(line[0] ?? "", line.slice(1), { stdio: ["ignore", "ignore", "pipe"] });
  child.stderr.setEncoding("utf8").on("data", (text: string) => void written.push(text));
  const dispose = async (): Promise<void> => {
    await end(child);
    rmSync(folder, { recursive: true, force: true });
  };
  for (let round = 0; !(await answers(port)); round += 1) {
    if (child.exitCode !== null || round === 600) {
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

/** What sshd and PAM find in the system's files about an account. */
async function accountFiles(account: Account | undefined): Promise<Record<string, string>> {
  if (account === undefined) return {};
  const { name, home, password } = account;
  const hash = (await output(command("openssl", "passwd", "-6", password))).trim();
  return {
    "/etc/passwd": `${name}:x:0:0::${home}:/bin/bash\n${readFileSync("/etc/passwd", "utf8")}`,
    "/etc/shadow": `${name}:${hash}:19000:0:99999:7:::\n${readFileSync("/etc/shadow", "utf8")}`,
    "/etc/pam.d/sshd": "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
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
