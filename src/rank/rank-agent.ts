import type { Channel } from "../protocol/channel.ts";
import type { Assign, ChildRequest, ClientStart, FromRank, RankEvent, ToRank } from "../protocol/messages.ts";
import { deadlines } from "../deadlines.ts";
import type { Failure } from "../errors/failure.ts";
import type { Out } from "../ui/out.ts";
import { relay, type LogLevel, type Relay } from "../ui/relay.ts";
import { exitCodes } from "../errors/exit-codes.ts";
import { signalNumber } from "../launcher/signals.ts";
import { killPid, startChild, type Child, type ChildSpawn } from "./child.ts";
import type { ChildCommand, ChildEvent } from "../protocol/fork-server.ts";
import type { ClientRun } from "./client.ts";
import { keepOutput } from "./kept-output.ts";
import { noteSteps, type Steps } from "./steps.ts";
import { superviseScheduler, type SupervisedScheduler } from "./scheduler.ts";
import { superviseWorker, type SupervisedWorker, type WorkerSupervision } from "./worker.ts";

export interface RankAgentContext {
  readonly rank: number;
  readonly up: Channel<FromRank, ToRank>;
  /** The environment for children: this rank's own, without the launcher's variables. */
  readonly childEnv: () => Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly out: Out;
  /** Takes this rank through the launcher's key-value exchange. */
  readonly joinPmi: () => void;
  /** Called when everything that this rank started is gone, before `exit`. */
  readonly idle: () => void;
  /** Called when the leader is gone without a word; this rank leaves when it has resolved. */
  readonly leaderLost?: () => Promise<void>;
  /** Called when this rank has nothing left to do, with its exit code. */
  readonly exit: (code: number) => void;
  /** For a rank that is a shell, whose part its host's agent plays. */
  readonly shell?: ShellSide;
}

export interface ShellSide {
  readonly pid: number;
  readonly start: (spawn: ChildSpawn) => Child;
  /** The worker needs a Python of its own, started by its own rank: that becomes a Node. */
  readonly toNode: () => void;
}

export interface RankAgent {
  /** A signal that this process got: told to the hub, which ends the launch. */
  readonly signal: (name: NodeJS.Signals) => void;
  /** Kills every child at once; for a second signal and for a leader that is gone. */
  readonly killNow: () => void;
}

/**
 * Is one rank of a launch: does what its leader assigns, supervises what it starts, and ends when it is told to, or
 * when its leader is gone.
 */
export function runRankAgent(context: RankAgentContext): RankAgent {
  const agent = new RankController(context);
  context.up.onMessage((message) => agent.take(message));
  context.up.onClose(() => agent.leaderGone());
  return { signal: (signal) => agent.report({ k: "signal", signal }), killNow: () => agent.killNow() };
}

/**
 * What a rank reports of a Failure; undefined for any other error. By its fields: a rank that goes well loads no
 * messages.
 */
export function failureEvent(error: unknown): Extract<RankEvent, { k: "failure" }> | undefined {
  const { code, facts = {}, exitCode: exit = 70 } = error as Partial<Failure>;
  if (typeof code !== "string" || !code.startsWith("TSD-")) return undefined;
  return { k: "failure", code, facts, exit };
}

/** Messages that mean something only to a rank which knows what it is to do. */
const needAssign: ReadonlySet<ToRank["t"]> = new Set(["address", "dashboard", "client", "stdin", "script-signal"]);

class RankController {
  readonly #context: RankAgentContext;
  readonly #outputs = new Set<Relay>();
  readonly #steps: Steps;
  #assign: Assign | undefined;
  /**
   * What came before it: the hub knows a rank as soon as its leader does, which has to work out yet what it is to do.
   */
  #early: ToRank[] = [];
  #worker: SupervisedWorker | undefined;
  #scheduler: SupervisedScheduler | undefined;
  /** Undefined in the end where it could not be started, which has been reported then. */
  #client: Promise<ClientRun | undefined> | undefined;
  #exitCode: number | undefined;
  /** Over when what this rank has started is, once it was told to end. */
  #ended: Promise<unknown> = Promise.resolve();
  #children = 0;

  constructor(context: RankAgentContext) {
    this.#context = context;
    this.#steps = noteSteps(context.shell?.pid ?? process.pid);
  }

