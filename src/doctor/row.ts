import { cpus, loadavg } from "node:os";
import type { Facts } from "../errors/failure.ts";
import { Failure } from "../errors/failure.ts";
import { messages, type MessageCode } from "../errors/messages.ts";
import { failureOf } from "../ui/failure-of.ts";

/** The groups of the doctor's report, in the order in which they are shown. */
export const groups = [
  "installation",
  "python",
  "launcher",
  "hosts",
  "files",
  "limits",
  "batch",
  "jupyter",
  "security",
] as const;
export type Group = (typeof groups)[number];

/** One thing that the doctor has looked at, on one host. */
export interface Row {
  readonly group: Group;
  readonly name: string;
  readonly state: "ok" | "warning" | "error";
  readonly text: string;
  readonly cause?: string;
  readonly cure?: string;
  /** The code of the message that a launch would end or go on with. */
  readonly code?: MessageCode;
  /** What the hosts of a launch must have the same of. */
  readonly same?: string;
}

/** What one host's ranks see. */
export interface HostReport {
  readonly host: string;
  /** How many of the launch's ranks are there. */
  readonly ranks: number;
  readonly rows: readonly Row[];
}

/** A row in which all is well. */
export function fine(group: Group, name: string, text: string, more: { readonly same?: string } = {}): Row {
  return { group, name, state: "ok", text, ...more };
}

/** The row of what a launch would say; a warning when that launch would go on. */
export function foretold(group: Group, name: string, error: unknown): Row {
  const failure = failureOf(error);
  const { code } = failure;
  const [what = "", cause = "", cure = ""] = failure.message.split("\n");
  return {
    group,
    name,
    state: messages[code].exit === 0 ? "warning" : "error",
    text: what.slice(code.length + 1),
    cause: cause.replace(/^ *cause: */, ""),
    cure: cure.replace(/^ *cure: */, ""),
    code,
  };
}

/** The row of a message by its code. */
export function message(group: Group, name: string, code: MessageCode, facts: Facts): Row {
  return foretold(group, name, new Failure(code, facts));
}

/** A row of what a check throws, or of what it returns. */
export async function checked(group: Group, name: string, look: () => Promise<Row> | Row): Promise<Row> {
  try {
    return await look();
  } catch (error) {
    return foretold(group, name, error);
  }
}

/** Why something took long on this host: its processors have other work, or what is said otherwise. */
export function whySlow(otherwise: { readonly cause: string; readonly cure: string }): typeof otherwise {
  const [load = 0] = loadavg();
  if (load <= 2 * cpus().length) return otherwise;
  return {
    cause: "This host is busy: more than two processes wait for each of its cores.",
    cure: "Look again when it is quiet, or on a node that your job has alone; a start there takes longer, too (--start-timeout 10m).",
  };
}
