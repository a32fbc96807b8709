import type { Facts } from "../errors/failure.ts";
import type { MessageCode } from "../errors/messages.ts";

/** What is wrong with a host's Python: a message's code and facts, and whether the launch can go on. */
export interface PythonTrouble {
  readonly code: MessageCode;
  readonly facts: Facts;
  readonly fatal: boolean;
}

interface Words {
  readonly host: string;
  readonly python: string;
  readonly env: NodeJS.ProcessEnv;
  /** The fork server's word for what went wrong: `reason` of its `failed` event, `spawn`, `ended`. */
  readonly reason: string;
  readonly message: string;
  /** All that Python wrote last, where it could not say so itself. */
  readonly words?: string;
}

interface Why {
  readonly problem?: string;
  readonly cause: string;
  readonly cure: string;
}

/** What the fork server's word for a failure means for the launch; pure. */
export function pythonTrouble(words: Words): PythonTrouble {
  const { host, python, reason, message } = words;
  const facts = { host, python, problem: message };
  switch (reason) {
    case "spawn":
      return { code: "TSD-041", facts, fatal: true };
    case "old-python":
      return { code: "TSD-042", facts, fatal: true };
    case "no-dask":
      return { code: "TSD-043", facts, fatal: true };
    case "old-dask":
      return { code: "TSD-045", facts, fatal: true };
    case "warm":
    case "threads":
      // the server goes on without that module
      return { code: "TSD-046", facts, fatal: false };
    case "incompatible":
      return { code: "TSD-179", facts, fatal: true };
    case "lacking":
      return { code: "TSD-180", facts, fatal: false };
    default:
      return { code: "TSD-047", facts: { ...facts, ...whyEnded(words) }, fatal: true };
  }
}

/**
 * Why a Python ended: by the fork server's word for the exception, or by Python's own last words where it ended before
 * our code ran.
 */
function whyEnded(words: Words): Why {
  return byReason(words) ?? byLastWords(words) ?? unknown(words);
}

/** What Python has classified (`python/tsdask_mpi/diagnosis.py`, `serve.py`). */
function byReason({ reason, message, env, python }: Words): Why | undefined {
  switch (reason) {
    case "yaml":
      return {
        cause:
          "Dask reads every YAML file of its configuration folders when it is imported, and one of them is not YAML.",
        cure: `Mend that line, or take the file away. ${variable(env, "DASK_CONFIG") ?? "The folders are ~/.config/dask, /etc/dask and what DASK_CONFIG names."}`,
      };
    case "hidden":
      return {
        cause: `Python finds that file before its own, because its folder is in PYTHONPATH (${env["PYTHONPATH"] ?? "not set"}) or is the folder that Python starts in.`,
        cure: "Rename the file, or take its folder out of PYTHONPATH.",
      };
    case "folder": {
      const folder = env["TMPDIR"] ?? "/tmp";
      return {
        problem: message,
        cause: `It could make no socket below the temporary folder ${folder}: that became read-only, full, or closed to you while the launch started.`,
        cure: `See whether \`touch ${folder}/x\` works there; set TMPDIR to a folder of that host which you may write.`,
      };
    }
    case "library":
      return wrongLibrary({ env, python });
    case "memory":
      return noMemory;
    case "broken":
      return {
        cause:
          "The code of the named file raised this when it was imported: a damaged or half-updated installation, or a file that is not part of it.",
        cure: `\`${python} -c 'import distributed'\` shows the same; install that package again (\`${python} -m pip install --force-reinstall …\`).`,
      };
    default:
      return undefined;
  }
}

/**
 * What the last words of a Python mean that ended before a line of ours ran, and so could not classify it: in the
 * loader of shared libraries, in its own start (`site`, `encodings`), or by a signal.
 */
function byLastWords({ message, words = message, env, python }: Words): Why | undefined {
  // Our first lines leave SIGINT to the leader (forkserver.py): this one came before them.
  if (/^KeyboardInterrupt\s*$/m.test(words))
    return {
      problem: "it got SIGINT while it was starting",
      cause:
        "Somebody, or something that signals all processes of a job, interrupted it before it could leave that to its leader.",
      cure: "Start the job again; `--log-level debug` shows who else got a signal.",
    };
  const home = env["PYTHONHOME"];
  if (home !== undefined && home !== "" && /PYTHONHOME|No module named 'encodings'|init_fs_encoding/.test(words))
    return {
      problem: `it does not find its own library in PYTHONHOME (${home})`,
      cause: `PYTHONHOME is ${home}: it sends every Python to that folder for its library, and this one's is not there.`,
      cure: "`unset PYTHONHOME`; a module or a profile that sets it belongs to another Python.",
    };
  if (/shared librar|shared object|undefined symbol/.test(words)) return wrongLibrary({ env, python });
  return /SIGKILL|MemoryError|Cannot allocate memory/.test(`${message} ${words}`) ? noMemory : undefined;
}

const noMemory: Why = {
  cause:
    "It was killed, or could not have the memory that it asked for: a login node's limit, `ulimit -v`, or a job with too little memory.",
  cure: "Look at `ulimit -a` and the job's memory; start it in a job, not on a login node.",
};

function wrongLibrary({ env, python }: Pick<Words, "env" | "python">): Why {
  const libraries = env["LD_LIBRARY_PATH"];
  return libraries === undefined || libraries === ""
    ? {
        cause: "A compiled library that this Python was built with is not on this host, or is another version.",
        cure: `Load the modules that the environment was made with before the launcher (\`module list\` there); \`ldd ${python}\` shows what is missing.`,
      }
    : {
        cause: `LD_LIBRARY_PATH is ${libraries}: a library in it comes before the one that this Python was built with.`,
        cure: `Try \`env -u LD_LIBRARY_PATH ${python} -c 'import distributed'\`; if that works, unset it, or unload the module that sets it.`,
      };
}

function unknown({ python }: Words): Why {
  return {
    cause: "Its imports failed, or it was ended from outside.",
    cure: `Try \`${python} -c 'import distributed'\` on that host; if it works, run again with \`--log-level debug\`.`,
  };
}

function variable(env: NodeJS.ProcessEnv, name: string): string | undefined {
  return env[name] === undefined ? undefined : `${name} is ${env[name]}.`;
}
