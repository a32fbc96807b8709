import type { Socket } from "node:net";
import { channelPair, lineChannel, type Channel } from "../protocol/channel.ts";
import type { Assign, FromLeader, FromRank, Hello, ToLeader, ToRank } from "../protocol/messages.ts";
import { acceptFromRank } from "../protocol/schemas.ts";
import { deadlines } from "../deadlines.ts";
import type { Failure } from "../errors/failure.ts";
import { failureEvent } from "../rank/rank-agent.ts";
import { removeHostFolder } from "./election.ts";
import { initialHost, reduceHost, type HostEffect, type HostEvent, type HostState } from "./host-state.ts";
import type { HostPaths } from "../launcher/host-paths.ts";
import type { ForkServer } from "./fork-server.ts";
import { nobodyComes, watchMissingRanks } from "./missing-ranks.ts";
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
  /** The launcher has said that it has started all ranks; false where none says so. */
  readonly allStarted: () => boolean;
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
  /** True: the ranks' cores or options may differ, so nobody's share is known before all have come. */
  readonly waitForAll: boolean;
  /**
   * A message to a rank of this host, in the words of this host: where the cluster folder cannot be seen, its own
   * copies stand in.
   */
  readonly localise: (message: ToRank) => ToRank;
  /** The scheduler's address is known. */
  readonly onScheduler: (address: string) => void;
  readonly report: (problem: string) => void;
  /** Told to end: the ranks that are shells will leave with 0, whatever becomes of this process. */
  readonly announceEnd: () => void;
  /**
   * The ranks that are shells leave; resolves when they are gone. `absent`: how many ranks of this host have not come
   * by now.
   */
  readonly releaseShells: (absent: () => number) => Promise<void>;
  /** The hub went away without a word. */
  readonly hubGone: () => void;
  /** What this host's folder holds cannot be removed. */
  readonly filesStay: (failure: Failure) => Promise<void>;
  /** This host is done, or its hub is gone: the leader's process may leave with this code. */
  readonly finished: (code: number) => void;
}

export interface Leader {
  /** Takes a connection of another rank of this host. */
  readonly admit: (socket: Socket) => void;
  /**
   * A rank whose part this process plays: the agent's own, and those that are shells. Its channel is closed when that
   * rank is here already.
   */
  readonly join: (hello: Hello) => Channel<FromRank, ToRank>;
  /** A rank whose part was played here speaks for itself from now on: it will connect. */
  readonly handOver: (rank: number) => void;
  /** The process of a rank whose part is played here is gone. */
  readonly gone: (rank: number) => void;
  /** The leader's own rank has nothing left to do. */
  readonly ownDone: () => void;
}

interface LocalRank {
  readonly hello: Hello;
  readonly channel: Channel<ToRank, FromRank>;
}

/** How often (ms) an agent that cleans up looks whether those ranks live that have not come. */
const lookForComers = 250;

/**
 * Leads one host: meets its ranks, gives them what the hub and the options say, passes on what they report, and leaves
 * after them. It ends the fork server, which removes the host's folder. What is done when, `reduceHost` decides.
 */
export function leadHost(context: LeaderContext): Leader {
  const host = new HostController(context);
  context.up.onMessage((message) => host.take(message));
  context.up.onClose(() => host.dispatch({ e: "hub-closed" }));
  return {
    admit: (socket) => host.admit(socket),
    join: (hello) => host.join(hello),
    handOver: (rank) => host.handOver(rank),
    gone: (rank) => host.dispatch({ e: "gone", rank }),
    ownDone: () => host.dispatch({ e: "own-done" }),
  };
}

class HostController {
  readonly #context: LeaderContext;
  readonly #ranks = new Map<number, LocalRank>();
  readonly #allHere: NodeJS.Timeout | undefined;
  readonly #missing: ReturnType<typeof watchMissingRanks>;
  #state: HostState;
  /** None of the ranks that have not come by the end comes any more. */
  #nobodyComes = false;

