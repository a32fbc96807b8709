import { hostname } from "node:os";
import { Failure, type Facts } from "../errors/failure.ts";
import { identify } from "../launcher/world.ts";
import { messages, type MessageCode } from "../errors/messages.ts";

/**
 * Makes a Failure of whatever was thrown: one that is one already, the bare `code` and `facts` that a follower's code
 * throws, and anything else as our own defect (TSD-070).
 */
export function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (
    typeof error === "object" &&
    error !== null &&
    "code" in error &&
    typeof error.code === "string" &&
    Object.hasOwn(messages, error.code)
  ) {
    const facts = "facts" in error && typeof error.facts === "object" ? (error.facts as Facts) : {};
    return new Failure(error.code as MessageCode, facts);
  }
  return new Failure(
    "TSD-070",
    { rank: ownRank(), host: hostname(), problem: inOneLine(error), log: "stderr" },
    { cause: error },
  );
}

/** An error of ours as one line: what it says, and the first place of its stack, which is what a report needs. */
function inOneLine(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const place = /\n\s+at (.+)/.exec(error.stack ?? "")?.[1];
  return `${error.name}: ${error.message}${place === undefined ? "" : ` (at ${place})`}`;
}

function ownRank(): string {
  try {
    return String(identify(process.env)?.rank ?? "?");
  } catch {
    // The launcher's variables may be what is wrong.
    return "?";
  }
}
