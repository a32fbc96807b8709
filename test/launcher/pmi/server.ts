import { createServer, type Socket } from "node:net";

import type { World } from "../../../src/launcher/world.ts";

/** A PMI server that says what a test wants, reached as under `mpiexec -pmi-port`. */
export interface Server {
  readonly world: World;
  /** All that the client wrote. */
  readonly heard: () => string;
  /** Writes to whoever is connected. */
  readonly say: (text: string) => void;
  readonly close: () => Promise<void>;
}

/** Calls `answer` with each line that arrives, and writes what it returns; `"close"` ends the connection. */
export async function pmiServer(answer: (line: string) => string | undefined): Promise<Server> {
  let heard = "";
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let rest = "";
    socket.setEncoding("latin1");
    socket.on("error", () => socket.destroy());
    socket.on("data", (text: string) => {
      heard += text;
      rest += text;
      for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
        const reply = answer(rest.slice(0, end));
        rest = rest.slice(end + 1);
        if (reply === "close") socket.destroy();
        else if (reply !== undefined) socket.write(reply);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    world: { launcher: "hydra", rank: 1, size: 2, pmi: { version: 1, port: { host: "127.0.0.1", port, id: 1 } } },
    heard: () => heard,
    say: (text) => {
      for (const socket of sockets) socket.write(text);
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A well-behaved PMI-1 server of one process; `values` is its store. */
export function wellBehaved(values = new Map<string, string>(), maxValue = 64): (line: string) => string | undefined {
  return (line) => {
    const word = (name: string): string => new RegExp(`(?:^| )${name}=(\\S*)`).exec(line)?.[1] ?? "";
    switch (word("cmd")) {
      case "initack":
        return "cmd=initack rc=0\ncmd=set size=2\ncmd=set rank=1\ncmd=set debug=0\n";
      case "init":
        return "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n";
      case "get_maxes":
        return `cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=${maxValue}\n`;
      case "get_my_kvsname":
        return "cmd=my_kvsname kvsname=kvs_1\n";
      case "put":
        values.set(word("key"), word("value"));
        return "cmd=put_result rc=0 msg=success\n";
      case "barrier_in":
        return "cmd=barrier_out\n";
      case "get": {
        const value = values.get(word("key"));
        return value === undefined
          ? "cmd=get_result rc=-1 msg=key_not_found\n"
          : `cmd=get_result rc=0 msg=success value=${value}\n`;
      }
      case "finalize":
        return "cmd=finalize_ack\n";
      default:
        return undefined;
    }
  };
}
