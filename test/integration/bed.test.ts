import { existsSync, readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { chromiumAvailable, launchChromium } from "./bed/chromium.ts";
import { command, isRoot } from "./bed/command.ts";
import { hostsAvailable, startHosts } from "./bed/hosts.ts";
import { availableLaunchers } from "./bed/launchers.ts";
import { nothingLeft } from "./bed/left.ts";
import { freePort } from "./bed/ports.ts";
import { isAlive } from "./bed/processes.ts";
import { output, run, start } from "./bed/run.ts";
import { jobState, queueEmpty, slurmAvailable, startSlurm } from "./bed/slurm.ts";
import { sgeAvailable, startSge } from "./bed/sge.ts";
import { sshdAvailable, startSshd } from "./bed/sshd.ts";
import { asStranger, strangerAvailable } from "./bed/user.ts";

const sayRank = `#!/bin/sh
echo "rank \${OMPI_COMM_WORLD_RANK:-\${PMI_RANK:-\${PMIX_RANK:-$SLURM_PROCID}}} on $(uname -n): $1"
exit "$2"
`;

describe("the launchers of the test bed", () => {
  for (const launcher of availableLaunchers().filter(({ name }) => name !== "local")) {
    it(`${launcher.name} starts three ranks, passes their words through, and its exit code is theirs`, async () => {
      await using clean = nothingLeft();
      await launcher.ready();
      const program = clean.write("rank.sh", sayRank);
      for (const code of [0, 7]) {
        const finished = await run(launcher.command(3, [program, 'it\'s a "b" $HOME', String(code)]), clean);
        expect(finished.code, finished.stderr).toBe(code);
        // A launcher may end the other ranks before they have spoken when one fails.
        const ranks = [...finished.stdout.matchAll(/^rank (\d) on .*: it's a "b" \$HOME$/gm)].map((match) => match[1]);
        if (code === 0) expect(ranks.toSorted()).toEqual(["0", "1", "2"]);
      }
    });
  }
});

describe("nothingLeft", () => {
  it("finds a process that detached itself, with the port it listens on, and a file that was not there before", async () => {
    const clean = nothingLeft({ within: 0.2 });
    clean.write("mine.txt", "");
    const port = await freePort();
    const script = `setsid python3 -m http.server ${port} --bind 127.0.0.1 >/dev/null 2>&1 & echo $!; touch theirs.txt "$TMPDIR/socket"`;
    const { stdout } = await run(command("sh", "-c", script), clean);
    const listening = new RegExp(`process \\d+ .*http.server ${port}.*listening on 127.0.0.1:${port}`);
    await expect.poll(() => clean.left().join("\n"), { timeout: 60_000 }).toMatch(listening);
    const left = clean.left().join("\n");
    expect(left).toContain("file in the working directory: theirs.txt");
    expect(left).toContain("file in TMPDIR: socket");
    expect(left).not.toContain("mine.txt");
    await expect(clean[Symbol.asyncDispose]()).rejects.toThrow("http.server");
    expect(existsSync(clean.folder)).toBe(false);
    await expect.poll(() => isAlive(Number(stdout)), { timeout: 60_000 }).toBe(false);
  });

  it("is silent when everything ended", async () => {
    await using clean = nothingLeft({ within: 0.2 });
    await run(command("sh", "-c", 'touch "$TMPDIR/x"; rm "$TMPDIR/x"'), clean);
  });
});

describe("run", () => {
  it("kills a command with all its descendants at the deadline", async () => {
    await using clean = nothingLeft();
    const finished = await run(command("sh", "-c", "sh -c 'sleep 261' & sleep 262"), { ...clean, deadline: 0.5 });
    expect(finished.timedOut).toBe(true);
    expect(finished.seconds).toBeLessThan(200);
  });

  it("waits for what a command says, and sends it signals", async () => {
    await using clean = nothingLeft();
    await using running = start(
      command("sh", "-c", "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.05; done"),
      clean,
    );
    await running.says(/ready/);
    running.signal("SIGTERM");
    expect((await running.finished).code).toBe(5);
    await expect(running.says(/never/)).rejects.toThrow("it ended (5) without saying");
  });
});

if (slurmAvailable() === true) {
  describe("Slurm", () => {
    it("runs a job array over two nodes and requeues a job", async () => {
      await using clean = nothingLeft();
      clean.allow(/^job-/);
      const { env } = await startSlurm();
      const options = { folder: clean.folder, env: { ...clean.env, ...env } };
      const script = clean.write(
        "job.sh",
        '#!/bin/sh\necho "$SLURM_ARRAY_TASK_ID on $(uname -n), start ${SLURM_RESTART_COUNT:-0}"\n[ "$1" != wait ] || sleep 280\n',
      );
      await output(command("sbatch", "--array=1-4", "--ntasks=8", "--output=job-%a", script), options);
      const id = (
        await output(
          command("sbatch", "--parsable", "--requeue", "--output=job-%j", "--open-mode=append", script, "wait"),
          options,
        )
      ).trim();
      // Slurm tries again after a minute when a busy node has not answered.
      const waits = async (state: string): Promise<void> => {
        await expect.poll(() => jobState(id), { timeout: 200_000, interval: 200 }).toBe(state);
      };
      await waits("RUNNING");
      // Slurm calls it so before its node has started it, and what is requeued is to be a job that runs.
      const wrote = (): string =>
        existsSync(join(clean.folder, `job-${id}`)) ? readFileSync(join(clean.folder, `job-${id}`), "utf8") : "";
      await expect.poll(wrote, { timeout: 200_000 }).toMatch(/start 0/);
      await output(command("scontrol", "requeue", id), options);
      // Its first run is over when it is pending again; a job that is still completing does not take what it is told.
      await waits("PENDING");
      await output(command("scontrol", "update", `jobid=${id}`, "StartTime=now"), options);
      await output(command("scancel", id), options);
      await queueEmpty();
      const files = readdirSync(clean.folder).filter((name) => /^job-[1-4]$/.test(name));
      expect(files.length).toBe(4);
      for (const name of files)
        expect(readFileSync(join(clean.folder, name), "utf8")).toMatch(
          isRoot ? /^\d on n[12], start 0/ : /^\d on \S+, start 0/,
        );
    });
  });
}

if (sgeAvailable() === true) {
  it("Grid Engine runs a parallel job and reports its exit code", async () => {
    await using clean = nothingLeft();
    clean.allow(/^out$/);
    await using sge = await startSge();
    const job = clean.write("job.sh", "#!/bin/sh\n#$ -cwd\n#$ -pe mpi 4\necho $NSLOTS slots\nexit 7\n");
    const finished = await run(sge.on(["qsub", "-V", "-sync", "y", "-j", "y", "-o", "out", job]), clean);
    expect(finished.code, finished.stderr).toBe(7);
    expect(readFileSync(join(clean.folder, "out"), "utf8")).toBe("4 slots\n");
    expect(await sge.jobs()).toEqual([]);
  });
}

if (hostsAvailable() === true) {
  describe("hosts", () => {
    for (const kind of ["openmpi4", "mpich4"] as const) {
      if (availableLaunchers(kind).length === 0) continue;
      it(`${kind} starts ranks on three hosts, one of which sees a folder of its own`, async () => {
        await using clean = nothingLeft();
        const unshared = join(clean.tmp, "scratch");
        await run(command("mkdir", unshared), clean);
        clean.allow(/^scratch/);
        await using hosts = await startHosts({ unshared: { h2: [unshared] } });
        const program = clean.write(
          "rank.sh",
          `${sayRank.replace("exit", 'touch "$TMPDIR/scratch/$(uname -n)"\nexit')}`,
        );
        const finished = await run(hosts.mpirun(kind, { h1: 2, h2: 2, h3: 1 }, [program, "it's", "0"]), clean);
        expect(finished.code, finished.stderr).toBe(0);
        const said = finished.stdout.trim().split("\n").toSorted();
        expect(said).toEqual([
          "rank 0 on h1: it's",
          "rank 1 on h1: it's",
          "rank 2 on h2: it's",
          "rank 3 on h2: it's",
          "rank 4 on h3: it's",
        ]);
        expect(readdirSync(unshared).toSorted()).toEqual(["h1", "h3"]);
        const resolved = await output(hosts.on("h3", ["getent", "hosts", "h2"]), clean);
        expect(resolved).toMatch(/^10\.77\.0\.2\s+h2/);
      });
    }

    it("leave nothing on the machine", async () => {
      const before = await output(command("ip", "-oneline", "link"));
      await (await startHosts())[Symbol.asyncDispose]();
      expect(await output(command("ip", "-oneline", "link"))).toBe(before);
      expect(await output(command("ip", "netns", "list"))).toBe("");
    });
  });
}

if (strangerAvailable() === true) {
  it("a stranger is nobody, and reads no file of ours", async () => {
    await using clean = nothingLeft();
    const path = clean.write("secret", "");
    const finished = await run(asStranger(command("sh", "-c", `id -un; cat ${path}`)), { env: clean.env });
    expect(finished.stdout.trim()).toBe("nobody");
    expect(finished.stderr).toContain("Permission denied");
  });
}

if (sshdAvailable() === true) {
  it("an ssh line as a person pastes it opens a tunnel through the sshd of the bed", async () => {
    await using clean = nothingLeft();
    await using sshd = await startSshd();
    await using page = await servePage();
    const local = await freePort();
    const env = { ...clean.env, PATH: `${sshd.path}:${process.env["PATH"]}` };
    await using tunnel = start(
      command("sh", "-c", `exec ssh -N -L ${local}:127.0.0.1:${page.port} ${sshd.user}@login.example`),
      { ...clean, env },
    );
    await expect
      .poll(
        () =>
          fetch(`http://127.0.0.1:${local}/`).then(
            (answer) => answer.text(),
            () => "",
          ),
        { timeout: 60_000 },
      )
      .toContain("The page");
    tunnel.signal("SIGTERM");
    await tunnel.finished;
  });
}

if (chromiumAvailable() === true) {
  it("Chromium opens a page", async () => {
    await using page = await servePage();
    await using browser = await launchChromium();
    const tab = await browser.newPage();
    await tab.goto(`http://127.0.0.1:${page.port}/`);
    expect(await tab.title()).toBe("The page");
  });
}

async function servePage(): Promise<{ readonly port: number } & AsyncDisposable> {
  const server = createServer(
    (_, answer) => void answer.setHeader("content-type", "text/html").end("<title>The page</title>"),
  );
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
