import { optionLines, readCommandLine, type CommandOption } from "../config/command-line.ts";
import { Failure } from "../errors/failure.ts";
import { choice, flag, integer, program, show, text, type Raw, type Reader } from "../config/values.ts";
import { homeFolder } from "../security/user.ts";
import type { CommandContext } from "./context.ts";
import type { Asked } from "./open/desk.ts";
import { loginHost, plainProgram, usualProgram, usualWords } from "./open/words.ts";
import { jobOptions } from "./script-options.ts";

const option = <T>(spec: CommandOption<T>): CommandOption<T> => spec;
const name = text("a cluster's name: letters, digits, dots, dashes and underscores", /^\w[\w.-]*$/);

/** The options of `open` itself. */
const sessionOptions = {
  system: option({
    value: "<name>",
    read: choice(["slurm", "pbs", "sge", "lsf", "flux", "htcondor"]),
    help: "the batch system there, where it is not plain",
  }),
  cluster: option({ value: "<name>", read: name, help: "a cluster that runs there already, instead of a new one" }),
  folder: option({
    value: "<path>",
    read: text("a path", /^[^\p{Cc}]+$/u),
    help: "the folder there in which the job runs [the home folder]",
  }),
  remoteCommand: option({
    value: "<path>",
    read: text("a program's name or path, without blanks or quotes", plainProgram),
    help: "tsdask-mpi there, where PATH does not lead to it",
  }),
  port: option({ value: "<n>", read: integer(1, 65535), help: "the port on this computer" }),
  client: option({
    read: flag,
    help: "lead to the scheduler as well, and write a DASK_CONFIG folder: Client() works here",
  }),
  python: option({
    value: "<program>",
    read: program,
    help: "with --client, the Python whose versions are compared [python3]",
  }),
  noBrowser: option({ read: flag, help: "only print the link" }),
  atEnd: option({
    value: "<what>",
    read: choice(["ask", "stop", "leave"]),
    help: "what Ctrl-C does with the cluster: ask, stop or leave [ask]",
  }),
  noAsk: option({ read: flag, help: "ask for no queue, account, time or memory" }),
  print: option({ read: flag, help: "print the ssh line and the link instead; the cluster goes on" }),
};

/**
 * The job's options are read here for their mistakes, and sent as they were said: the site's defaults are those of the
 * login host.
 */
const asSaid =
  (read: Reader<unknown>): Reader<Raw> =>
  (raw, context) => {
    read(raw, context);
    return raw;
  };
const jobOptionsAsSaid = Object.fromEntries(
  Object.entries<CommandOption<unknown>>(jobOptions)
    .filter(([key]) => key !== "image" && key !== "volume")
    .map(([key, spec]) => [key, { ...spec, read: asSaid(spec.read) }]),
) as Readonly<Record<string, CommandOption<Raw>>>;

/** All options of `open`. */
export const openOptions = { ...sessionOptions, ...jobOptionsAsSaid };

/**
 * `tsdask-mpi open [user@]login`: a cluster behind a login host, from a laptop; resolves to the exit code. Throws
 * TSD-003, 006, 008 (the command line), TSD-028 (a taken port), TSD-173 to 178 (the session), and what the login host's
 * side throws.
 */
export async function openCommand(argv: readonly string[], context: CommandContext): Promise<number> {
  const { env, cwd, stdout, stderr } = context;
  if (argv[0] === "--serve") {
    const { serveOpen } = await import("./open/login-side.ts");
    return serveOpen(env, process.stdin, stdout);
  }
  const { said, words, help } = readCommandLine(argv, {
    program: "tsdask-mpi open",
    options: openOptions,
    context: { cwd, home: homeFolder(env), env, variables: false },
    passThrough: 1,
  });
  const [word, ...rest] = words;
  if (help || word === undefined) {
    (help ? stdout : stderr).write(usage());
    return help ? 0 : 64;
  }
  const asked = await askedOf(word, rest, said as SaidHere, env);
  const { openSession } = await import("./open/session.ts");
  try {
    return await openSession(asked, context);
  } catch (error) {
    const { meantByName } = await import("./open/known.ts");
    throw await meantByName(error, word, env);
  }
}

