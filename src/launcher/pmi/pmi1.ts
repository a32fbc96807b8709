import type { PmiEndpoint, World } from "../world.ts";
import type { Store } from "./store.ts";
import { lines, type Reply, type Wire } from "./wire.ts";

/**
 * The PMI-1 wire, as Hydra (MPICH, Intel MPI, MVAPICH) and Flux speak it: lines of `key=value` words. Its source is
 * Flux's RFC 13 ("Simple Process Manager Interface v1"), which MPICH's own documentation names as the reference; the
 * `initack` exchange of `-pmi-port` is Hydra's.
 */
export async function openPmi1(wire: Wire, world: World, endpoint: PmiEndpoint, deadline: number): Promise<Store> {
  const ask = (request: string, cmd: string, step: string, within = deadline): Promise<Reply> =>
    wire.exchange({ request: `${request}\n`, cmd, step, deadline: within, separator: " ", framing: lines });

  if (endpoint.port !== undefined) await acknowledge(wire, endpoint.port.id, deadline);
  const hello = await ask("cmd=init pmi_version=1 pmi_subversion=1", "response_to_init", "init");
  if ((hello.get("rc") ?? "0") !== "0") await wire.refuse("TSD-033", { step: "init", reply: `rc=${hello.get("rc")}` });
  const maxes = await ask("cmd=get_maxes", "maxes", "get_maxes");
  const kvs = (await ask("cmd=get_my_kvsname", "my_kvsname", "get_my_kvsname")).get("kvsname");
  const maxValue = Number(maxes.get("vallen_max"));
  if (kvs === undefined || !(maxValue > 1)) {
    return wire.refuse("TSD-033", { step: "get_maxes", reply: `kvsname=${kvs} vallen_max=${maxes.get("vallen_max")}` });
  }

  return {
    kvsName: kvs,
    // what C libraries call the maximum counts the terminating zero
    maxValue: maxValue - 1,
    put: async (key, value) => {
      const reply = await ask(`cmd=put kvsname=${kvs} key=${key} value=${value}`, "put_result", "put");
      if (reply.get("rc") !== "0")
        await wire.refuse("TSD-033", { step: "put", reply: `rc=${reply.get("rc")} ${reply.get("msg") ?? ""}` });
    },
    fence: async (within) => {
      await ask("cmd=barrier_in", "barrier_out", `barrier of ${world.size} ranks`, within);
    },
    get: async (key) => {
      const reply = await ask(`cmd=get kvsname=${kvs} key=${key}`, "get_result", "get");
      return reply.get("rc") === "0" && reply.get("found") !== "FALSE" ? reply.get("value") : undefined;
    },
    finalize: async () => {
      await ask("cmd=finalize", "finalize_ack", "finalize");
    },
    abort: (exitCode) => wire.tell(`cmd=abort exitcode=${exitCode}\n`),
  };
}

/** Over a port, the server is told which process this is, and answers with four lines. */
async function acknowledge(wire: Wire, id: number, deadline: number): Promise<void> {
  const common = { step: "initack", deadline, separator: " ", framing: lines } as const;
  await wire.exchange({ ...common, request: `cmd=initack pmiid=${id}\n`, cmd: "initack" });
  for (let line = 0; line < 3; line++) await wire.exchange({ ...common, cmd: "set" });
}
