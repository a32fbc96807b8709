import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { deadlines } from "../../src/deadlines.ts";
import { procStat } from "../../src/launcher/proc-stat.ts";
import { command } from "./bed/command.ts";
import { availableLaunchers } from "./bed/launchers.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { output, run, start, tell, type Finished } from "./bed/run.ts";
import { asStranger, strangerAvailable } from "./bed/user.ts";
import { program, tsdask } from "./launch.ts";
import { startCluster } from "./security/cluster.ts";

const stranger = 65534;
const content = (address: string): string =>
  JSON.stringify({ type: "Scheduler", id: "Scheduler-x", address, services: {}, workers: {} });

/** The folder of a test as people share one: `mode` and the stranger's group; all folders above it can be entered. */
function sharedFolder(mode: number): Clean {
  const clean = nothingLeft();
  chmodSync(dirname(clean.folder), 0o755);
  chownSync(clean.folder, process.getuid?.() ?? 0, stranger);
  chmodSync(clean.folder, mode);
  return clean;
}

const logsOf = (clean: Clean): string => join(dirname(clean.folder), "logs");
const asOther = async (...words: readonly [string, ...string[]]): Promise<string> =>
  output(asStranger(command(...words)));
const ours = (clean: Clean, ...words: string[]): Promise<Finished> =>
  run(command(tsdask, ...words), { folder: clean.folder, env: clean.env, deadline: 40 });
const joining = (clean: Clean, ...words: string[]): Promise<Finished> =>
  run(command(tsdask, ...program("--np", "1", "--no-scheduler", "--start-timeout", "10s", ...words).slice(1)), {
    folder: clean.folder,
    env: clean.env,
    deadline: 60,
  });
const launched = (clean: Clean, ...words: string[]): Promise<Finished> =>
  run(command(tsdask, ...program("--np", "3", ...words).slice(1)), {
    folder: clean.folder,
    env: clean.env,
    deadline: 80,
  });

