import { createServer } from "node:net";
import { loginHost } from "../net/tunnel.ts";
import { checked, fine, message, type Row } from "./row.ts";
import type { DoctorContext } from "./context.ts";

/** How the pages would be reached: the login host, and the ports that were asked for. */
export async function jupyterRows({ env, options }: DoctorContext): Promise<Row[]> {
  const login = loginHost({ option: options.loginHost, env });
  const rows = [
    fine(
      "jupyter",
      "login host",
      login ?? "not known: the ssh line names this host (--login-host, best in the site's file, says which it is)",
    ),
  ];
  const wanted: [number | undefined, string][] = [
    [options.schedulerPort === 0 ? undefined : options.schedulerPort, "--scheduler-port"],
    [options.jupyter === undefined ? undefined : options.jupyterPort, "--jupyter-port"],
  ];
  for (const [port, option] of wanted)
    if (port !== undefined) rows.push(await checked("jupyter", option.slice(2), () => portRow(port, option)));
  return rows;
}

async function portRow(port: number, option: string): Promise<Row> {
  const problem = await new Promise<string | undefined>((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code === "EADDRINUSE" ? "another program listens there" : error.message),
    );
    server.listen({ port, host: "0.0.0.0", exclusive: true }, () => server.close(() => resolve(undefined)));
  });
  const name = option.slice(2);
  return problem === undefined
    ? fine("jupyter", name, `port ${port} is free`)
    : message("jupyter", name, "TSD-028", { port, host: "this host", problem, option });
}
