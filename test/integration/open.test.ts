import { once } from "node:events";
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { command, isRoot } from "./bed/command.ts";
import { fromLaptop, installed } from "./bed/laptop.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { processes } from "./bed/processes.ts";
import { python } from "./bed/pythons.ts";
import { output, run, start, type Running } from "./bed/run.ts";
import { queuedJobs, queueEmpty, slurmAvailable, startSlurm } from "./bed/slurm.ts";
import { sshdAvailable, startSshd } from "./bed/sshd.ts";
import { typing } from "./bed/typist.ts";
import { hasJupyter } from "./security/cluster.ts";

const possible = isRoot && slurmAvailable() === true && sshdAvailable() === true && (await hasJupyter());

/** ssh's process in the background, by which all else goes. */
const masters = (clean: Clean): number[] =>
  clean.processes().flatMap(({ pid, arguments: words }) => (words.includes("-M") && words.includes("-N") ? [pid] : []));

const status = async (url: string): Promise<number> =>
  fetch(url, { redirect: "manual" }).then(
    (answer) => answer.status,
    () => 0,
  );

async function cut(clean: Clean, session: Running): Promise<void> {
  const [master = 0, ...more] = masters(clean);
  expect(more).toEqual([]);
  process.kill(master, "SIGKILL");
  await session.says(/connection to login\.example\.org is lost/, 100);
}

const program = `
from dask.distributed import Client
client = Client()
print(client.scheduler.address, client.submit(sum, range(1000)).result())
`;

describe.runIf(possible)("tsdask-mpi open, against a real sshd and Slurm", () => {
  test("one login from an empty home to JupyterLab; healed after a cut; left, gone back to, and ended", {
    timeout: 600_000,
  }, async () => {
    await startSlurm();
    await using clean = nothingLeft({ within: 15 });
    clean.allow(/\.out$/, /^home/, /^node-compile-cache/);
    const home = join(clean.tmp, "home");
    mkdirSync(home, { mode: 0o700 });
    const remote = ["--remote-command", installed(clean, home), "--no-browser"];
    const { XDG_STATE_HOME: state = "" } = clean.env;
    const opened = join(state, "tsdask-mpi", "opened");

    await using sshd = await startSshd({ account: { name: "ada", home, password: "second factor" } });
    await using session = start(
      typing(
        [
          ["Password:", 0, "second factor\r"],
          ["1) main", 0, ""],
          ["queue: ", 0, "1\r"],
          ["account: ", 0, "\r"],
          ["30m: ", 0, "never\r"],
          ["30m: ", 0, "20m\r"],
          ["64GiB: ", 0, "\r"],
          ["press Enter", 0, "\r"],
          ["Password:", 0, "second factor\r"],
          ["go on (g)?", 0, "l\r"],
        ],
        fromLaptop(clean, sshd, ...remote, "--nodes", "2", "--ranks-per-node", "2", "login.example.org"),
      ),
      { folder: clean.folder, env: clean.env, deadline: 580 },
    );
    const [, name = ""] = await session.says(/job \d+ is submitted to slurm as ([\w-]+)/);
    const [, url = ""] = await session.says(/JupyterLab {2}(http:\S+)/);
    expect(session.stdout()).toContain("connected to");
    expect(await status(url)).toBe(200);
    expect(await status(url.replace(/token=.*/, "token=wrong"))).not.toBe(200);
    // The token is in nobody's command line, and one password was typed for all of it.
    const token = new URL(url).searchParams.get("token") ?? "";
    expect(token.length).toBeGreaterThan(30);
    expect(processes().filter(({ arguments: words }) => words.some((word) => word.includes(token)))).toEqual([]);
    const logins = (): number | undefined => sshd.log().match(/Accepted keyboard-interactive/g)?.length;
    await expect.poll(logins, { timeout: 10_000 }).toBe(1);

    await cut(clean, session);
    await session.says(/connected again/, 100);
    await expect.poll(() => status(url), { timeout: 100_000 }).toBe(200);
    await expect.poll(logins, { timeout: 10_000 }).toBe(2);
    const laptop = clean
      .processes()
      .find(
        ({ arguments: words }) =>
          words.includes("open") && words.includes("--no-browser") && words[0]?.endsWith("node"),
      );
    expect(laptop).toBeDefined();
    if (laptop !== undefined) process.kill(laptop.pid, "SIGINT");
    expect(await session.finished).toMatchObject({ code: 0 });
    expect(session.stdout()).toContain(`${name} goes on`);
    await expect.poll(() => masters(clean), { timeout: 20_000 }).toEqual([]);
    expect(await queuedJobs()).toHaveLength(1);

    // Back to it, by a key alone, with a Client here that goes on after a cut; and the end of all.
    await using plain = await startSshd();
    await using back = start(
      fromLaptop(clean, plain, "--client", "--python", python().path, "--at-end", "stop", name),
      {
        folder: clean.folder,
        env: clean.env,
        deadline: 580,
      },
    );
    const [, again = ""] = await back.says(/JupyterLab {2}(http:\S+)/);
    expect(again).toBe(url);
    const [, folder = ""] = await back.says(/DASK_CONFIG='(.+?)'/);
    expect(dirname(folder)).toBe(opened);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    for (const file of readdirSync(folder)) expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600);
    expect(back.stderr()).not.toContain("other versions");
    const computed = { env: { ...clean.env, DASK_CONFIG: folder } };
    expect(await output(command(python().path, "-c", program), computed)).toMatch(/^tls:\/\/127\.0\.0\.1:\d+ 499500$/m);
    await cut(clean, back);
    await back.says(/connected again/, 100);
    await expect.poll(() => status(url), { timeout: 100_000 }).toBe(200);
    expect(await output(command(python().path, "-c", program), computed)).toContain("499500");
    back.signal("SIGINT");
    expect(await back.finished).toMatchObject({ code: 0 });
    expect(back.stderr()).toContain(`${name} has ended`);
    // The name alone is no host now.
    expect(readdirSync(opened)).toEqual([`${name}.session.json`]);
    const over = await run(fromLaptop(clean, plain, name), { folder: clean.folder, env: clean.env });
    expect(over).toMatchObject({ code: 69, stderr: expect.stringContaining("TSD-188") as string });
    expect(over.stderr).toContain("--nodes=2 --ranks-per-node=2 --queue=main --time=20m login.example.org`");
    await queueEmpty();

    // What cannot be: said before or instead of a job, with nothing left.
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const port = String((taken.address() as AddressInfo).port);
    const refusals = [
      [plain, ["--queue", "nosuch", "--directive=--comment=$(touch${IFS}hacked)", "login"], 69, "invalid partition"],
      [plain, ["--remote-command", "/nowhere/tsdask-mpi", "login"], 69, "it was not found there"],
      [plain, ["--port", port, "login"], 69, "TSD-028"],
      [sshd, ["login"], 69, "there is no terminal here on which to ask"],
    ] as const;
    for (const [at, words, code, text] of refusals) {
      const refused = await run(fromLaptop(clean, at, ...remote, ...words), { folder: clean.folder, env: clean.env });
      expect({ code: refused.code, stderr: refused.stderr }).toEqual({
        code,
        stderr: expect.stringContaining(text) as string,
      });
    }
    taken.close();
    expect(await queuedJobs()).toEqual([]);
    expect([...readdirSync(home), ...readdirSync(clean.folder)]).not.toContain("hacked");
  });
});