type SaidHere = {
  readonly [K in keyof typeof sessionOptions]?: ReturnType<(typeof sessionOptions)[K]["read"]>;
} & Readonly<Record<string, unknown>>;

async function askedOf(word: string, rest: readonly string[], said: SaidHere, env: NodeJS.ProcessEnv): Promise<Asked> {
  const { rememberedNames } = await import("./open/remember.ts");
  const { knownByName } = await import("./open/known.ts");
  const session = word.includes("@") || said.cluster !== undefined ? undefined : await knownByName(word, env);
  if (session === undefined && !loginHost.test(word)) {
    const names = await rememberedNames(env);
    throw wrong(
      `${show(word)} is no host for ssh`,
      names.length === 0 ? "" : `Clusters opened from here: ${names.join(", ")}. `,
    );
  }
  const options = optionWords(said, Object.keys(jobOptionsAsSaid));
  const again = session !== undefined || said.cluster !== undefined;
  const [shaping] = [...options, ...optionWords(said, ["system", "folder"]), ...rest];
  if (again && shaping !== undefined)
    throw wrong(
      `${said.cluster ?? word} is there already, and ${show(shaping)} shapes a new one`,
      "Leave it out, or name the login host alone for a new cluster. ",
    );
  for (const key of ["port", "client"] as const)
    if (said.print === true && said[key] !== undefined)
      throw wrong(
        `--print leads no port of this computer anywhere, and --${key} asks for one`,
        "Leave out one of them. ",
      );
  const target =
    said.cluster === undefined
      ? session?.job === undefined
        ? session && { name: session.name }
        : { job: session.job }
      : { name: said.cluster };
  return {
    login: session?.login ?? word,
    program: said.remoteCommand ?? session?.program ?? usualProgram,
    target,
    name: said.cluster ?? session?.name,
    system: said.system,
    options,
    words: rest.length === 0 ? usualWords : rest,
    folder: said.folder,
    port: said.port,
    usualPort: session?.port,
    browser: said.noBrowser !== true,
    print: said.print === true,
    form: said.noAsk !== true && process.stdin.isTTY && !again,
    client: said.client === true ? { python: said.python ?? "python3" } : undefined,
    again: session?.again,
    atEnd: said.atEnd ?? "ask",
  };
}

/** Options as words again. */
function optionWords(said: SaidHere, keys: readonly string[]): readonly string[] {
  return keys.flatMap((key) => {
    const raw = said[key] as Raw | undefined;
    const flagged = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    const values = raw === undefined ? [] : Array.isArray(raw) ? (raw as readonly Raw[]) : [raw];
    return values.map((value) => `${flagged}=${String(value)}`);
  });
}

function wrong(problem: string, suggestion: string): Failure {
  return new Failure("TSD-006", { program: "tsdask-mpi open", problem, suggestion });
}

function usage(): string {
  return [
    "Usage: tsdask-mpi open [options] [user@]login [--] [tsdask-mpi's options] [script [args…]]",
    "       tsdask-mpi open [options] NAME",
    "",
    "From your own computer: connects to the login host with ssh (once), submits a job there, waits for it, leads a port of this computer to",
    "JupyterLab in it and opens the browser. Lost connections are made again. tsdask-mpi must be there, too. What follows the host is what the",
    "ranks run, as in `tsdask-mpi script`: --jupyter lab when nothing does. NAME goes back to a cluster that was opened from here.",
    "  tsdask-mpi open ada@login.example.org --nodes 2 --time 2h --account physics",
    "  tsdask-mpi open login --queue short --ranks-per-node 16 -- --jupyter lab --memory-limit 4GiB",
    "",
    ...optionLines(sessionOptions),
    "",
    "The job, as in `tsdask-mpi script`; defaults come from the site's and your files on the login host:",
    ...optionLines(jobOptionsAsSaid).slice(0, -1),
    "",
  ].join("\n");
}
