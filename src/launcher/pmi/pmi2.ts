import type { PmiEndpoint, World } from "../world.ts";
import type { Store } from "./store.ts";
import { counted, lines, type Reply, type Wire } from "./wire.ts";

/** Slurm's PMI2_MAX_VALLEN (its contribs/pmi2/slurm/pmi2.h), the terminating zero taken off. */
const maxValue = 1023;

/**
 * The PMI-2 wire, as `srun --mpi=pmi2` speaks it: a first line like PMI-1's, then `key=value;` fields behind a
 * six-character length. Its source is MPICH's PMI-2 client (src/pmi/src/pmi2.c) and Slurm's plugin
 * (src/plugins/mpi/pmi2), observed against Slurm 22.05.
 */
export async function openPmi2(wire: Wire, world: World, endpoint: PmiEndpoint, deadline: number): Promise<Store> {
  const frame = (body: string): string => `${String(body.length).padStart(6)}${body}`;
  const ask = async (fields: string, name: string, within = deadline): Promise<Reply> => {
    const reply = await wire.exchange({
      request: frame(`cmd=${name};${fields}`),
      cmd: `${name}-response`,
      step: name,
      deadline: within,
      separator: ";",
      framing: counted,
    });
    if (reply.get("rc") === "0") return reply;
    return wire.refuse("TSD-033", { step: name, reply: `rc=${reply.get("rc")} ${reply.get("errmsg") ?? ""}` });
  };

  await wire.exchange({
    request: "cmd=init pmi_version=2 pmi_subversion=0\n",
    cmd: "response_to_init",
    step: "init",
    deadline,
    separator: " ",
    framing: lines,
  });
  const jobId = endpoint.jobId ?? "";
  await ask(`pmijobid=${jobId};pmirank=${world.rank};threaded=FALSE;`, "fullinit");

  return {
    kvsName: jobId,
    maxValue,
    put: async (key, value) => {
      await ask(`key=${key};value=${value};`, "kvs-put");
    },
    fence: async (within) => {
      await ask("", "kvs-fence", within);
    },
    get: async (key) => {
      const reply = await ask(`jobid=${jobId};srcid=-1;key=${key};`, "kvs-get");
      return reply.get("found") === "TRUE" ? reply.get("value") : undefined;
    },
    finalize: async () => {
      await ask("", "finalize");
    },
    // srun exits with its own code then: the wire has no room for ours
    abort: () => wire.tell(frame("cmd=abort;isworld=TRUE;msg=;")),
  };
}
