import { Failure } from "../errors/failure.ts";
import { SUBCOMMANDS, type Command, type Options } from "../config/options.ts";
import { VERSION } from "../config/version.ts";
import type { CommandContext } from "./context.ts";

/**
 * Runs a command that is not a launch, loading only that command; resolves to the exit code. Throws the command's
 * Failures.
 */
export async function runCommand(
  command: Exclude<Command, { kind: "launch" }>,
  context: CommandContext,
  program: Options["program"] = "tsdask-mpi",
): Promise<number> {
  try {
    return await run(command, context, program);
  } catch (error) {
    throw error instanceof Failure && error.code === "TSD-023" ? namedFor(command.kind, error) : error;
  }
}

/** How a command is told its cluster, where that is not just the word behind it. */
const told: Readonly<Record<string, string>> = { scale: "scale N", adapt: "adapt --max N", open: "open --cluster" };

/** TSD-023 with the way in which the command that was run takes another cluster. */
function namedFor(kind: string, failure: Failure): Failure {
  const command = `tsdask-mpi ${told[kind] ?? kind}`;
  const again = `name the cluster (\`tsdask-mpi list\` shows yours) or its file: \`${command} NAME\`, \`${command} /path/to/scheduler.json\``;
  return new Failure("TSD-023", { ...failure.facts, again }, { cause: failure });
}

async function run(
  command: Exclude<Command, { kind: "launch" }>,
  context: CommandContext,
  program: Options["program"],
): Promise<number> {
  switch (command.kind) {
    case "help": {
      const topic = SUBCOMMANDS.find((name) => name === command.topic);
      if (topic !== undefined) return runCommand({ kind: topic, argv: ["--help"] }, context);
      const { helpText } = await import("./help.ts");
      context.stdout.write(helpText(program, context.stdout.columns || 100, command.topic));
      return 0;
    }
    case "version":
      context.stdout.write(`tsdask-mpi ${VERSION}\n`);
      return 0;
    case "status":
      return (await import("./status.ts")).statusCommand(command.argv, context);
    case "logs":
      return (await import("./logs.ts")).logsCommand(command.argv, context);
    case "explain":
      return (await import("./explain.ts")).explainCommand(command.argv, context);
    case "doctor":
      return (await import("./doctor.ts")).doctorCommand(command.argv, context);
    case "report":
      return (await import("./report.ts")).reportCommand(command.argv, context);
    case "stop":
      return (await import("./stop.ts")).stopCommand(command.argv, context);
    case "list":
      return (await import("./list.ts")).listCommand(command.argv, context);
    case "config":
      return (await import("./config.ts")).configCommand(command.argv, context);
    case "connect":
      return (await import("./connect.ts")).connectCommand(command.argv, context);
    case "env":
      return (await import("./env.ts")).envCommand(command.argv, context);
    case "open":
      return (await import("./open.ts")).openCommand(command.argv, context);
    case "scale":
      return (await import("./scale.ts")).scaleCommand(command.argv, context);
    case "adapt":
      return (await import("./adapt.ts")).adaptCommand(command.argv, context);
    case "completion":
      return (await import("./completion.ts")).completionCommand(command.argv, context);
    case "proxy-map":
      return (await import("./proxy-map.ts")).proxyMapCommand(command.argv, context);
    case "install-drop-in":
      return (await import("./drop-in.ts")).dropInCommand(command.argv, context);
    case "script":
      return (await import("./script.ts")).scriptCommand(command.argv, context);
  }
}
