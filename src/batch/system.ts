import type { BatchName } from "../dask/scheduler-file.ts";

/** The batch systems (and the launcher of one machine) that tsdask-mpi can ask, submit to and write scripts for. */
export type { BatchName };

/** What a batch system says of the job this process runs in; what it does not say is absent. */
export interface Job {
  readonly system: BatchName;
  /** The id that the system's own commands take. */
  readonly jobId?: string;
  /** What marks this job's workers in their names: the job id, or the label `scale` and `adapt` gave it. */
  readonly label?: string;
  /** The host the job was submitted from: most often the login host. */
  readonly submitHost?: string;
  /** When the system will end the job, seconds since 1970. */
  readonly endTime?: number;
  /** When the job started, seconds since 1970. */
  readonly startTime?: number;
  /** The job's hosts in the system's own order, each once. */
  readonly hosts?: readonly string[];
  /** A file of the system that lists the hosts. */
  readonly hostFile?: string;
  /** How many times the job was requeued or restarted before this run. */
  readonly requeues?: number;
  /** The partition or queue. */
  readonly queue?: string;
}

/**
 * A job's state, reduced to what one must know of it; `suspended` = started, and stopped for now; `gone` = ended, or
 * unknown to the system.
 */
export type JobState = "pending" | "running" | "suspended" | "ending" | "held" | "gone";

/** A job as files and lists name it. */
export interface NamedJob {
  readonly system: BatchName;
  /** Absent where there is none. */
  readonly id?: string;
  /** Which of the batch systems of this kind it is in, where that is known. */
  readonly site?: string;
}

/** What a finished command left behind. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a command is given besides its arguments. */
export interface Given {
  /** Text for its standard input; none by default. */
  readonly input?: string;
  /** Variables added to its environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** How commands of a batch system are run: `run.ts` with real ones, a table of recorded answers in tests. */
export interface Shell {
  /**
   * Runs one command (no shell in between) within a deadline; a non-zero exit is returned, not thrown.
   * Throws Failure TSD-091 when it is not installed, TSD-092 when the deadline passed.
   */
  readonly run: (command: string, args: readonly string[], given?: Given) => Promise<Ran>;
  readonly env: NodeJS.ProcessEnv;
  /** Seconds since 1970. */
  readonly now: () => number;
}

/** A job to be submitted: its script, further arguments of the submit command, and variables the job must find set. */
export interface Submission {
  /** Absolute path of the script, submit description or manifest. */
  readonly path: string;
  /** Further arguments of the submit command, placed before the script's name. */
  readonly args?: readonly string[];
  /** Variables added to the job's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Working directory of the submit command. */
  readonly cwd?: string;
  /** A word that the batch system is to show on the job: whose worker job it is. */
  readonly mark?: string;
  /** Folder for the output of jobs that have no batch system to keep it. */
  readonly logFolder?: string;
}

/** One batch system: what it says of a job, and what one does with it. */
export interface BatchSystem {
  readonly name: BatchName;
  /**
   * Which of a site's systems of this kind: two of them may share users' homes, and number their jobs alike. Absent
   * where that cannot be told.
   */
  readonly site?: {
    /** The one that a job runs in, by the job's environment; undefined where that does not say. Pure. */
    readonly ofJob: (env: NodeJS.ProcessEnv) => string | undefined;
    /** The names of the one that the commands on this host ask; none where they do not say. Throws TSD-091, TSD-092. */
    readonly here: (shell: Shell) => Promise<readonly string[]>;
  };
  /** The command that submits; where it is in PATH, the system is there. */
  readonly submitCommand: string;
  /** The job of this environment; undefined when it is not one of this system's. Pure. */
  readonly describe: (env: NodeJS.ProcessEnv) => Job | undefined;
  /**
   * Asks the system what the environment does not say (end time, hosts, restarts). Throws Failure TSD-091 to TSD-094.
   */
  readonly inquire: (job: Job, shell: Shell) => Promise<Job>;
  /** Submits a job; returns its id. Throws Failure TSD-090 with the system's own words, TSD-093. */
  readonly submit: (submission: Submission, shell: Shell) => Promise<string>;
  /**
   * Submits so many jobs of one script with a single command, as the tasks of an array, and returns the tasks' ids;
   * undefined where a script cannot be one: it is an array itself, or the site allows none. Throws as `submit`. Absent
   * where the jobs are submitted one by one.
   */
  readonly submitArray?: (
    submission: Submission,
    count: number,
    shell: Shell,
  ) => Promise<readonly string[] | undefined>;
  /**
   * The text that holds the mark, of each of these jobs that the system knows; empty for a job without one. Throws
   * Failure TSD-093, TSD-094.
   */
  readonly marks: (ids: readonly string[], shell: Shell) => Promise<ReadonlyMap<string, string>>;
  /**
   * All of one's own jobs that have this mark and wait or run, whoever has their ids. Throws as `marks`. Absent where
   * only jobs whose ids are known can be asked for.
   */
  readonly marked?: (mark: string, shell: Shell) => Promise<readonly string[]>;
  /** Cancels jobs; those that are gone already are no failure. Throws Failure TSD-095. */
  readonly cancel: (ids: readonly string[], shell: Shell) => Promise<void>;
  /**
   * Why each of these jobs waits, in the system's own words; those that do not wait, or of which nothing is said, are
   * left out. Throws as `states`.
   */
  readonly reasons?: (ids: readonly string[], shell: Shell) => Promise<ReadonlyMap<string, string>>;
  /**
   * What the system says that a job used, in its own words, for people; a job it does not know is an empty text. Throws
   * Failure TSD-091, TSD-092.
   */
  readonly accounting?: (id: string, shell: Shell) => Promise<string>;
  /**
   * The state of each of these jobs. Throws Failure TSD-093 when the answer is not understood, TSD-094 when there is
   * none.
   */
  readonly states: (ids: readonly string[], shell: Shell) => Promise<ReadonlyMap<string, JobState>>;
}