  readonly report = (event: RankEvent): void =>
    this.#context.up.send({
      t: "event",
      event: event.k === "worker-ready" ? { ...event, ages: this.#steps.ages() } : event,
    });

  take(message: ToRank): void {
    if (this.#assign === undefined && needAssign.has(message.t)) {
      this.#early.push(message);
      return;
    }
    switch (message.t) {
      case "assign":
        this.#assigned(message);
        break;
      case "address":
        this.#worker?.address(message.scheduler);
        break;
      case "pmi":
        this.#context.joinPmi();
        break;
      case "dashboard":
        this.#scheduler?.dashboard();
        break;
      case "client":
        this.#startClient(message);
        break;
      case "stdin":
        void this.#client?.then((run) => run?.input(message.data));
        break;
      case "script-signal":
        void this.#client?.then((run) => run?.signal(message.signal as NodeJS.Signals));
        break;
      case "end":
        void this.#end(message.code, message.grace);
        break;
      default:
        break;
    }
  }

  killNow(): void {
    void this.#client?.then((run) => run?.killNow());
    this.#worker?.killNow();
    this.#scheduler?.killNow();
  }

  leaderGone(): void {
    const { exit, rank, leaderLost } = this.#context;
    const code = this.#exitCode;
    if (code !== undefined) {
      // The leader may have been forced to leave while the script still has its grace, which nobody else would end.
      void this.#ended.catch(() => undefined).then(() => whenGone(this.#assign?.leaderPid, () => exit(code)));
      return;
    }
    // The leader is gone without a word: the cluster is lost to this rank.
    this.#exitCode = exitCodes.schedulerLost;
    void (async () => {
      const script = this.#client?.then((run) => run?.end(deadlines.scriptAfterLoss / 1000));
      this.#worker?.killNow();
      this.#scheduler?.killNow();
      if (this.#assign?.reportsRankZeroLoss ?? rank === 1) await this.#tellLoss();
      // Whatever of it fails, this rank leaves.
      await Promise.allSettled([script, leaderLost?.()]);
      exit(exitCodes.schedulerLost);
    })();
  }

  #assigned(assign: Assign): void {
    // It was being worked out as the launch ended: nobody would end what is started now.
    if (this.#exitCode !== undefined) return;
    this.#assign = assign;
    this.#steps.note("told");
    const { host, restarts, schedulerRestarts, schedulerReturns, terminateAt, scheduler, worker } = assign;
    const { report } = this;
    if (scheduler) {
      const starter = this.#starter(assign);
      this.#scheduler = superviseScheduler({
        request: scheduler,
        host,
        restarts: schedulerRestarts,
        report,
        ...starter,
      });
    }
    if (worker) {
      const starter = this.#starter(assign);
      this.#worker = superviseWorker({
        request: worker,
        host,
        restarts,
        schedulerReturns,
        terminateAt,
        report,
        ...starter,
      });
    }
    for (const message of this.#early.splice(0)) this.take(message);
  }

  /** How this rank's scheduler or worker is started, again and again, and what it wrote last. */
  #starter({
    forkSocket,
    python,
    pythonRoot,
    host,
    logLevel,
  }: Assign): Pick<WorkerSupervision, "python" | "start" | "lastWords"> {
    const { rank, out, shell } = this.#context;
    let output: Relay | undefined;
    const start = (request: ChildRequest, onEvent: (event: ChildEvent) => void): Child => {
      this.#children += 1;
      const spawn: ChildSpawn = {
        id: `${rank}-${this.#children}`,
        request,
        env: this.#context.childEnv(),
        cwd: this.#context.cwd,
        forkSocket,
        python,
        pythonRoot,
        output: (source) => {
          output = relay({
            source: source as never,
            out,
            label: `[rank ${rank} ${host}]`,
            level: logLevel as LogLevel,
            onLine: keepOutput(this.report),
          });
          this.#outputs.add(output);
        },
        ...(shell === undefined ? {} : { rankPid: shell.pid }),
        onEvent: (event) => {
          if (event.event === "forked") this.#steps.note("forked");
          onEvent(event);
        },
      };
      return forkSocket === undefined ? startChild(spawn) : forkElseExec(spawn, { host, report: this.report, shell });
    };
    return { python, start, lastWords: () => output?.tail() ?? "" };
  }

  #startClient(start: ClientStart): void {
    const { cwd } = this.#context;
    const env = this.#context.childEnv();
    const assign = this.#assign as Assign;
    const starting = import("./client.ts").then(({ runClient }) =>
      runClient({ ...assign, start, env, cwd, report: this.report }),
    );
    this.#client = starting.catch((error: unknown) => {
      // The launch has ended meanwhile, and what the script would have started with is gone.
      if (this.#exitCode !== undefined) return undefined;
      const facts = { file: start.file, problem: String(error) };
      this.report(failureEvent(error) ?? { k: "failure", code: "TSD-052", facts, exit: 126 });
      return undefined;
    });
  }

  async #end(code: number, grace: number): Promise<void> {
    if (this.#exitCode !== undefined) return;
    this.#exitCode = code;
    for (const output of this.#outputs) output.quieten();
    const script = this.#client?.then((run) => run?.end(grace));
    this.#ended = Promise.all([script, this.#worker?.end(grace), this.#scheduler?.end(grace)]);
    await this.#ended;
    this.#context.idle();
    // The client's rank leaves last: its leader closes the connection when all others are gone.
    if (this.#assign?.roles.includes("client") !== true) this.#context.exit(code);
  }

  async #tellLoss(): Promise<void> {
    const { rank, out } = this.#context;
    try {
      const [{ failureText }, { Failure }, { hostname }] = await Promise.all([
        import("../ui/failure-text.ts"),
        import("../errors/failure.ts"),
        import("node:os"),
      ]);
      out.write(failureText(new Failure("TSD-036", { rank, host: this.#assign?.host ?? hostname() })));
    } catch {
      // The program was replaced under this process, or no file can be opened.
      out.write(`tsdask-mpi: TSD-036 Rank 0 is gone, says rank ${rank}.\n`);
    }
  }
}

/**
 * Forks the child; where the server refuses (another cgroup or memory policy), starts a Python of its own instead and
 * says so. A server that is not there, or ends, is the leader's to report, which ends the launch: only if it does not
 * for a while, a Python is started after all.
 */
function forkElseExec(
  spawn: ChildSpawn,
  {
    host,
    report,
    shell,
  }: {
    readonly host: string;
    readonly report: (event: RankEvent) => void;
    readonly shell: ShellSide | undefined;
  },
): Child {
  let current: Child | undefined;
  let waiting: NodeJS.Timeout | undefined;
  const told: ChildCommand[] = [];
  const startOwn = (problem: string): void => {
    waiting = undefined;
    report({ k: "warning", code: "TSD-058", facts: { host, problem } });
    current = startChild({ ...spawn, forkSocket: undefined });
    for (const command of told) current.tell(command);
  };
  /** Whether nothing has been started, which then stays so. */
  const giveUp = (): boolean => {
    if (waiting === undefined) return false;
    clearTimeout(waiting);
    waiting = undefined;
    spawn.onEvent({ event: "exit", code: null, signal: signalNumber("SIGTERM") });
    return true;
  };
  current = (shell?.start ?? startChild)({
    ...spawn,
    onEvent: (event) => {
      if (event.event !== "refused") spawn.onEvent(event);
      // Told to end already: a server that is gone ended with the launch, and nothing is to be started.
      else if (told.some((message) => message["op"] === "stop"))
        spawn.onEvent({ event: "exit", code: null, signal: signalNumber("SIGTERM") });
      else if (event.reason === "server" || event.reason === "ending")
        waiting = setTimeout(startOwn, deadlines.forkServerGone, event.message ?? event.reason);
      else if (shell !== undefined) shell.toNode();
      else startOwn(event.message ?? event.reason);
    },
  });
  return {
    pid: () => current?.pid(),
    tell: (message) => {
      told.push(message);
      if (message["op"] !== "stop" || !giveUp()) current?.tell(message);
    },
    kill: (signal) => {
      if (!giveUp()) current?.kill(signal);
    },
  };
}

/** Calls back when process `pid` is gone, or after a short deadline. */
function whenGone(pid: number | undefined, done: () => void): void {
  const until = performance.now() + deadlines.lastRank;
  const look = (): void => {
    if (pid === undefined || pid === process.pid || performance.now() > until || !killPid(pid, 0)) done();
    else setTimeout(look, 3);
  };
  look();
}
