import type { Socket } from "node:net";
import { channelPair, lineChannel, type Channel } from "../protocol/channel.ts";
import type { Assign, FromLeader, FromRank, Hello, ToLeader, ToRank } from "../protocol/messages.ts";
import { acceptFromRank } from "../protocol/schemas.ts";
import { deadlines } from "../deadlines.ts";
import { removeHostFolder } from "./election.ts";
import type { HostPaths } from "../launcher/host-paths.ts";
import type { ForkServer } from "./fork-server.ts";
import { callRoll } from "./missing-ranks.ts";
import { sweepHostFolders } from "./sweep.ts";

export interface LeaderContext {
  readonly rank: number;
  readonly host: string;
  readonly paths: HostPaths;
  /** Ranks on this host, when the launcher tells. */
  readonly localSize: number | undefined;
  readonly size: number;
  /** The ranks whose processes live on this host, as far as that can be told. */
  readonly living: () => Promise<ReadonlySet<number> | undefined>;
  /** The one rank that returns the launch's exit code; the others return 0. */
  readonly resultRank: number;
  readonly clientRank: number | undefined;
  /** True: every rank takes part in the launcher's key-value exchange. */
  readonly pmi: boolean;
  readonly up: Channel<FromLeader, ToLeader>;
  readonly forkServer: Promise<ForkServer>;
  /** Writes the credentials down for this host's Dask processes; resolves when they are there. */
  readonly prepare: (welcome: Extract<ToLeader, { t: "welcome" }>) => Promise<void>;
  /** What a rank of this host is to do. `present` are the ranks that have met here so far. */
  readonly assign: (hello: Hello, present: readonly Hello[]) => Promise<Assign>;
  /** True: the ranks' cores differ, so nobody's share is known before all have come. */
  readonly waitForAll: boolean;
  /** A message to a rank of this host, in the words of this host: where the cluster folder cannot be seen, its own copies stand in. */
  readonly localise: (message: ToRank) => ToRank;
  /** The scheduler's address is known. */
  readonly onScheduler: (address: string) => void;
  readonly report: (problem: string) => void;
  /** The ranks that are shells leave; resolves when they are gone. `absent`: how many ranks of this host have not come. */
  readonly releaseShells: (absent: number) => Promise<void>;
  /** The hub went away without a word. */
  readonly hubGone: () => void;
  /** This host is done, or its hub is gone: the leader's process may leave with this code. */
  readonly finished: (code: number) => void;
}

export interface Leader {
  /** Takes a connection of another rank of this host. */
  readonly admit: (socket: Socket) => void;
  /** A rank whose part this process plays: the agent's own, and those that are shells. Its channel is closed when that rank is here already. */
  readonly join: (hello: Hello) => Channel<FromRank, ToRank>;
  /** A rank whose part was played here speaks for itself from now on: it will connect. */
  readonly handOver: (rank: number) => void;
  /** The process of a rank whose part is played here is gone. */
  readonly gone: (rank: number) => void;
  /** The leader's own rank has nothing left to do. */
  readonly ownDone: () => void;
}

interface Slot {
  readonly hello: Hello;
  readonly channel: Channel<ToRank, FromRank>;
  assigned: boolean;
  gone: boolean;
}

/** Exit code when the hub goes away without a word. */
const hubLost = 72;

/**
 * Leads one host: meets its ranks, gives them what the hub and the options say, passes on what they report, and leaves
 * after them. It ends the fork server, which removes the host's folder.
 */
