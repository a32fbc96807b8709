import { expected, question, type Desk } from "./desk.ts";
import { rememberEnd } from "./remember.ts";

/** Ctrl-C: the cluster ends, or stays, as was asked; undefined to go on. Only who typed it is there to be asked. */
export async function leave(desk: Desk, signal: NodeJS.Signals): Promise<number | undefined> {
  const { asked } = desk;
  let { atEnd } = asked;
  if (atEnd === "ask") {
    const answer =
      signal === "SIGINT" && process.stdin.isTTY
        ? await question(desk, "end the cluster (e), leave it running (l), or go on (g)? [l] ")
        : "l";
    if (answer?.trim().toLowerCase().startsWith("g")) return undefined;
    atEnd = answer?.trim().toLowerCase().startsWith("e") ? "stop" : "leave";
  }
  if (atEnd === "stop") return stop(desk);
  return leftText(desk);
}

/** Says how to come back to a cluster that goes on. */
export function leftText({ name, asked, say }: Desk): number {
  if (name !== "")
    say(
      `${name} goes on; back to it with \`tsdask-mpi open ${name}\`, and its end with \`tsdask-mpi stop ${name}\` on ${asked.login}`,
    );
  return 0;
}

/** Ends the cluster, or its job where there is none yet. */
export async function stop(desk: Desk): Promise<number> {
  const { link, target, say, name, context } = desk;
  if (link === undefined || target === undefined) return 0;
  link.request({ op: "stop", target });
  const { how } = await expected(desk, "stopped");
  desk.ended = true;
  say(`${name === "" ? "the cluster" : name} has ended${how === "" ? "" : ` (${how})`}`);
  await rememberEnd(name, "you ended it", context.env);
  return 0;
}
