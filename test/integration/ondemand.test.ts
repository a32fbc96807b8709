import { chmodSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { jobEnvironment, outputOf, sbatch, until } from "./batch-jobs.ts";
import { chromiumAvailable, launchChromium } from "./bed/chromium.ts";
import { command, projectRoot, which } from "./bed/command.ts";
import { open, openPanes, panesDraw, workForPanes } from "./bed/lab.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { freePort } from "./bed/ports.ts";
import { hasDaskExtension } from "./bed/pythons.ts";
import { output, run, start } from "./bed/run.ts";
import { queueEmpty, slurmAvailable, startSlurm } from "./bed/slurm.ts";
import { hasJupyter } from "./security/cluster.ts";
import type { SchedulerFile } from "../../src/dask/scheduler-file.ts";

interface Rendered {
  readonly manifest: { readonly role: string };
  readonly form: { readonly form: readonly string[]; readonly attributes: Readonly<Record<string, unknown>> };
  readonly submit: { readonly script: { readonly native: readonly string[] } };
  readonly script: string;
  readonly after: string;
  readonly view: string;
}

const fields = {
  nodes: "2",
  ranks_per_node: "2",
  cores: "1",
  memory: "1",
  batch_system: "slurm",
  setup_lines: "true",
  host: "n1",
  port: 8888,
  password: "secret",
};

/** The app's texts, by Ruby's own ERB. */
async function render(changes: object = {}): Promise<Rendered> {
  const words = [join(projectRoot, "ondemand"), JSON.stringify({ ...fields, ...changes })];
  return JSON.parse(
    await output(command("ruby", join(import.meta.dirname, "ondemand", "render.rb"), ...words)),
  ) as Rendered;
}

/** The portal gives what it renders the mode that the app's own file has. */
const scriptMode = (): number => statSync(join(projectRoot, "ondemand/template/script.sh.erb")).mode & 0o777;

/** What the portal's own job script does around an app of the template `basic`. */
const wrapper = `#!/bin/bash
clean_up() { kill "$SCRIPT_PID" 2>/dev/null; exit "\${1:-0}"; }
./script.sh &
SCRIPT_PID=$!
source ./after.sh
(umask 077; printf 'host: %s\\nport: %s\\npassword: %s\\n' "$host" "$port" "$password" > told.new &&
  mv told.new told.yml)
wait "$SCRIPT_PID" || clean_up 1
`;

/**
 * The portal in front of the node: the session's card, and all below /node/ as the node's, with the portal's own name
 * in X-Forwarded-Host.
 */
const portal = (port: number, card: string, server: string): string => `global
  maxconn 200
defaults
  mode http
  timeout connect 60s
  timeout client 200s
  timeout server 200s
  timeout tunnel 60s
frontend portal
  bind 127.0.0.1:${port}
  http-request return status 200 content-type text/html file ${card} if { path /card }
  http-request set-header X-Forwarded-Host %[req.hdr(Host)]
  http-request set-header Host ${server}
  default_backend node
backend node
  server node ${server}
`;

/** Presses the card's button in a browser, and looks at the panes while the cluster works. */
async function pressed(clean: Clean, view: string, server: string, folder: string): Promise<void> {
  const port = await freePort();
  const card = clean.write("card.html", `<!doctype html><title>Sessions</title>${view}`);
  const file = clean.write("portal.cfg", portal(port, card, server));
  await using _proxy = start(command(which("haproxy") ?? "", "-f", file, "-db"), {
    folder: clean.folder,
    env: clean.env,
    deadline: 580,
  });
  await using browser = await launchChromium();
  const sessions = await open(browser, `http://127.0.0.1:${port}/card`);
  const opened = sessions.context().waitForEvent("page");
  await sessions.getByText("JupyterLab").click();
  const lab = await opened;
  await openPanes(lab, "this launch");
  await using _working = await workForPanes(clean, folder);
  for (const address of await panesDraw(lab, "ondemand"))
    expect(address).toMatch(new RegExp(`^http://127\\.0\\.0\\.1:${port}/node/n1/\\d+/dask/dashboard/`));
  expect(lab.url()).toMatch(new RegExp(`^http://127\\.0\\.0\\.1:${port}/node/n1/\\d+/lab`));
}

const seen = chromiumAvailable() === true && which("haproxy") !== undefined && hasDaskExtension() === true;
const slurm = slurmAvailable() === true && (await hasJupyter());

describe.runIf(which("ruby") !== undefined)("the app for Open OnDemand", () => {
  let app: Rendered;
  beforeAll(async () => {
    app = await render();
  });

  test("asks for what its templates need, and takes numbers only", async () => {
    expect(app.manifest.role).toBe("batch_connect");
    for (const name of ["nodes", "ranks_per_node", "cores", "memory", "batch_system", "setup_lines"])
      expect(app.form.form).toContain(name);
    // What is no table of options is fixed to the portal: a user's own form does not keep an older value of it.
    expect(app.form.attributes).toMatchObject({ batch_system: "slurm", setup_lines: "module load tsdask-mpi" });
    // The portal's names for the templates are also those of Ruby: `system` alone would start a program.
    expect(app.form.form).not.toContain("system");
    expect(app.submit.script.native).toEqual(["--nodes=2", "--ntasks-per-node=2", "--cpus-per-task=1", "--mem=1G"]);
    const pbs = await render({ batch_system: "pbs", nodes: "3; reboot", ranks_per_node: "4", cores: "2" });
    expect(pbs.submit.script.native).toEqual(["-l", "select=3:ncpus=8:mpiprocs=4:mem=1gb"]);
    expect(pbs.script).toContain("launch=(mpiexec)");
    expect((await render({ password: '"><script>' })).view).not.toContain("<script>");
  });

  test.runIf(which("shellcheck") !== undefined)("is written in shell that shellcheck accepts", async () => {
    await using clean = nothingLeft();
    const files = [clean.write("script.sh", app.script), clean.write("after.sh", `#!/bin/bash\n${app.after}`)];
    await output(command("shellcheck", ...files));
  });

  test.runIf(slurm)(
    "starts JupyterLab in a job on two nodes, and its button logs in to it and to the dashboard",
    { timeout: 600_000 },
    async () => {
      await startSlurm();
      await using clean = nothingLeft();
      clean.allow(/\.out$/, /^told\.yml$/, /^node-compile-cache|^home/);
      const home = join(clean.tmp, "home");
      mkdirSync(home);
      for (const [name, text] of [
        ["script.sh", app.script],
        ["after.sh", app.after],
        ["job.sh", wrapper],
      ] as const)
        clean.write(name, text);
      chmodSync(join(clean.folder, "script.sh"), scriptMode());
      const file = (name: string): string => join(clean.folder, name);
      const exported = `--export=ALL,HOME=${home}`;
      const id = await sbatch(
        clean,
        file("job.sh"),
        ...app.submit.script.native,
        "--time=10",
        exported,
        "--output=job-%j.out",
      );
      await until(
        () => `told.yml: ${outputOf(clean, id)}`,
        200,
        () => existsSync(file("told.yml")),
      );
      const told = readFileSync(file("connection.yml"), "utf8");
      expect(statSync(file("connection.yml")).mode & 0o777).toBe(0o600);
      const withoutOwner = told.replace(/^# launch \S+\n/m, "");
      expect(withoutOwner.replaceAll('"', "")).toBe(readFileSync(file("told.yml"), "utf8"));

      const [, host = "", port = "", password = ""] =
        /^host: "(.*)"\nport: (\d+)\npassword: "(.*)"\n$/.exec(withoutOwner) ?? [];
      const { tsdask } = JSON.parse(readFileSync(file("scheduler.json"), "utf8")) as SchedulerFile;
      const server = `http://${tsdask?.jupyter?.host}:${port}`;
      const { view } = await render({ host, port: Number(port), password });
      const actions = [...view.matchAll(/action="([^"]*)"/g)].map(([, action = ""]) => action);
      expect(actions).toHaveLength(2);
      const inputs = [...view.matchAll(/name="(\w+)" value="([^"]*)"/g)].map(
        ([, name = "", value = ""]): [string, string] => [name, value],
      );
      const portal = { "X-Forwarded-Host": "portal.example.org" };
      for (const action of actions) {
        const body = new URLSearchParams(inputs);
        const login = await fetch(`${server}${action}`, { method: "POST", body, headers: portal, redirect: "manual" });
        const page = login.headers.get("location") ?? "";
        expect(page).toMatch(new RegExp(`^/node/n1/${port}/(lab|tsdask/status)$`));
        const cookies = login.headers.getSetCookie().map((one) => one.split(";")[0]);
        const shown = await fetch(server + page, {
          headers: { ...portal, Cookie: cookies.join("; ") },
          redirect: "manual",
        });
        expect(shown.status).toBe(200);
        expect((await fetch(server + page)).url).toContain("/login");
      }
      if (seen) await pressed(clean, view, server.slice("http://".length), tsdask?.folder ?? "");
      await fetch(`${server}/node/n1/${port}/api/shutdown`, {
        method: "POST",
        headers: { Authorization: `token ${password}` },
      });
      await queueEmpty();
      expect(existsSync(file("connection.yml"))).toBe(false);
      expect(outputOf(clean, id)).not.toContain(password);
    },
  );

  test("says why when JupyterLab does not come up, and the job ends", async () => {
    await using clean = nothingLeft();
    chmodSync(clean.write("script.sh", "#!/bin/bash\necho no such module >&2; exit 1\n"), scriptMode());
    clean.write("after.sh", app.after);
    const ended = await run(command("bash", clean.write("job.sh", wrapper)), {
      folder: clean.folder,
      env: jobEnvironment(clean),
    });
    expect([ended.code, ended.stdout]).toEqual([1, expect.stringContaining("JupyterLab did not come up")]);
  });
});
