import type { Job } from "./system.ts";

/** A job without the fields whose value is undefined or an empty string (`exactOptionalPropertyTypes`). */
export function jobOf(fields: { readonly [K in keyof Job]: Job[K] | undefined } & Pick<Job, "system">): Job {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined && value !== "");
  return Object.fromEntries(known) as unknown as Job;
}

/** A whole number of a variable (seconds, a count), or undefined where it is unset or something else. */
export function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Each element once, in the order of its first appearance; undefined for none. */
export function once(names: readonly string[]): readonly string[] | undefined {
  return names.length === 0 ? undefined : [...new Set(names)];
}
