import { get } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import type { ClientStart, RankEvent } from "../control/messages.ts";
import { deadlines } from "../deadlines.ts";
import { hostPort } from "../dask/address.ts";
import { freePortFrom, requirePort } from "../net/ports.ts";

/** Jupyter's own first port, from which a free one is looked for. */
const firstPort = 8888;
const askEvery = 100;

export interface JupyterStart {
  readonly file: string;
  readonly args: readonly string[];
  /** Calls `report` when the page answers. Resolves when it does, or when `over` says that Jupyter has ended. */
  readonly announce: (over: () => boolean) => Promise<void>;
}

/**
 * Prepares JupyterLab on this rank's host: a free port (or the one asked for), and the command line that listens there and
 * nowhere else. The token travels in the environment, which only the same user reads. Throws TSD-028 for a port that is taken.
 */
export async function prepareJupyter({ start, address, report }: {
  readonly start: ClientStart;
  /** This host's address that others reach. */
  readonly address: string;
  readonly report: (event: RankEvent) => void;
}): Promise<JupyterStart> {
  const host = start.jupyter?.loopback === true ? "127.0.0.1" : address;
  const wanted = start.jupyter?.port;
  if (wanted !== undefined) await requirePort(host, wanted, "--jupyter-port");
  const port = wanted ?? (await freePortFrom(host, firstPort, 100));
  return {
    file: start.file,
    args: [...start.args, `--ip=${host}`, `--port=${port}`, "--ServerApp.port_retries=0"],
    announce: async (over) => {
      const until = performance.now() + deadlines.jupyter;
      while (!over()) {
        if (await answers(host, port)) {
          report({ k: "jupyter-ready", host, port });
          return;
        }
        if (performance.now() > until) {
          report({ k: "failure", code: "TSD-062", facts: { host, port, seconds: deadlines.jupyter / 1000 }, exit: 69 });
          return;
        }
        await pause(askEvery);
      }
    },
  };
}

/** Whether a Jupyter server answers there; `/api` needs no token (jupyter_server, services/api). */
function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(`http://${hostPort(host, port)}/api`, { timeout: 1000, agent: false }, (response) => {
      response.resume();
      resolve((response.statusCode ?? 500) < 500);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
  });
}
