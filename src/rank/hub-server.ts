import { readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { once } from "node:events";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { freePort } from "../net/ports.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Makes ready what JupyterHub's spawner has prepared in the environment (jupyterhub/spawner.py, Spawner.get_env): asks
 * the Hub whether its token is good, and tells it the port where it does not know it, as batchspawner's own wrapper
 * does. Returns the variables that `jupyterhub.singleuser` needs beside those. Throws TSD-170 (no Hub has started
 * this), TSD-171 (it does not know the token), TSD-172 (it does not answer as it should).
 */
export async function prepareHubServer(env: Environment): Promise<Readonly<Record<string, string>>> {
  const api = needed(env, "JUPYTERHUB_API_URL").replace(/\/$/, "");
  const token = needed(env, "JUPYTERHUB_API_TOKEN");
  needed(env, "JUPYTERHUB_SERVICE_PREFIX");
  const place = needed(env, "JUPYTERHUB_SERVICE_URL");
  if (!URL.canParse(place)) throw new Failure("TSD-172", { url: place, problem: "this is no URL" });
  const service = new URL(place);
  const ask = (path: string, body?: string): Promise<void> => askHub(`${api}/${path}`, { env, token, body });
  await ask("user");
  if (service.port !== "0") return {};
  // The Hub waits to be told the port of a server that runs in a job of its own (batchspawner/api.py).
  const port = await freePort(service.hostname.replace(/^\[|\]$/g, ""));
  await ask("batchspawner", JSON.stringify({ port }));
  service.port = String(port);
  return { JUPYTERHUB_SERVICE_URL: service.href };
}

function needed(env: Environment, name: string): string {
  const value = env[name] ?? "";
  if (value === "") throw new Failure("TSD-170", { variable: name });
  return value;
}

interface Question {
  readonly env: Environment;
  readonly token: string;
  /** JSON to post; without it the question is a GET. */
  readonly body?: string | undefined;
}

/**
 * One request to the Hub's API; with the Hub's own certificates where it uses them between its parts (`internal_ssl`).
 */
async function askHub(url: string, { env, token, body }: Question): Promise<void> {
  const files = { key: "JUPYTERHUB_SSL_KEYFILE", cert: "JUPYTERHUB_SSL_CERTFILE", ca: "JUPYTERHUB_SSL_CLIENT_CA" };
  let status: number;
  try {
    const tls = Object.entries(files).flatMap(([name, variable]) =>
      (env[variable] ?? "") === "" ? [] : [[name, readFileSync(env[variable] ?? "")] as const],
    );
    const send = url.startsWith("https:") ? httpsRequest : httpRequest;
    const request = send(url, {
      method: body === undefined ? "GET" : "POST",
      headers: {
        Authorization: `token ${token}`,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      signal: AbortSignal.timeout(deadlines.jupyterHub),
      ...Object.fromEntries(tls),
    }).end(body);
    const [answer] = (await once(request, "response")) as [{ statusCode?: number; resume(): void }];
    answer.resume();
    status = answer.statusCode ?? 0;
  } catch (error) {
    const { name, message } = error as Error;
    throw new Failure("TSD-172", { url, problem: name === "AbortError" ? "no answer in time" : message });
  }
  if (status === 401 || status === 403) throw new Failure("TSD-171", { url, status });
  if (status >= 300) throw new Failure("TSD-172", { url, problem: `it answers ${status}` });
}
