import { BadValue, type ReadContext } from "../../config/values.ts";
import { jobOptions } from "../script-options.ts";
import type { CommandContext } from "../context.ts";
import { EndedByUser } from "./ended-by-user.ts";
import type { Told } from "./lines.ts";
import { openPrompt } from "./prompt.ts";

type Choices = Extract<Told, { event: "choices" }>;

/** What is asked for, in this order, where neither the command line nor the site says it. */
const questions = [
  { key: "queue", text: "queue", from: "queues" },
  { key: "account", text: "account", from: "accounts" },
  { key: "time", text: "time, as 2h or 30m", from: undefined },
  { key: "memory", text: "memory of each node, as 64GiB", from: undefined },
] as const;
/** The most choices that are shown. */
const mostShown = 12;

/**
 * Asks on the terminal for what is missing of a job, with what the batch system offers; Enter leaves it to the batch
 * system. Resolves to all options. Throws EndedByUser when the user has had enough.
 */
export async function askForMissing(
  options: readonly string[],
  {
    choices,
    context,
    asking,
  }: {
    readonly choices: () => Promise<Choices>;
    readonly context: CommandContext;
    /** Runs what a signal to this program ends. */
    readonly asking: <T>(run: (signal: AbortSignal) => Promise<T>) => Promise<T>;
  },
): Promise<readonly string[]> {
  const missing = questions.filter(({ key }) => !options.some((word) => word.startsWith(`--${key}=`)));
  if (missing.length === 0) return options;
  const offered = await choices();
  const open = missing.filter(({ key }) => offered.defaults[key] === undefined);
  const read: ReadContext = { cwd: context.cwd, home: "", env: context.env, variables: false };
  return [...options, ...(await asking((signal) => askEach(open, { offered, read, signal })))];
}

async function askEach(
  open: readonly (typeof questions)[number][],
  { offered, read, signal }: { readonly offered: Choices; readonly read: ReadContext; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const prompt = openPrompt(signal);
  const said: string[] = [];
  if (open.length > 0) process.stderr.write(`The job on ${offered.system} (Enter: as the batch system has it):\n`);
  try {
    for (const { key, text, from } of open) {
      const list = from === undefined ? [] : offered[from];
      for (const [index, entry] of list.slice(0, mostShown).entries())
        process.stderr.write(`  ${index + 1}) ${entry}\n`);
      if (list.length > mostShown) process.stderr.write(`  and ${list.length - mostShown} more\n`);
      for (;;) {
        const typed = (await prompt.ask(`${text}: `))?.trim();
        signal.throwIfAborted();
        if (typed === undefined) throw new EndedByUser("SIGINT", "nothing was submitted");
        if (typed === "") break;
        const value = chosen(typed, list);
        const problem = problemOf(key, value, read);
        if (problem === undefined) {
          said.push(`--${key}=${value}`);
          break;
        }
        process.stderr.write(`  ${problem}\n`);
      }
    }
  } finally {
    prompt.close();
  }
  return said;
}

/** A number means the choice of that number; a choice is its first word. */
function chosen(typed: string, list: readonly string[]): string {
  const numbered = /^\d+$/.test(typed) ? list[Number(typed) - 1] : undefined;
  return numbered?.split(" ")[0] ?? typed;
}

function problemOf(key: (typeof questions)[number]["key"], value: string, context: ReadContext): string | undefined {
  try {
    jobOptions[key].read(value, context);
    return undefined;
  } catch (error) {
    if (error instanceof BadValue) return `${value} ${error.message}. ${error.hint}`;
    throw error;
  }
}