export function leadHost(context: LeaderContext): Leader {
  const { up } = context;
  const slots = new Map<number, Slot>();
  let ready = false;
  let scheduler: string | undefined;
  let ended: { readonly code: number; readonly grace: number } | undefined;
  let ownDone = false;
  let done = false;
  let complete = !context.waitForAll || context.localSize === 1;

  const present = (): Hello[] => [...slots.values()].map(({ hello }) => hello);

  const dispatch = (slot: Slot): void => {
    if (!ready || !complete || slot.assigned || ended !== undefined) return;
    slot.assigned = true;
    void context.assign(slot.hello, present()).then(
      (assign) => {
        slot.channel.send(assign);
        if (scheduler !== undefined) slot.channel.send({ t: "address", scheduler });
        if (ended !== undefined) slot.channel.send(endFor(slot));
      },
      (error: unknown) => {
        const failure = error as { code?: string; facts?: Record<string, string>; exitCode?: number };
        if (!failure.code?.startsWith("TSD-")) context.report(error instanceof Error ? error.message : String(error));
        if (failure.code?.startsWith("TSD-")) {
          up.send({
            t: "event",
            rank: slot.hello.rank,
            event: {
              k: "failure",
              code: failure.code as never,
              facts: failure.facts ?? {},
              exit: failure.exitCode ?? 70,
            },
          });
        }
      },
    );
  };
  const dispatchAll = (): void => {
    for (const slot of slots.values()) dispatch(slot);
  };
  const allHere = (): void => {
    complete = true;
    dispatchAll();
  };
  // Where the launcher does not say how many ranks this host has, all are taken to be here when none has come for a moment.
  const quiet = complete
    ? undefined
    : setTimeout(allHere, context.localSize === undefined ? deadlines.hostQuiet : deadlines.hostRanks).unref();

  const endFor = (slot: Slot): ToRank => ({
    t: "end",
    code: slot.hello.rank === context.resultRank ? (ended?.code ?? 0) : 0,
    grace: ended?.grace ?? 0,
  });

  const sit = (hello: Hello, channel: Channel<ToRank, FromRank>): void => {
    if (slots.has(hello.rank)) {
      channel.close();
      return;
    }
    const slot: Slot = { hello, channel, assigned: false, gone: false };
    slots.set(hello.rank, slot);
    if (context.pmi) channel.send({ t: "pmi" });
    up.send({ t: "ranks", ranks: [hello.rank] });
    if (slots.size === context.localSize) complete = true;
    else if (context.localSize === undefined) quiet?.refresh();
    if (ended !== undefined) channel.send(endFor(slot));
    else if (complete) dispatchAll();
  };

  // Nobody hears a connection close that was never made.
  const roll = callRoll({
    localSize: context.localSize ?? 0,
    size: context.size,
    met: () => new Set(slots.keys()),
    living: context.living,
    dead: (rank) => {
      if (ended !== undefined) return;
      up.send({ t: "ranks", ranks: [rank] });
      up.send({ t: "gone", rank });
    },
  });

  const onRank = (rank: number, message: FromRank): void => {
    if (message.t === "event") up.send({ t: "event", rank, event: message.event });
  };
  const onRankGone = (rank: number): void => {
    const slot = slots.get(rank);
    if (slot === undefined || slot.gone) return;
    slot.gone = true;
    if (ended === undefined) up.send({ t: "gone", rank });
    maybeDone();
  };

  const maybeDone = (): void => {
    if (ended === undefined || done || !ownDone) return;
    // The client's rank stays until everybody else has left.
    if (
      [...slots.values()].some(
        (slot) => !slot.gone && slot.hello.rank !== context.clientRank && slot.hello.rank !== context.rank,
      )
    )
      return;
    done = true;
    const { grace, code } = ended;
    void context
      .releaseShells(Math.max(0, (context.localSize ?? 0) - slots.size))
      .then(() => context.forkServer)
      .then((server) =>
        Promise.race([server.end(grace).then(() => true), delay(grace * 1000 + deadlines.forkServerEnd)]).then(
          (quiet) => quiet !== true && server.kill(),
        ),
      )
      .catch((error: unknown) => context.report(String(error)))
      .then(() => sweepHostFolders(context.paths))
      .then(() => {
        // The server removes the folder as it ends; one that died could not.
        removeHostFolder(context.paths);
        up.send({ t: "host-done" });
        if (context.rank === 0) return;
        const clientHere = context.clientRank !== undefined && slots.has(context.clientRank);
        // With the client's rank here, the host stays until the hub has left.
        if (!clientHere || hubGone) context.finished(codeFor(code));
      });
  };
  let hubGone = false;
  const codeFor = (code: number): number => (context.rank === context.resultRank ? code : 0);

  const end = (code: number, grace: number): void => {
    if (ended !== undefined) return;
    ended = { code, grace };
    roll.stop();
    for (const slot of slots.values()) slot.channel.send(endFor(slot));
    maybeDone();
  };

  up.onMessage((message) => {
    switch (message.t) {
      case "welcome":
        void context.prepare(message).then(
          () => {
            ready = true;
            dispatchAll();
          },
          (error: unknown) => {
            const failure = error as { code?: string; facts?: Record<string, string>; exitCode?: number };
            if (!failure.code?.startsWith("TSD-")) context.report(String(error));
            if (failure.code?.startsWith("TSD-"))
              up.send({
                t: "event",
                rank: context.rank,
                event: {
                  k: "failure",
                  code: failure.code as never,
                  facts: failure.facts ?? {},
                  exit: failure.exitCode ?? 70,
                },
              });
          },
        );
        break;
      case "address":
        scheduler = message.scheduler;
        context.onScheduler(scheduler);
        for (const slot of slots.values()) if (slot.assigned) slot.channel.send({ t: "address", scheduler });
        break;
      case "to-rank":
        slots.get(message.rank)?.channel.send(context.localise(message.message));
        break;
      case "end":
        end(message.code, message.grace);
        break;
      default:
        break;
    }
  });
  up.onClose(() => {
    hubGone = true;
    if (done) {
      context.finished(codeFor(ended?.code ?? 0));
      return;
    }
    if (ended !== undefined) return;
    context.hubGone();
    end(hubLost, deadlines.scriptAfterLoss / 1000);
  });

  return {
    admit: (socket) => {
      const channel = lineChannel<ToRank, FromRank>(socket, acceptFromRank);
      let rank: number | undefined;
      // A connection that does not say who it is does not stay.
      const patience = setTimeout(() => socket.destroy(), deadlines.hubProof);
      channel.onMessage((message) => {
        if (rank !== undefined) onRank(rank, message);
        else if (message.t === "hello" && message.size === context.size && message.rank < context.size) {
          clearTimeout(patience);
          rank = message.rank;
          sit(message, channel);
        } else socket.destroy();
      });
      channel.onClose(() => {
        clearTimeout(patience);
        if (rank !== undefined && slots.get(rank)?.channel === channel) onRankGone(rank);
      });
    },
    join: (hello) => {
      const [mine, theirs] = channelPair<ToRank, FromRank>();
      mine.onMessage((message) => onRank(hello.rank, message));
      sit(hello, mine);
      mine.onClose(() => {
        if (slots.get(hello.rank)?.channel === mine) onRankGone(hello.rank);
      });
      return theirs;
    },
    handOver: (rank) => slots.delete(rank),
    gone: onRankGone,
    ownDone: () => {
      ownDone = true;
      maybeDone();
    },
  };
}

function delay(ms: number): Promise<false> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms, false).unref();
  });
}