  constructor(context: LeaderContext) {
    this.#context = context;
    this.#state = initialHost(context);
    // Where the launcher does not say how many ranks this host has, all are taken to be here when none has come for a
    // moment.
    const patience = context.localSize === undefined ? deadlines.lastHostRank : deadlines.hostRanks;
    const allHere = (): void => this.dispatch({ e: "all-here" });
    this.#allHere = this.#state.complete ? undefined : setTimeout(allHere, patience).unref();
    // Nobody hears a connection close that was never made.
    this.#missing = watchMissingRanks({
      localSize: context.localSize ?? 0,
      size: context.size,
      met: () => new Set(this.#ranks.keys()),
      living: context.living,
      allStarted: context.allStarted,
      dead: (rank) => this.dispatch({ e: "died-unseen", rank }),
    });
  }

  dispatch(event: HostEvent): void {
    const [next, effects] = reduceHost(this.#state, event);
    this.#state = next;
    for (const effect of effects) this.#perform(effect);
  }

  take(message: ToLeader): void {
    const { prepare, onScheduler, localise, announceEnd, rank: own } = this.#context;
    if (message.t === "welcome")
      prepare(message).then(
        () => this.dispatch({ e: "prepared" }),
        (error: unknown) => tellFailure(this.#context, own, error),
      );
    else if (message.t === "address") {
      onScheduler(message.scheduler);
      this.dispatch({ e: "scheduler", address: message.scheduler });
    } else if (message.t === "to-rank") this.#ranks.get(message.rank)?.channel.send(localise(message.message));
    else if (message.t === "end") {
      announceEnd();
      this.dispatch({ e: "end", code: message.code, grace: message.grace });
    }
  }

  admit(socket: Socket): void {
    const { size } = this.#context;
    const channel = lineChannel<ToRank, FromRank>(socket, acceptFromRank);
    let rank: number | undefined;
    // A connection that does not say who it is does not stay.
    const late = setTimeout(() => socket.destroy(), deadlines.hubProof);
    channel.onMessage((message) => {
      if (rank !== undefined) this.#heard(rank, message);
      else if (message.t === "hello" && message.size === size && message.rank < size) {
        clearTimeout(late);
        rank = message.rank;
        this.#welcome(message, channel);
      } else socket.destroy();
    });
    channel.onClose(() => {
      clearTimeout(late);
      this.#left(rank, channel);
    });
  }

  join(hello: Hello): Channel<FromRank, ToRank> {
    const [mine, theirs] = channelPair<ToRank, FromRank>();
    mine.onMessage((message) => this.#heard(hello.rank, message));
    this.#welcome(hello, mine);
    mine.onClose(() => this.#left(hello.rank, mine));
    return theirs;
  }

  handOver(rank: number): void {
    this.#ranks.delete(rank);
    this.dispatch({ e: "hand-over", rank });
  }

  #perform(effect: HostEffect): void {
    const { up, hubGone, finished } = this.#context;
    switch (effect.do) {
      case "send":
        this.#ranks.get(effect.rank)?.channel.send(effect.message);
        break;
      case "up":
        up.send(effect.message);
        break;
      case "assign":
        this.#assign(effect.rank);
        break;
      case "wait-again":
        this.#allHere?.refresh();
        break;
      case "stop-missing-ranks":
        this.#missing.stop();
        break;
      case "clean":
        this.#clean(effect);
        break;
      case "say-hub-gone":
        hubGone();
        break;
      case "finish":
        finished(effect.code);
        break;
    }
  }

  readonly #absent = (): number =>
    this.#nobodyComes ? 0 : Math.max(0, (this.#context.localSize ?? 0) - this.#ranks.size);

  #clean(effect: Extract<HostEffect, { do: "clean" }>): void {
    const { living, allStarted } = this.#context;
    const met = (): ReadonlySet<number> => new Set(this.#ranks.keys());
    const look = async (): Promise<void> => {
      if (this.#absent() > 0) this.#nobodyComes = await nobodyComes({ met, living, allStarted });
    };
    void look();
    const again = setInterval(() => void look(), lookForComers).unref();
    void cleanUp(this.#context, effect, this.#absent).then(() => {
      clearInterval(again);
      this.dispatch({ e: "cleaned" });
    });
  }

  #assign(rank: number): void {
    const present = [...this.#ranks.values()].map(({ hello }) => hello);
    const local = this.#ranks.get(rank) as LocalRank;
    this.#context.assign(local.hello, present).then(
      (assign) => this.dispatch({ e: "assignment", rank, assign }),
      (error: unknown) => tellFailure(this.#context, rank, error),
    );
  }

  #welcome(hello: Hello, channel: Channel<ToRank, FromRank>): void {
    if (this.#ranks.has(hello.rank)) {
      channel.close();
      return;
    }
    this.#ranks.set(hello.rank, { hello, channel });
    this.dispatch({ e: "met", rank: hello.rank });
  }

  #heard(rank: number, message: FromRank): void {
    if (message.t === "event") this.#context.up.send({ t: "event", rank, event: message.event });
  }

  #left(rank: number | undefined, channel: Channel<ToRank, FromRank>): void {
    if (rank !== undefined && this.#ranks.get(rank)?.channel === channel) this.dispatch({ e: "gone", rank });
  }
}

/** Tells the hub why a rank cannot be told what to do; what is no message of ours is reported here. */
function tellFailure({ up, report }: LeaderContext, rank: number, error: unknown): void {
  const event = failureEvent(error);
  if (event !== undefined) up.send({ t: "event", rank, event });
  else report(error instanceof Error ? error.message : String(error));
}

/** Ends the ranks that are shells and the fork server, and removes what they have used on this host. */
async function cleanUp(
  { releaseShells, forkServer, paths, filesStay, report }: LeaderContext,
  { grace }: Extract<HostEffect, { do: "clean" }>,
  absent: () => number,
): Promise<void> {
  try {
    await releaseShells(absent);
    await (await forkServer).end(grace);
  } catch (error) {
    report(String(error));
  }
  await sweepHostFolders(paths);
  // The server removes the folder as it ends; one that died could not.
  const left = removeHostFolder(paths);
  // The hub does not listen for warnings any more.
  if (left !== undefined) await filesStay(left);
}
