import { Failure } from "../../errors/failure.ts";
import { show } from "../../config/values.ts";
import type { JobSpec } from "./job-spec.ts";

/**
 * Control characters (C0, DEL, C1), and the line and paragraph separators of Unicode, which YAML takes for line ends.
 */
const breaking = /[\p{Cc}\u2028\u2029]/u;

/** How people know the parts of a spec. */
const known: Readonly<Record<string, string>> = {
  words: "A word of the command",
  variables: "--env",
  directives: "--directive",
  join: "The scheduler file's path",
  command: "The path of tsdask-mpi",
};

/**
 * Refuses a spec with a text that a batch system could take for more than that text: one with a control character, and
 * a scheduler file whose name ends in a backslash, which continues a line of HTCondor's. Throws TSD-131.
 */
export function checkSpec(spec: JobSpec): void {
  for (const [part, value] of Object.entries(spec) as readonly (readonly [string, unknown])[]) {
    for (const text of textsIn(value)) {
      if (breaking.test(text))
        refuse(
          part,
          text,
          "it holds a control character",
          "Write it in one line; put longer text into a file and name the file.",
        );
    }
  }
  const file = spec.join?.schedulerFile;
  if (file?.endsWith("\\") === true) refuse("join", file, "it ends in a backslash", "Give the file another name.");
}

function refuse(part: string, text: string, problem: string, hint: string): never {
  throw new Failure("TSD-131", { where: known[part] ?? `--${part}`, problem, value: show(text), hint });
}

/** All texts of a value, the names of mappings included. */
function textsIn(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => [name, ...textsIn(inner)]);
}
