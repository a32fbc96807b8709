import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { command } from "./bed/command.ts";
import { hostsAvailable, startHosts } from "./bed/hosts.ts";
import { availableLaunchers } from "./bed/launchers.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { environmentOf, processes } from "./bed/processes.ts";
import { python } from "./bed/pythons.ts";
import { output, run, tell } from "./bed/run.ts";
import { asStranger, strangerAvailable } from "./bed/user.ts";
import { program } from "./launch.ts";
import { filesBelow, startCluster, type SecureCluster } from "./security/cluster.ts";

/** A place as other users of a machine share it: a job's folder that all may read, a TMPDIR like /tmp. */
function sharedPlace(): Clean {
  const clean = nothingLeft();
  chmodSync(dirname(clean.folder), 0o755);
  chmodSync(clean.folder, 0o755);
  chmodSync(clean.tmp, 0o1777);
  return clean;
}

/**
 * The real values of everything that must stay secret: the token, each line of a private key, and what the record of
 * the hub holds.
 */
function secretsOf({ folder, token }: SecureCluster): string[] {
  const keys = [join(folder, "key.pem")].flatMap((path) =>
    readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => /^[A-Za-z0-9+/=]{40,}$/.test(line)),
  );
  const records = readdirSync(folder)
    .filter((name) => /hub/.test(name))
    .map((name) => readFileSync(join(folder, name), "utf8"));
  const shared = records.flatMap((text) =>
    [...text.matchAll(/"secret": ?"([^"]+)"/g)].map(([, secret = ""]) => secret),
  );
  return [token, ...keys, ...shared];
}

const holds = (text: string, secrets: readonly string[]): boolean => secrets.some((secret) => text.includes(secret));

/** Whether nobody but its owner can open a file: its own bits, or those of a folder above it. */
function isClosed(path: string, top: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return true; // Gone meanwhile.
  if ((stat.mode & 0o077) !== 0) return false;
  for (let folder = dirname(path); folder.startsWith(top); folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o077) === 0) return true;
  }
  return false;
}

function read(path: string): string {
  try {
    return statSync(path).isFile() ? readFileSync(path, "latin1") : "";
  } catch {
    return ""; // Gone meanwhile.
  }
}

/** Dask's whole configuration as a Python sees it that takes the cluster folder for its own. */
async function daskSettings({ folder }: SecureCluster): Promise<string> {
  const { file, args } = command(
    python().path,
    "-c",
    "import json, distributed, dask; print(json.dumps(dask.config.config, default=str))",
  );
  return await output({ file, args, env: { DASK_CONFIG: folder } });
}

async function searchEverywhere(clean: Clean, cluster: SecureCluster): Promise<void> {
  const secrets = secretsOf(cluster);
  expect(secrets.filter((secret) => secret.length >= 20).length).toBe(secrets.length);
  expect(secrets.length).toBeGreaterThanOrEqual(3);
  for (const { pid, arguments: words } of processes())
    expect(holds(words.join(" "), secrets), `command line of ${pid}`).toBe(false);
  for (const { pid, arguments: words } of clean.processes()) {
    expect(
      holds([...environmentOf(pid).values()].join("\n"), secrets),
      `environment of ${pid}: ${words.join(" ")}`,
    ).toBe(false);
  }
  expect(holds(cluster.running.stdout() + cluster.running.stderr(), secrets), "what a batch job writes").toBe(false);
  const settings = await daskSettings(cluster);
  expect(settings).toContain(cluster.file.address);
  expect(holds(settings, secrets), "Dask's settings, which it shows and sends around").toBe(false);
  const places = [clean.folder, clean.tmp];
  const files = filesBelow(...places, "/dev/shm", join(homedir(), ".local/share/jupyter/runtime"));
  const holding = files.filter((path) => holds(read(path), secrets));
  expect(holding.length).toBeGreaterThan(2);
  for (const path of holding) {
    expect(isClosed(path, dirname(clean.folder)), path).toBe(true);
    expect(path, "a log").not.toMatch(/log/);
  }
}

describe("no secret is found by its real value", () => {
  test("in a command line, an environment, an output, a log, or a file that others can open", async () => {
    await using clean = sharedPlace();
    clean.allow(/^logs/);
    await using cluster = await startCluster(clean, { words: ["--log-dir", "logs", "--log-level", "debug"] });
    await searchEverywhere(clean, cluster);
    await cluster.compute();
    await cluster.stop();
    expect(holds(filesBelow(clean.folder, clean.tmp).map(read).join("\n"), [cluster.token]), "what stays behind").toBe(
      false,
    );
  });

  if (hostsAvailable() === true) {
    test("nor with a hub between two hosts", async () => {
      await using hosts = await startHosts();
      await using clean = sharedPlace();
      await using cluster = await startCluster(clean, { hosts });
      await searchEverywhere(clean, cluster);
      await cluster.stop();
    });
  }
});

if (strangerAvailable() === true) {
  describe("another user of the same machine", () => {
    test("opens no socket, file, folder or process of a cluster", async () => {
      await using clean = sharedPlace();
      await using cluster = await startCluster(clean);
      const paths = [...filesBelow(clean.folder, clean.tmp), cluster.folder].filter(
        (path) => !/\/(script\.py|go\d+|stop)$/.test(path),
      );
      expect(paths.some((path) => path.endsWith("host.sock"))).toBe(true);
      const errand = JSON.stringify({ paths, pids: clean.processes().map(({ pid }) => pid) });
      const source = readFileSync(join(import.meta.dirname, "security", "intruder.py"), "utf8");
      const said = JSON.parse(
        await output(asStranger(command("/usr/bin/python3", "-c", source)), { input: errand }),
      ) as { uid: number; opened: unknown };
      expect(said.uid).not.toBe(0);
      expect(said.opened).toEqual({});
      await cluster.compute();
      await cluster.stop();
    });

    test.each([
      ["made a folder of our name first", (path: string) => mkdirSync(path)],
      [
        "put a link where our folder goes",
        (path: string, elsewhere: string) => {
          mkdirSync(elsewhere);
          symlinkSync(elsewhere, path);
        },
      ],
    ])("who %s stops the launch, and gets nothing", async (_, put) => {
      await using clean = sharedPlace();
      const base = join(clean.tmp, `tsdask-${userInfo().uid}`);
      put(base, join(clean.folder, "elsewhere"));
      clean.allow(/^(tsdask-\d+|elsewhere)$/);
      await output(command("chown", "-h", "nobody:nogroup", base));
      const [launcher] = availableLaunchers("mpich4", "openmpi4", "local");
      const file = clean.write("script.py", "print('ran')");
      const finished = await run(launcher?.command(3, program(file)) ?? command("false"), {
        folder: clean.folder,
        env: clean.env,
        deadline: 30,
      });
      expect(finished.code, tell(finished)).toBe(69);
      expect(finished.stderr).toMatch(/TSD-071.*(belongs to another user|symbolic link)/);
      expect(finished.stdout).toBe("");
      expect(existsSync(base) && readdirSync(clean.tmp)).toEqual([`tsdask-${userInfo().uid}`]);
    });
  });
}
