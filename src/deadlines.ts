/**
 * Every wait of a launch, by name, in milliseconds. A wait that passes its deadline ends with a message that names it;
 * the one marked with * is replaced by `--start-timeout` where the user set it.
 */
export const deadlines = {
  /** A rank waits for its host's leader to listen. */
  hostLeader: 15_000,
  /** A unix socket that may be stale accepts a connection. */
  socketProbe: 500,
  /** A leader waits for all ranks of its host before it divides the host among them. */
  hostRanks: 5_000,
  /** So long after the last rank of a host of unknown size, no further one is expected: all are here. */
  lastHostRank: 400,
  /**
   * A process that says for all of a launcher's that their variables are missing stays so long, for the others to see.
   */
  sayForAll: 1_000,
  /** A rank whose host cannot take part leaves after the one that says it for all of them. */
  sayForHost: 5_000,
  /** `tsdask-mpi doctor` behind a launcher waits so long for the reports of the other hosts. */
  doctorMeets: 10_000,
  /** The same for hosts that have met and still look: a busy one takes long to import Dask. */
  doctorReports: 40_000,
  /** A leader whose options were wrong tells its host's ranks before it leaves. */
  badUsage: 2_000,
  /**
   * A host that cannot take part tries this long to tell rank 0, before it says it itself; and rank 0 the other hosts.
   */
  tellRankZero: 8_000,
  /** A host whose network is down when its ranks start waits for an address. */
  networkUp: 5_000,
  /** The launch of the same id whose folder lies there answers from another host, if it lives. */
  formerLaunch: 2_000,
  /** A leader waits for the hub's record where the folder lies on a file system of this host alone. */
  recordLocal: 6_000,
  /** A leader waits for the hub's record on a shared file system. */
  recordShared: 120_000,
  /** The launcher's key-value store: each exchange; a fence waits for every rank, for `--start-timeout`. */
  pmi: 20_000,
  /** One attempt to connect to one address of the hub, TLS and proof of the launch included. */
  hubConnect: 3_000,
  /** A host that is told to end before it has met rank 0 looks for it so long, for rank 0 to hear of it. */
  toldUnmet: 3_000,
  /** After so long without the hub, a host whose plain connections to it fail too gives up. */
  hubUnreachable: 6_000,
  /** After so long, a host of several looks whether the scheduler can be reached from it. */
  schedulerReached: 10_000,
  /** A connection to the hub must send its first byte within this. */
  hubFirstWord: 2_000,
  /** A connection to the hub must prove its launch within this, from the moment that it is accepted. */
  hubProof: 5_000,
  /** The hub hears from a host at least this often, else the host is taken for lost. */
  hubSilence: 20_000,
  /** A joined launch's workers have left, their results with others; Slurm kills 30 s after its SIGTERM. */
  retire: 25_000,
  /** The batch system is asked for the job's end this long after the start, when nothing else is in a hurry. */
  askBatchSystem: 3_000,
  /** One that did not answer is asked again after this, and then each time after four times as long. */
  jobEndUnknown: 30_000,
  /**
   * It is asked so long before a launch leaves for the job's end, which may have moved; no answer leaves it where it
   * was.
   */
  jobEndMoves: 20_000,
  /** The batch system is asked what each host was granted, before the hosts divide that among their ranks. */
  grants: 5_000,
  /** The built-in launcher looks a second time for a script that was piped in without `-`, so long after the start. */
  lateInput: 1_500,
  /**
   * The built-in launcher's ranks end by themselves when rank 0 or the script's was killed, before they are killed,
   * too.
   */
  withoutRankZero: 8_000,
  /** A rank whose launcher is gone ends in order, before it is told to end at once. */
  withoutLauncher: 5_000,
  /** JupyterLab opens its port; as long as `--start-timeout` where that is longer. */
  jupyter: 120_000,
  /** The JupyterHub that started this launch answers one question. */
  jupyterHub: 15_000,
  /** The script gets this long to end when the launch fails under it. */
  scriptAfterLoss: 2_000,
  /** A publication that is under way as the launch ends is over, before it is taken back: its file system may hang. */
  published: 2_000,
  /** The last lines of a launch's log, and of its record, are on disk: their file system may hang. */
  lastLines: 2_000,
  /** Scheduler and workers have said what they were used for; what is not known by then is left out. */
  usage: 2_500,
  /** The same where the launch was told to end, or a part of it was lost: who told it may not wait for long. */
  usageInHaste: 700,
  /** With `--report`, Dask makes its own report when the script is over, before the launch ends. */
  daskReport: 8_000,
  /** Rank 0 tries again so long after a scheduler that would tell of its end was lost. */
  lastReportAgain: 5_000,
  /** A script has read from a pipe for so long without a byte: it is told that it waits for input. */
  scriptInput: 30_000,
  /** A script has returned for so long while a thread of it still runs: it is told why its launch goes on. */
  scriptReturned: 15_000,
  /** A rank that may leave waits for its part in the launcher's exchange, for hosts that come late. */
  lastExchange: 15_000,
  /** The hub waits for the other hosts to say that they are done, after the grace. */
  hostsDone: 3_000,
  /** The worker jobs of a launch that ends are cancelled: two commands of a batch system, which may be asked again. */
  jobsCancelled: 30_000,
  /** The client's rank waits for rank 0 to be gone before it returns the script's code. */
  lastRank: 1_000,
  /**
   * A rank whose fork server is not there waits for its leader to end the launch, before it starts a Python of its own.
   */
  forkServerGone: 2_000,
  /** A child has heard SIGINT: its rank, which may have had the same signal, is told to end within this. */
  sameSignal: 500,
  /** What tells the ranks that are shells to leave, where no agent is there, stands so long. */
  shellRanks: 1_000,
  /** A launch that has ended waits for the ranks of its host that have not come, which would look for their agent. */
  lateShells: 6_000,
  /** A folder that takes nothing at first takes the pipes through which the ranks that are shells are told to leave. */
  shellPipes: 4_000,
  /** A rank that is a shell has heard the signal after which it is none any more; a stopped one hears none. */
  shellWakes: 60_000,
  /**
   * The ranks that are shells have read that the launch has ended, and left: a busy host may be slow to let them,
   * somebody may have stopped one.
   */
  shellsLeave: 20_000,
  /** The fork server ends and removes the host's folder. */
  forkServerEnd: 2_000,
  /** A scheduler that is started again after its death answers. */
  schedulerBack: 60_000,
  /** The workers are back at a scheduler that was started again, before `adapt` counts them. */
  schedulerSettles: 15_000,
  /** A worker job that was submitted is known to all daemons of its batch system: LSF's that answers bjobs may lag. */
  jobAppears: 20_000,
  /** All workers of a worker job are in, after its first one: until then `scale` and `adapt` count them in. */
  jobArrives: 30_000,
  /**
   * A worker job that ran and is ending without having been told to may have been preempted: it goes back into the
   * queue when its last process has gone (Slurm's KillWait, 30 s), or is over.
   */
  jobSettles: 60_000,
  /** A worker that lost its scheduler hears of the next one, before it tries the old one's address. */
  schedulerHeard: 5_000,
  /** One question to a scheduler over Dask's own wire, connecting included. */
  schedulerCall: 10_000,
  /** A command of a batch system answers: a busy server answers late, a dead one never. */
  batchCommand: 60_000,
  /** One that was ended has ended, before it is killed; what it left behind may have its pipes as long. */
  batchCommandEnds: 2_000,
  /** A batch system that is away comes back, where a cluster that ends has jobs to cancel; and a look at that. */
  endAsksAgain: 4_000,
  endPause: 500,
  /** A command of a batch system answers, for a table that people look at. */
  batchStatus: 5_000,
  /** A batch system does not answer `adapt` or `scale --wait`, which give up then: a controller may be upgraded. */
  batchSilence: 1_800_000,
  /** It has not taken a job, or not cancelled one: it is asked again, but maybe it did. */
  batchAgain: 60_000,
  /**
   * `tsdask-mpi doctor`: the batch system answers; the name service does; an mpirun says its version; Python has
   * imported Dask.
   */
  doctorBatch: 3_000,
  doctorName: 2_000,
  doctorMpirun: 2_000,
  doctorPython: 20_000,
  /** The name service tells the names of addresses, which are shown where there are none. */
  hostNames: 500,
  /** The data of workers that `scale` or `adapt` lets go are with others. */
  retireWorkers: 600_000,
  /** A job whose workers have left ends by itself, before it is cancelled. */
  jobEnds: 5_000,
  /** The scheduler of a cluster that is joined answers, each time that it is asked. */
  joinedScheduler: 3_000,
  /** With nobody waiting for workers, the dashboard is loaded so long after the scheduler answers. */
  dashboard: 3_000,
  /** The end of a scheduler, which takes its workers first, is heard of after theirs. */
  schedulerCause: 500,
  /** Rank 0 takes the note of a host that could not connect to it. */
  noteTaken: 4_000,
  /** What a script has left behind ends by itself. */
  orphansEnd: 200,
  /** The same after SIGTERM, before SIGKILL; and then its resource trackers. */
  orphansTerminated: 1_000,
  /** The batch system is asked what a job used. */
  accounting: 10_000,
  /** The same at the end of a launch with `--report`, which waits for it. */
  lastAccounting: 1_000,
  /** `tsdask-mpi connect` waits for the scheduler before it says that it does not answer. */
  connectCommand: 5_000,
  /** `tsdask-mpi list` waits for the schedulers and batch systems that it asks, all at once. */
  askCluster: 1_200,
  /** A cluster is written into the user's list, before `scheduler.json` tells of it. */
  entryWritten: 1_000,
  /** `tsdask-mpi stop` waits for a cluster's end, on top of the cluster's own grace. */
  stopCluster: 15_000,
  /** `tsdask-mpi open`: our program on the login host says that it is there; a login shell may load modules first. */
  openHello: 60_000,
  /** The login host's side of `open` hears nothing of the laptop: it is gone. */
  openSilence: 150_000,
  /** The batch system lists its queues, for the questions of `open`. */
  openChoices: 8_000,
  /** `open --client`: a scheduler that is busy is asked for its versions again. */
  openCredentials: 60_000,
  /** A page answers for the first time through a tunnel. */
  openPage: 20_000,
  /** `open`: the desktop says which browser is the usual one. */
  usualBrowser: 3_000,
  /** `proxy-map`: the command that has the proxy read its map again. */
  proxyReload: 60_000,
  /** ssh's own process in the background does what it is told; a channel of it ends. */
  sshControl: 10_000,
  /** A Python says which versions it has. */
  pythonVersions: 30_000,
  /** The system is asked for a group's name, where a folder is open to its group. */
  groupNames: 2_000,
  /** The scheduler that an existing scheduler.json names answers, or does not count as live. */
  liveCluster: 2_000,
} as const;