/** A port of the stranger's that counts who comes; nobody must. */
async function trap(): Promise<{ readonly address: string; readonly visits: () => number } & AsyncDisposable> {
  let visits = 0;
  const server = createServer((socket) => {
    visits += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const place = server.address();
  const port = typeof place === "object" && place !== null ? place.port : 0;
  return {
    address: `tcp://127.0.0.1:${port}`,
    visits: () => visits,
    [Symbol.asyncDispose]: () => new Promise((resolve) => void server.close(() => resolve())),
  };
}

if (strangerAvailable() === true) {
  describe("a scheduler.json of another user's", () => {
    it.each([0o1777, 0o2775, 0o777])(
      "in a folder of mode %o is neither shown, nor connected to, nor joined",
      async (mode) => {
        await using clean = sharedFolder(mode);
        clean.allow(/^scheduler\.json$/);
        await using place = await trap();
        await asOther(
          "sh",
          "-c",
          `printf %s '${content(place.address)}' > '${join(clean.folder, "scheduler.json")}'; chmod 644 '${join(clean.folder, "scheduler.json")}'`,
        );
        for (const finished of [
          await ours(clean, "connect"),
          await ours(clean, "env"),
          await ours(clean, "env", "--security", "none", "--trust-shared-folder"),
          await ours(clean, "scale", "0"),
          await joining(clean),
        ]) {
          expect(finished.code, tell(finished)).toBe(69);
          expect(finished.stderr).toMatch(/TSD-120|TSD-071.*everyone may replace it/);
          expect(finished.stdout).toBe("");
        }
        expect(place.visits()).toBe(0);
      },
    );

    it("is left alone by a launch, which takes a name of its own", async () => {
      await using clean = sharedFolder(0o2775);
      clean.allow(/^scheduler\.json$/);
      await asOther("sh", "-c", `echo '${content("tcp://127.0.0.1:1")}' > '${join(clean.folder, "scheduler.json")}'`);
      const finished = await launched(clean, clean.write("script.py", "print('ran')"));
      expect(finished.code, tell(finished)).toBe(0);
      expect(finished.stdout).toBe("ran\n");
      expect(finished.stderr).toMatch(/this one's is \S+scheduler-\w+\.json/);
      expect(statSync(join(clean.folder, "scheduler.json")).uid).toBe(stranger);
    });
  });

  describe("a scheduler.json of ours", () => {
    it("in a folder that a group writes in is used when we say that we trust the group, and the launch there says so", async () => {
      await using clean = sharedFolder(0o2775);
      await using cluster = await startCluster(clean);
      const refused = await ours(clean, "connect");
      expect(refused.code, tell(refused)).toBe(69);
      expect(refused.stderr).toMatch(/TSD-120.*group nogroup may replace it/);
      const shown = await ours(clean, "connect", "--trust-shared-folder");
      expect(shown.code, tell(shown)).toBe(0);
      const lines = await run(command(tsdask, "env"), {
        folder: clean.folder,
        env: { ...clean.env, TSDASK_TRUST_SHARED_FOLDER: "true" },
      });
      expect(lines.stdout, tell(lines)).toContain("DASK_SCHEDULER_ADDRESS");
      expect(cluster.running.stderr()).toContain("TSD-122");
      await cluster.compute();
      await cluster.stop();
    });

    it("whose cluster folder somebody may replace, or is another user's, has no credentials for us", async () => {
      await using clean = nothingLeft();
      clean.allow(/^shared/);
      await using cluster = await startCluster(clean);
      const shared = join(clean.folder, "shared");
      const moved = join(shared, "cluster");
      mkdirSync(shared);
      cpSync(cluster.folder, moved, { recursive: true, filter: (path) => !/owner|log/.test(path) });
      const { tsdask, ...plain } = cluster.file;
      clean.write("forged.json", JSON.stringify({ ...plain, tsdask: { ...tsdask, folder: moved } }));
      const tried = async (): Promise<readonly Finished[]> => [
        await ours(clean, "connect", "forged.json"),
        await ours(clean, "env", "forged.json"),
        await ours(clean, "scale", "0", "forged.json"),
        await joining(clean, "--scheduler-file", "forged.json"),
      ];
      chmodSync(clean.folder, 0o755);
      chownSync(shared, process.getuid?.() ?? 0, stranger);
      expect((await ours(clean, "env", "forged.json")).code).toBe(0);
      for (const mode of [0o2775, 0o777]) {
        chmodSync(shared, mode);
        for (const finished of await tried()) {
          expect(finished.code, tell(finished)).toBe(69);
          expect(finished.stderr).toMatch(/TSD-120 .*cluster\/key\.pem.*may replace it/);
          expect(finished.stdout).toBe("");
        }
      }
      chmodSync(shared, 0o2775);
      expect((await ours(clean, "env", "forged.json", "--trust-shared-folder")).code).toBe(0);
      await cluster.stop();
    });

    it("of a cluster without TLS is used only when we say --security none", async () => {
      await using clean = nothingLeft();
      await using place = await trap();
      clean.write("scheduler.json", content(place.address));
      for (const finished of [await ours(clean, "env"), await joining(clean)]) {
        expect(finished.code, tell(finished)).toBe(64);
        expect(finished.stderr).toContain("TSD-121");
      }
      expect(place.visits()).toBe(0);
      expect((await ours(clean, "env", "--security", "none")).stdout).toContain(place.address);
    });

    it.each([
      ["pipe", (path: string) => output(command("mkfifo", path))],
      ["link", async (path: string) => symlinkSync("/dev/zero", path)],
    ])("that is a %s holds nothing up", async (_, put) => {
      await using clean = nothingLeft();
      clean.allow(/^scheduler\.json$/);
      await put(join(clean.folder, "scheduler.json"));
      const finished = await ours(clean, "connect");
      expect(finished.code, tell(finished)).toBe(69);
      expect(finished.stderr).toMatch(/TSD-120.*(plain file|symbolic link)/);
    });

    it("shows no control characters of its own on the terminal", async () => {
      await using clean = nothingLeft();
      clean.write(
        "scheduler.json",
        JSON.stringify({ type: "Scheduler", id: "x", address: "tcp://127.0.0.1:1\u001b[2J" }),
      );
      const finished = await ours(clean, "connect");
      expect(finished.code).not.toBe(0);
      expect(finished.stderr).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
    });
  });

  describe("the log of a launch in a folder that all may write in", () => {
    const name = async (clean: Clean): Promise<string> => {
      const finished = await run(
        command(
          tsdask,
          ...program(
            "--np",
            "1",
            "--launch-id",
            "one",
            "--inclusive-workers",
            "--log-dir",
            logsOf(clean),
            clean.write("script.py", "print('ran')"),
          ).slice(1),
        ),
        { folder: clean.folder, env: clean.env, deadline: 80 },
      );
      return `${finished.code} ${finished.stderr}`;
    };

    it("is a new file: nothing is appended through a stranger's link, second name or pipe, and nothing waits", async () => {
      await using clean = sharedFolder(0o755);
      const logs = logsOf(clean);
      mkdirSync(logs);
      chmodSync(logs, 0o777);
      const precious = clean.write("precious", "mine");
      expect(await name(clean)).toMatch(/^0 /);
      const [log = ""] = (await output(command("ls", logs))).split("\n").filter((file) => file.endsWith(".jsonl"));
      const path = join(logs, log);
      const puts = [
        () => asOther("ln", "-s", precious, path),
        () => linkSync(precious, path),
        () => asOther("mkfifo", "-m", "666", path),
      ] as const;
      for (const put of puts) {
        await output(command("rm", "-f", path));
        await put();
        expect(await name(clean)).toMatch(/^69 [\s\S]*TSD-123/);
        expect(readFileSync(precious, "utf8")).toBe("mine");
      }
    });
  });

  describe("the place where the ranks of a host meet", () => {
    it("is not a stranger's, whatever stands there while they look: no rank connects, and only TSD-071 is said", async () => {
      await using clean = sharedFolder(0o755);
      clean.allow(/^tsdask-\d+$/);
      chmodSync(clean.tmp, 0o1777);
      const base = join(clean.tmp, `tsdask-${process.getuid?.()}`);
      await asOther("mkdir", "-m", "755", base);
      for (const launcher of availableLaunchers("mpich4", "openmpi4", "local")) {
        const finished = await run(launcher.command(3, program(clean.write("script.py", "print('ran')"))), {
          folder: clean.folder,
          env: clean.env,
          deadline: 60,
        });
        expect(finished.code, tell(finished)).toBe(69);
        expect(finished.stderr).toMatch(/TSD-071.*belongs to another user/);
        expect(finished.stderr).not.toMatch(/TSD-0(20|70)/);
        expect(finished.seconds).toBeLessThan(deadlines.hostLeader / 1000);
        expect(finished.stdout).toBe("");
      }
      mkdirSync(join(dirname(clean.folder), "own"), { mode: 0o700 });
      const cured = await run(
        command(tsdask, ...program("--np", "2", "--inclusive-workers", join(clean.folder, "script.py")).slice(1)),
        { folder: clean.folder, env: { ...clean.env, TMPDIR: join(dirname(clean.folder), "own") }, deadline: 80 },
      );
      expect(cured.code, tell(cured)).toBe(0);
    });

    it("is not below a folder that a group may write in", async () => {
      await using clean = nothingLeft();
      chownSync(clean.tmp, process.getuid?.() ?? 0, stranger);
      chmodSync(clean.tmp, 0o2775);
      const finished = await launched(clean, clean.write("script.py", "print('ran')"));
      expect(finished.code, tell(finished)).toBe(69);
      expect(finished.stderr).toMatch(/TSD-071.*the group nogroup may replace it/);
    });
  });

  describe("what a launch removes or ends", () => {
    it("is never a running cluster's folder, whatever a stale scheduler.json names", async () => {
      await using clean = nothingLeft();
      await using cluster = await startCluster(clean);
      const options = ["--dashboard-address", ":0", "--scheduler-file", "forged.json"];
      const other = clean.write("other.py", "print('ran')");
      const stale = { ...cluster.file, id: "Scheduler-other", address: "tls://127.0.0.1:1" };
      clean.write("forged.json", JSON.stringify(stale));
      const refused = await launched(clean, ...options, other);
      expect(refused.code, tell(refused)).toBe(64);
      expect(refused.stderr).toContain("TSD-025");
      // Of another process than the one whose folder it is: what wrote it is no more.
      const { pid } = cluster.file.tsdask ?? { pid: 0 };
      clean.write("forged.json", JSON.stringify({ ...stale, tsdask: { ...cluster.file.tsdask, pid: pid + 1 } }));
      const finished = await launched(clean, ...options, other);
      expect(finished.code, tell(finished)).toBe(0);
      expect(existsSync(join(cluster.folder, "key.pem"))).toBe(true);
      await cluster.compute();
      await cluster.stop();
    });

    it("is never a process that is no worker job, whatever a list of jobs names", async () => {
      await using clean = nothingLeft();
      clean.allow(/^\.scheduler\.json\.jobs/);
      await using victim = start(command("sleep", "80"), { folder: clean.folder, env: clean.env, deadline: 80 });
      const pid = victim.pid;
      const since = procStat(pid)?.start;
      clean.write("scheduler.json", content("tcp://127.0.0.1:1"));
      const host = (await output(command("hostname"))).trim();
      writeFileSync(
        join(clean.folder, ".scheduler.json.jobs"),
        JSON.stringify({
          version: 2,
          key: "0123456789abcdef0123456789abcdef",
          jobs: [{ system: "local", id: `local.${pid}.${since}`, host, submitted: 1, expected: 1, joined: false }],
        }),
        { mode: 0o600 },
      );
      const finished = await ours(clean, "scale", "0", "--security", "none");
      expect(finished.code, tell(finished)).toBe(69);
      expect(finished.stderr).toMatch(/TSD-135 .*local\./);
      expect(readFileSync(`/proc/${pid}/stat`, "latin1")).toContain(`${pid} (`);
      victim.signal("SIGKILL");
      await victim.finished;
    });
  });
}
