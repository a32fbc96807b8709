/** What a PMI server does, in either version: values of its own alphabet, no longer than `maxValue` characters. */
export interface Store {
  readonly kvsName: string;
  readonly maxValue: number;
  readonly put: (key: string, value: string) => Promise<void>;
  /** milliseconds */
  readonly fence: (deadline: number) => Promise<void>;
  readonly get: (key: string) => Promise<string | undefined>;
  readonly finalize: () => Promise<void>;
  readonly abort: (exitCode: number) => void;
}

/**
 * Cuts a text into values that any PMI server takes: base64url, the first one led by the number of values and a dot.
 * `limit` is the most characters of one value.
 */
export function split(text: string, limit: number): string[] {
  const body = Buffer.from(text, "utf8").toString("base64url");
  const room = limit - 8; // "1234567."
  const count = Math.max(1, Math.ceil(body.length / room));
  return Array.from({ length: count }, (_, index) => {
    const piece = body.slice(index * room, (index + 1) * room);
    return index === 0 ? `${count}.${piece}` : piece;
  });
}

/** The number of values that the first one announces; `undefined` when it is not one of ours. */
export function announced(first: string): number | undefined {
  const count = /^(\d{1,7})\./.exec(first)?.[1];
  return count === undefined || count === "0" ? undefined : Number(count);
}

/** The text again, from all its values in order. */
export function joined(values: readonly string[]): string {
  const [first = "", ...rest] = values;
  return Buffer.from([first.slice(first.indexOf(".") + 1), ...rest].join(""), "base64url").toString("utf8");
}
