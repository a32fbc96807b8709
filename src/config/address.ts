import { Failure } from "../errors/failure.ts";
import { BadValue, daskAddress, show } from "./values.ts";

/** Whether a word is meant as the address of a scheduler: it has a scheme. */
export const looksLikeAddress = (word: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(word);

/** Whether a word is an address that lacks its scheme: `host:8786`. */
export const lacksScheme = (word: string): boolean => /^[\w.-]+:\d{1,5}$/.test(word);

/** A scheduler's address, checked: `scheme://host:port`. Throws Failure TSD-003. */
export function readAddress(word: string): string {
  if (lacksScheme(word))
    throw badAddress(
      word,
      "has no scheme",
      `Write tcp://${word} or tls://${word}; a program of that name goes after \`--\`.`,
    );
  try {
    return daskAddress("required")(word, { cwd: "", home: "", env: {}, variables: false });
  } catch (error) {
    if (error instanceof BadValue) throw badAddress(word, error.message, error.hint);
    throw error;
  }
}

const badAddress = (word: string, problem: string, hint: string): Failure =>
  new Failure("TSD-003", {
    option: "The scheduler's address",
    problem,
    value: `"${show(word)}"`,
    source: "the command line",
    hint,
  });