/**
 * The waits of the Python part, in milliseconds; `npm run contract` writes them into python/tsdask_mpi/contract.py, in
 * seconds.
 */
export const pythonDeadlines = {
  /** A connection to the fork server has become a whole request. */
  request: 10_000,
  /** A rank reads an event that is sent to it. */
  controlSend: 5_000,
  /** What the fork server still runs ends, when its leader is gone without a word. */
  orphans: 1_000,
  /** A child that is told to stop without a time ends. */
  childStop: 2_000,
  /** A scheduler or worker that closes by itself has closed. */
  close: 10_000,
  /** A worker that closes with its scheduler, or to be started again, has closed. */
  quickClose: 1_500,
  /** A worker that has not started yet has closed. */
  unstartedClose: 300,
  /** A worker that was asked to restart answers before it goes. */
  nannyReply: 100,
  /** A child that starts gives its place to the next. */
  startPlace: 1_000,
  /** Rank 0 has asked for Dask's report of the scheduler's end; after so long it asks again. */
  reportAsked: 3_600_000,
  /** Dask's report of a scheduler that closes by itself is made, and rank 0 has it. */
  lastReport: 8_000,
  /** A stranger's connection proves itself; where others wait for a place, the second. */
  unproved: 30_000,
  unprovedCrowded: 2_000,
} as const;
