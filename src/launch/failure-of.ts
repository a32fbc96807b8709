import { hostname } from "node:os";
import { Failure, type Facts } from "../failure.ts";
import { messages, type MessageCode } from "../messages.ts";

/**
 * Makes a Failure of whatever was thrown: one that is one already, the bare `code` and `facts` that light code throws, and
 * anything else as our own defect (TSD-070).
 */
export function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (typeof error === "object" && error !== null && "code" in error && typeof error.code === "string" && Object.hasOwn(messages, error.code)) {
    const facts = "facts" in error && typeof error.facts === "object" ? (error.facts as Facts) : {};
    return new Failure(error.code as MessageCode, facts);
  }
  const problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new Failure("TSD-070", { rank: process.env["PMI_RANK"] ?? "?", host: hostname(), problem, log: "stderr" }, { cause: error });
}
