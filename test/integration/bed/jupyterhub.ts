import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { jobEnvironment } from "../batch-jobs.ts";
import { type Availability, command, projectRoot } from "./command.ts";
import type { Clean } from "./left.ts";
import { freePorts } from "./ports.ts";
import { python } from "./pythons.ts";
import { type Running, start } from "./run.ts";
import { startSlurm } from "./slurm.ts";

/** JupyterHub with batchspawner, for the Python that the tests use, and its proxy; `npm test` puts them there. */
const place = join(projectRoot, ".tools", "hub");
/** What makes JupyterHub known to a Python. */
export const hubPackages = { PYTHONPATH: join(place, "python") };
const user = "root";
const password = "a password for the Hub";
const serviceToken = "a-token-of-the-tests-own-for-this-hub";

/** A JupyterHub on loopback whose users' servers are clusters in jobs of Slurm. */
export interface Hub extends AsyncDisposable {
  readonly running: Running;
  /** Where its pages are. */
  readonly url: string;
  readonly user: string;
  readonly password: string;
  /** Where its API is, for servers. */
  readonly api: string;
  /** Has the Hub's culler begin: who has been idle for a second is culled. */
  cull(): void;
  /** Asks the Hub's API, or with a path that begins with /user/ the user's server, as one who may do all. */
  ask(path: string, method?: string, body?: string): Promise<Response>;
  /** Asks likewise, and returns what the answer holds; throws with the text of a page, and what both said. */
  askForJson(path: string, method?: string, body?: string): Promise<unknown>;
}

/** Whether a JupyterHub can be started here; root is who may start servers for others. */
export function hubAvailable(): Availability {
  return existsSync(join(place, "made")) || { missing: "JupyterHub in .tools/hub (npm test makes it)" };
}

/** What docs/jupyterhub.md gives: the configuration for Slurm, and that of the culler. */
function documented(): readonly [slurm: string, culler: string] {
  const page = readFileSync(join(projectRoot, "docs", "jupyterhub.md"), "utf8");
  const block = (first: string): string => {
    const found = new RegExp(`^\`\`\`python\\n(${first}[\\s\\S]*?)^\`\`\`$`, "m").exec(page)?.[1];
    if (found === undefined) throw new Error(`docs/jupyterhub.md has no configuration that begins with ${first}`);
    return found;
  };
  return [block("import batchspawner"), block("c.JupyterHub.load_roles")];
}

/** Starts a Hub with the configuration of the documentation, for this machine's Slurm. */
export async function startHub(clean: Clean, home: string): Promise<Hub> {
  const { folder, env: slurm } = await startSlurm();
  const [port = 0, api = 0, proxy = 0] = await freePorts(3);
  const env = { ...jobEnvironment(clean), ...slurm, HOME: home, ...hubPackages };
  const lines = Object.entries({ ...env, SLURM_EXPORT_ENV: "ALL" }).map(([name, value]) => `export ${name}='${value}'`);
  const scopes = ["admin:servers", "access:servers", "list:users", "read:servers", "delete:servers"];
  const [batch, culler] = documented();
  const mayCull = join(clean.folder, "may-cull");
  const configuration = `${batch}${culler}
c.JupyterHub.bind_url = "http://127.0.0.1:${port}"
c.JupyterHub.hub_port = ${api}
c.JupyterHub.hub_connect_ip = c.JupyterHub.hub_ip = "127.0.0.1"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:${proxy}"
c.ConfigurableHTTPProxy.command = ["${join(place, "node_modules", ".bin", "configurable-http-proxy")}"]
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = "${password}"
c.Authenticator.allowed_users = {"${user}"}
c.JupyterHub.services[0]["command"] = ["sh", "-c", """while ! test -e '${mayCull}'; do sleep 0.1; done
exec '${python().path}' -m jupyterhub_idle_culler --timeout=1 --cull-every=1"""]
c.JupyterHub.services += [{"name": "tests", "api_token": "${serviceToken}"}]
c.JupyterHub.load_roles += [{"name": "tests", "services": ["tests"], "scopes": ${JSON.stringify(scopes)}}]
c.Spawner.env_keep = ["PATH", "SLURM_CONF", "LANG"]
c.Spawner.http_timeout = 200
c.SlurmSpawner.req_nprocs = "4"
c.SlurmSpawner.exec_prefix = ""  # no sudo: the Hub is the user's own
for old, new in (("set -eu", """${lines.join("\n")}"""), ("{{homedir}}", "${home}"), ("--mem-per-cpu=4G", "--mem-per-cpu=400M")):
    c.SlurmSpawner.batch_script = c.SlurmSpawner.batch_script.replace(old, new)
c.Spawner.cmd = [*c.Spawner.cmd, "--python", "${python().path}", "--wait-workers", "all"]
c.Spawner.default_url = "/lab"
`;
  const file = clean.write("jupyterhub_config.py", configuration);
  const hub = [python().path, "-m", "jupyterhub", "-f", file, "--log-level=WARN"];
  const line = `mount --bind ${folder}/hosts /etc/hosts && exec "$@"`;
  const running = start(command("unshare", "-m", "sh", "-c", line, "sh", ...hub), {
    folder: clean.folder,
    env: { ...clean.env, ...env },
    deadline: 580,
  });
  const url = `http://127.0.0.1:${port}`;
  const healthy = (): Promise<boolean> =>
    fetch(`${url}/hub/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  // Its proxy answers before it does.
  for (const until = performance.now() + 150_000; !(await healthy()); await sleep(100))
    if (performance.now() > until) throw new Error(`JupyterHub does not answer: ${running.stderr()}`);
  const ask = (path: string, method = "GET", body?: string): Promise<Response> =>
    fetch(`${url}${path.startsWith("/user/") ? path : `/hub/api${path}`}`, {
      method,
      headers: { Authorization: `token ${serviceToken}` },
      ...(body === undefined ? {} : { body }),
    });
  const askForJson: Hub["askForJson"] = async (path, method, body) => {
    const answer = await ask(path, method, body);
    const text = await answer.text();
    if (/json/.test(answer.headers.get("Content-Type") ?? "")) return JSON.parse(text);
    const shown = text.replace(/<(script|style)[\s\S]*?<\/\1>|<[^>]*>/g, "").replace(/\s+/g, " ");
    const logs = readdirSync(home).filter((name) => name.endsWith(".log"));
    const server = logs.map((name) => readFileSync(join(home, name), "utf8").slice(-8000)).join("");
    throw new Error(
      `${method ?? "GET"} ${path}: ${answer.status} ${shown}\nThe Hub: ${running.stderr()}\nThe server: ${server}`,
    );
  };
  const cull = (): void => void clean.write("may-cull", "");
  const apiUrl = `http://127.0.0.1:${api}/hub/api`;
  return {
    running,
    url,
    user,
    password,
    api: apiUrl,
    cull,
    ask,
    askForJson,
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}
