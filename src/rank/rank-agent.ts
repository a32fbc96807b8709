import type { Channel } from "../protocol/channel.ts";
import type { Assign, ChildRequest, FromRank, RankEvent, ToRank } from "../protocol/messages.ts";
import { deadlines } from "../deadlines.ts";
import type { Facts } from "../errors/failure.ts";
import type { MessageCode } from "../errors/messages.ts";
import type { Out } from "../ui/out.ts";
import { relay, type LogLevel, type Relay } from "../ui/relay.ts";
import { killPid, signalNumber, startChild, type Child, type ChildSpawn } from "./child.ts";
import type { ChildEvent } from "../protocol/fork-server.ts";
import type { ClientRun } from "./client.ts";
import { keepOutput } from "./kept-output.ts";
import { superviseScheduler, type SupervisedScheduler } from "./scheduler.ts";
import { superviseWorker, type SupervisedWorker } from "./worker.ts";

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

export interface Member {
  /** A signal that this process got: told to the hub, which ends the launch. */
  readonly signal: (name: NodeJS.Signals) => void;
  /** Kills every child at once; for a second signal and for a leader that is gone. */
  readonly killNow: () => void;
}

/** Exit code of a rank whose leader or hub went away without a word: the scheduler is lost. */
const schedulerLost = 72;

/**
 * Is one rank of a launch: does what its leader assigns, supervises what it starts, and ends when it is told to, or when
 * its leader is gone.
 */
export function runRankAgent(context: RankAgentContext): Member {
  const { up, rank } = context;
  let assign: Assign | undefined;
  let worker: SupervisedWorker | undefined;
  let scheduler: SupervisedScheduler | undefined;
  let client: Promise<ClientRun> | undefined;
  let exitCode: number | undefined;
  let children = 0;
  const outputs = new Set<Relay>();

  const report = (event: RankEvent): void => up.send({ t: "event", event });

  const starter = (): {
    start: (request: ChildRequest, onEvent: (event: ChildEvent) => void) => Child;
    lastWords: () => string;
  } => {
    let output: Relay | undefined;
    const start = (request: ChildRequest, onEvent: (event: ChildEvent) => void): Child => {
      const { forkSocket, python, pythonRoot, host, logLevel } = assign as Assign;
      children += 1;
      const spawn: ChildSpawn = {
        id: `${rank}-${children}`,
        request,
        env: context.childEnv(),
        cwd: context.cwd,
        forkSocket,
        python,
        pythonRoot,
        output: (source) => {
          output = relay({
            source: source as never,
            out: context.out,
            label: `[rank ${rank} ${host}]`,
            level: logLevel as LogLevel,
            onLine: keepOutput(report),
          });
          outputs.add(output);
        },
        ...(context.shell === undefined ? {} : { rankPid: context.shell.pid }),
        onEvent,
      };
      return forkSocket === undefined ? startChild(spawn) : forkElseExec(spawn, { host, report, shell: context.shell });
    };
    return { start, lastWords: () => output?.tail() ?? "" };
  };

  const end = async (code: number, grace: number): Promise<void> => {
    if (exitCode !== undefined) return;
    exitCode = code;
    for (const output of outputs) output.quieten();
    await Promise.all([client?.then((run) => run.end(grace)), worker?.end(grace), scheduler?.end(grace)]);
    context.idle();
    // The client's rank leaves last: its leader closes the connection when all others are gone.
    if (assign === undefined || !assign.roles.includes("client")) context.exit(code);
  };

  up.onMessage((message) => {
    switch (message.t) {
      case "assign":
        assign = message;
        if (message.scheduler)
          scheduler = superviseScheduler({ request: message.scheduler, host: message.host, report, ...starter() });
        if (message.worker) {
          worker = superviseWorker({
            request: message.worker,
            host: message.host,
            restarts: message.restarts,
            terminateAt: message.terminateAt,
            report,
            ...starter(),
          });
        }
        break;
      case "address":
        worker?.address(message.scheduler);
        break;
      case "pmi":
        context.joinPmi();
        break;
      case "dashboard":
        scheduler?.dashboard();
        break;
      case "client":
        client = import("./client.ts").then(({ runClient }) =>
          runClient({ ...(assign as Assign), start: message, env: context.childEnv(), cwd: context.cwd, report }),
        );
        client.catch((error: { code?: string; facts?: Facts; exitCode?: number }) => {
          client = undefined;
          if (error.code?.startsWith("TSD-"))
            report({
              k: "failure",
              code: error.code as MessageCode,
              facts: error.facts ?? {},
              exit: error.exitCode ?? 70,
            });
          else
            report({ k: "failure", code: "TSD-052", facts: { file: message.file, problem: String(error) }, exit: 126 });
        });
        break;
      case "stdin":
        void client?.then((run) => run.input(message.data));
        break;
      case "script-signal":
        void client?.then((run) => run.signal(message.signal as NodeJS.Signals));
        break;
      case "end":
        void end(message.code, message.grace);
        break;
      default:
        break;
    }
  });

  const killNow = (): void => {
    void client?.then((run) => run.killNow());
    worker?.killNow();
    scheduler?.killNow();
  };

  up.onClose(() => {
    if (exitCode !== undefined) {
      whenGone(assign?.leaderPid, () => context.exit(exitCode as number));
      return;
    }
    // The leader is gone without a word: the cluster is lost to this rank.
    exitCode = schedulerLost;
    void (async () => {
      const script = client?.then((run) => run.end(deadlines.scriptAfterLoss / 1000));
      worker?.killNow();
      scheduler?.killNow();
      if (assign?.reportsRankZeroLoss ?? rank === 1) await tellLoss();
      await Promise.all([script, context.leaderLost?.()]);
      context.exit(schedulerLost);
    })();
  });

  const tellLoss = async (): Promise<void> => {
    const [{ failureText }, { Failure }, { hostname }] = await Promise.all([
      import("../ui/failure-text.ts"),
      import("../errors/failure.ts"),
      import("node:os"),
    ]);
    context.out.write(failureText(new Failure("TSD-036", { rank, host: assign?.host ?? hostname() })));
  };

  return { signal: (name) => report({ k: "signal", signal: name }), killNow };
}

/**
 * Forks the child; where the server refuses (another cgroup), starts a Python of its own instead and says so. A server that is
 * not there is the leader's to report, which ends the launch: only if it does not for a while, a Python is started after all.
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
  const told: Readonly<Record<string, unknown>>[] = [];
  const startOwn = (problem: string): void => {
    waiting = undefined;
    report({ k: "warning", code: "TSD-058", facts: { host, problem } });
    current = startChild({ ...spawn, forkSocket: undefined });
    for (const message of told) current.tell(message);
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
      else if (event.reason === "server")
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
