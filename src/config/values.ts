import { isAbsolute, resolve } from "node:path";
import type { MemoryLimit, PortRange } from "./options.ts";

/** A value as it was found: text from the command line or the environment, or a node of a YAML file. */
export type Raw = string | number | boolean | readonly Raw[] | { readonly [key: string]: unknown };

/**
 * What a reader may need to know of where it runs; `variables`: replace `$NAME` in paths (files only: a shell does it
 * elsewhere). `unset` is told of a variable that is not set, whose name then stays in the path; without it such a path
 * cannot be read.
 */
export interface ReadContext {
  readonly cwd: string;
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  readonly variables: boolean;
  readonly unset?: ((name: string) => void) | undefined;
}

/** Turns a raw value into a checked one, or throws `BadValue`. */
export interface Reader<T> {
  (raw: Raw, context: ReadContext): T;
  /** The words that it takes, where there are no others; for the completion of shells. */
  readonly choices?: readonly string[];
}

/** What is wrong with a value, and how to write it; the caller knows which option it was and where it stood. */
export class BadValue extends Error {
  readonly hint: string;

  constructor(problem: string, hint: string) {
    super(problem);
    this.name = "BadValue";
    this.hint = hint;
  }
}

const fail = (problem: string, hint: string): never => {
  throw new BadValue(problem, hint);
};

/** A value as it may be shown to people: one line, no control characters, at most 80 characters. */
export function show(raw: unknown): string {
  // An option that was said several times shows what was said.
  const said = Array.isArray(raw) && raw.every((part) => typeof part === "string") ? raw.join("; ") : raw;
  const text = typeof said === "string" ? said : (JSON.stringify(said) ?? String(said));
  const safe = text.replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`,
  );
  return safe.length > 80 ? `${safe.slice(0, 77)}...` : safe;
}

const scalar = (raw: Raw, wanted: string): string => {
  if (typeof raw === "object") return fail(`is a list or a mapping, ${wanted} is wanted`, `Give ${wanted}.`);
  const text = String(raw).trim();
  if (text === "") return fail("has no value", `Give ${wanted}.`);
  if (text.includes("\0")) return fail("contains a NUL character", `Give ${wanted}.`);
  return text;
};

/** Text that matches `pattern`; `wanted` says in words what that is. */
export const text =
  (wanted: string, pattern = /^[^\p{Cc}]+$/u): Reader<string> =>
  (raw) => {
    const value = scalar(raw, wanted);
    return pattern.test(value) ? value : fail(`is not ${wanted}`, `Give ${wanted}.`);
  };

/** One of the given words, in any case. */
export const choice = <const T extends string>(
  words: readonly T[],
  aliases: Readonly<Record<string, T>> = {},
): Reader<T> => {
  const read = (raw: Raw): T => {
    const list = words.join(", ");
    const value = scalar(raw, `one of ${list}`).toLowerCase();
    const known = words.find((word) => word === value) ?? (Object.hasOwn(aliases, value) ? aliases[value] : undefined);
    return known ?? fail(`must be one of ${list}`, `Choose one of ${list}.`);
  };
  return Object.assign(read, { choices: words });
};

const YES = ["true", "yes", "on", "1"];
const NO = ["false", "no", "off", "0"];

/** Yes or no, as YAML, shells and people write it. */
export const flag: Reader<boolean> = (raw) => {
  const value = scalar(raw, "yes or no").toLowerCase();
  if (YES.includes(value)) return true;
  return NO.includes(value) ? false : fail("is neither yes nor no", "Write true or false.");
};

/** A whole number from `min` to `max`. */
export const integer =
  (min: number, max = 2 ** 31 - 1): Reader<number> =>
  (raw) => {
    const range = max === 2 ** 31 - 1 ? `a whole number of at least ${min}` : `a whole number from ${min} to ${max}`;
    const value = scalar(raw, range);
    const number = Number(value);
    const inRange = /^[+-]?\d+$/.test(value) && number >= min && number <= max;
    return inRange ? number : fail(`must be ${range}`, `Give ${range}.`);
  };

/** Tries `words` (lower case, each standing for a fixed value) before the reader. */
export const orWord =
  <T, W>(words: Readonly<Record<string, W>>, reader: Reader<T>): Reader<T | W> =>
  (raw, context) => {
    const word = typeof raw === "object" ? "" : String(raw).trim().toLowerCase();
    return Object.hasOwn(words, word) ? (words[word] as W) : reader(raw, context);
  };

const UNIT_SECONDS: Readonly<Record<string, number>> = {
  ms: 0.001,
  ...Object.fromEntries(["s", "sec", "secs", "second", "seconds"].map((unit) => [unit, 1])),
  ...Object.fromEntries(["m", "min", "mins", "minute", "minutes"].map((unit) => [unit, 60])),
  ...Object.fromEntries(["h", "hr", "hrs", "hour", "hours"].map((unit) => [unit, 3600])),
  ...Object.fromEntries(["d", "day", "days"].map((unit) => [unit, 86400])),
};
const DURATION_HINT = "Write 30 (seconds), 30s, 5m, 1h30m, HH:MM:SS or D-HH:MM:SS.";

/** A duration in seconds, of at least `min` (or more than 0 when `min` is "positive"); plain numbers are seconds. */
export const duration =
  (min: 0 | "positive"): Reader<number> =>
  (raw) => {
    const seconds = parseDuration(scalar(raw, "a duration"));
    if (!Number.isFinite(seconds) || seconds > 1e9) return fail("is too long", DURATION_HINT);
    return min === "positive" && seconds === 0 ? fail("must be longer than 0", DURATION_HINT) : seconds;
  };

/** Seconds of `30`, `30s`, `1h30m`, `HH:MM:SS` and `D-HH:MM:SS` (Slurm); throws `BadValue`. */
export function parseDuration(value: string): number {
  const clock = /^(?:(\d{1,5})-)?(\d{1,6}):([0-5]?\d):([0-5]?\d)$/.exec(value);
  if (clock) {
    const [, days = "0", hours = "0", minutes = "0", seconds = "0"] = clock;
    return ((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds);
  }
  if (/^\d+:\d+$/.test(value)) {
    return fail("could be hours and minutes, or minutes and seconds", DURATION_HINT);
  }
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value);
  const parts = [...value.toLowerCase().matchAll(/\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*/gy)];
  const read = parts.reduce((length, part) => length + part[0].length, 0);
  if (parts.length === 0 || read !== value.length) return fail("is not a duration", DURATION_HINT);
  return parts.reduce((sum, [, amount, unit = ""]) => {
    const factor = Object.hasOwn(UNIT_SECONDS, unit) ? UNIT_SECONDS[unit] : undefined;
    return sum + Number(amount) * (factor ?? fail(`has an unknown unit of time, ${show(unit)}`, DURATION_HINT));
  }, 0);
}

const POWERS = ["", "k", "m", "g", "t", "p", "e"];

/**
 * Bytes of `4GB` (10^9), `4GiB` (2^30), `4G`, `5e9`; upper and lower case alike, as Dask reads them; throws `BadValue`.
 */
export function parseBytes(value: string): number {
  const hint = "Write bytes, or 500MB, 4GB (10^9 bytes) or 4GiB (2^30 bytes).";
  const match = /^(\d+(?:\.\d+)?(?:e[+]?\d+)?)\s*([kmgtpe]?)(i?)b?$/.exec(value.toLowerCase());
  const [, amount = "", power = "", binary = ""] = match ?? fail("is not a size in bytes", hint);
  if (binary !== "" && power === "") return fail("is not a size in bytes", hint);
  const bytes = Math.floor(Number(amount) * (binary ? 1024 : 1000) ** POWERS.indexOf(power));
  return Number.isSafeInteger(bytes) ? bytes : fail("is too large", hint);
}

/** Dask's memory limit: `auto`, `0` or `none` (no limit), a fraction of the host's memory, or bytes. */
export const memoryLimit: Reader<MemoryLimit> = (raw) => {
  const value = scalar(raw, "a memory limit").toLowerCase();
  if (value === "auto") return { kind: "auto" };
  if (value === "none" || value === "null") return { kind: "none" };
  if (/^\d*\.?\d+(e[+-]?\d+)?$/.test(value)) {
    const number = Number(value);
    if (number === 0) return { kind: "none" };
    if (number <= 1) return { kind: "fraction", fraction: number };
  }
  const bytes = parseBytes(value);
  return bytes === 0 ? { kind: "none" } : { kind: "bytes", bytes };
};

/** A list: given several times, separated by commas or blanks, or a YAML list; each entry matches `pattern`. */
export const list =
  (wanted: string, pattern: RegExp): Reader<readonly string[]> =>
  (raw) => {
    const parts = Array.isArray(raw) ? (raw as readonly Raw[]) : [raw];
    const words = parts.flatMap((part) => scalar(part, wanted).split(/[\s,]+/)).filter((word) => word !== "");
    const wrong = words.find((word) => !pattern.test(word));
    return wrong === undefined
      ? [...new Set(words)]
      : fail(`has an entry that is not ${wanted}: ${show(wrong)}`, `Give ${wanted}.`);
  };

/** Modules to preload, each with its arguments: `[["mod", "--flag"], …]`; quotes keep blanks together as in a shell. */
export const preloads: Reader<readonly (readonly string[])[]> = (raw) => {
  const parts = Array.isArray(raw) ? (raw as readonly Raw[]) : [raw];
  return parts.map((part) =>
    Array.isArray(part)
      ? (part as readonly Raw[]).map((word) => scalar(word, "a word"))
      : splitWords(scalar(part, "a module or a .py file")),
  );
};

/** Words of a line, with '…', "…" and \ as in a shell; throws `BadValue` for an open quote. */
export function splitWords(line: string): readonly string[] {
  const token = /\s*((?:[^\s'"\\]|\\[\s\S]|'[^']*'|"(?:[^"\\]|\\[\s\S])*")+)\s*/gy;
  const words = [...line.matchAll(token)];
  if (words.reduce((length, word) => length + word[0].length, 0) !== line.length) {
    return fail("has an open quote", "Close the quote, or put a \\ before it.");
  }
  return words.map(([, word = ""]) =>
    word.replace(
      /'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])/g,
      (_, single?: string, double?: string, escaped?: string) =>
        single ?? double?.replace(/\\(["\\$`])/g, "$1") ?? escaped ?? "",
    ),
  );
}

/** A JSON object, or a YAML mapping. */
export const object: Reader<Readonly<Record<string, unknown>>> = (raw) => {
  const hint = `Write a JSON object, in single quotes for the shell: '{"nthreads": 2}'.`;
  if (Array.isArray(raw)) return fail("is a list, a JSON object is wanted", hint);
  if (typeof raw === "object") return raw as Readonly<Record<string, unknown>>;
  const value = parseJson(scalar(raw, "a JSON object"), hint);
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? (value as Readonly<Record<string, unknown>>) : fail("is not a JSON object", hint);
};

const parseJson = (value: string, hint: string): unknown => {
  try {
    return JSON.parse(value) as unknown;
  } catch (error) {
    return fail(`is not JSON (${show((error as Error).message)})`, hint);
  }
};

/** Dask's worker resources: `GPU=2 MEM=10e9` (blanks or commas between), or a mapping of numbers. */
export const resources: Reader<Readonly<Record<string, number>>> = (raw) => {
  const hint = 'Write --resources "GPU=2 MEM=10e9".';
  const pairs: readonly (readonly [string, unknown])[] =
    typeof raw === "object" && !Array.isArray(raw)
      ? Object.entries(raw)
      : (Array.isArray(raw) ? (raw as readonly Raw[]) : [raw])
          .flatMap((part) => scalar(part, "resources").split(/[\s,]+/))
          .filter((word) => word !== "")
          .map((word) => {
            const at = word.lastIndexOf("=");
            return at > 0
              ? [word.slice(0, at), word.slice(at + 1)]
              : fail(`has a part without "=": ${show(word)}`, hint);
          });
  return Object.fromEntries(
    pairs.map(([name, amount]) => {
      const plain = typeof amount === "string" ? amount.trim() : amount;
      const number =
        typeof plain === "number" || (typeof plain === "string" && plain !== "") ? Number(plain) : Number.NaN;
      return Number.isFinite(number) && number >= 0
        ? [name, number]
        : fail(`has an amount that is not a number: ${show(name)}`, hint);
    }),
  );
};

/** One port, or a range `3000:3026` (as `dask worker` writes it); 0 is "any". */
export const ports: Reader<PortRange | undefined> = (raw) => {
  const hint = "Give a port from 1 to 65535, a range like 3000:3026, or 0 for any.";
  const value = scalar(raw, "a port or a range of ports");
  const [, from = "", to = from] =
    /^(\d{1,5})(?:[:-](\d{1,5}))?$/.exec(value) ?? fail("is not a port or a range of ports", hint);
  const first = Number(from);
  const last = Number(to);
  if (first === 0 && last === 0) return undefined;
  return first >= 1 && last <= 65535 && first <= last ? { first, last } : fail("is not a range of ports", hint);
};

/** Where an HTTP server listens: `8787`, `:8787`, `host:8787` → `:8787`, `host:8787`. */
export const listenPoint: Reader<string> = (raw) => {
  const hint = "Write :8787, or host:8787; port 0 is any free one.";
  const value = scalar(raw, "an address like :8787");
  const [, host = "", port = ""] =
    /^(?:(\[[0-9a-fA-F:.%\w]+\]|[\w.-]*):)?(\d{1,5})$/.exec(value) ?? fail("is not an address like :8787", hint);
  return Number(port) <= 65535 ? `${host}:${Number(port)}` : fail("has a port above 65535", hint);
};

/** The schemes of Dask's addresses. */
const SCHEMES = ["tcp", "tls", "ucx", "ucxx", "ws", "wss"] as const;

/** One of Dask's addresses, `scheme://host:port`; `port: "optional"` for those to listen on. Throws `BadValue`. */
export const daskAddress =
  (port: "required" | "optional"): Reader<string> =>
  (raw) => {
    const hint = `Write ${port === "required" ? "tcp://host:8786 or tls://host:8786" : "tcp://0.0.0.0:9000 or tcp://:9000"}.`;
    const value = scalar(raw, "an address like tcp://host:8786");
    const match = /^([a-z][a-z0-9+.-]*):\/\/(\[[0-9a-fA-F:.%\w]+\]|[\w.-]*)(?::(\d{1,5}))?$/i.exec(value);
    const [, scheme = "", host = "", number] = match ?? fail("is not an address of Dask's", hint);
    if (!(SCHEMES as readonly string[]).includes(scheme.toLowerCase())) {
      return fail(`has a scheme that Dask does not know, ${show(scheme)}`, `Dask's schemes are ${SCHEMES.join(", ")}.`);
    }
    if (port === "required" && (host === "" || number === undefined || Number(number) === 0))
      return fail("lacks a host or a port", hint);
    if (number !== undefined && Number(number) > 65535) return fail("has a port above 65535", hint);
    return `${scheme.toLowerCase()}${value.slice(scheme.length)}`;
  };

/**
 * An absolute path: `~/` is the home folder; relative ones start at the working folder; in files `$NAME` is replaced.
 */
export const path: Reader<string> = (raw, context) => absolute(expand(scalar(raw, "a path"), context), context);

/** A program: a name for `PATH` stays as it is, anything with a slash becomes absolute. */
export const program: Reader<string> = (raw, context) => {
  const value = expand(scalar(raw, "a program"), context);
  return value.includes("/") && !isAbsolute(value) ? absolute(value, context) : value;
};

/** What begins with a variable that is not set begins nowhere yet. */
const absolute = (value: string, { cwd, variables, unset }: ReadContext): string =>
  variables && unset !== undefined && value.startsWith("$") ? value : resolve(cwd, value);

const expand = (value: string, { home, env, variables, unset }: ReadContext): string => {
  const filled = variables
    ? value.replace(/\$(?:\{(\w+)\}|(\w+))/g, (written: string, braced?: string, plain?: string) => {
        const name = braced ?? plain ?? "";
        if (env[name]) return env[name];
        if (unset === undefined)
          return fail(`names the variable ${name}, which is not set`, "Set it, or write the path out.");
        unset(name);
        return written;
      })
    : value;
  return filled === "~" || filled.startsWith("~/") ? home + filled.slice(1) : filled;
};

/** The domain below which a proxy knows clusters by their names, and its port; 8786 when none is said. */
export const sniDomain: Reader<{ readonly domain: string; readonly port: number }> = (raw) => {
  const value = scalar(raw, "a domain").toLowerCase();
  const [, domain = "", port = "8786"] =
    /^((?=.{1,180}(?::|$))[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*)(?::(\d{1,5}))?$/.exec(
      value,
    ) ?? [];
  if (domain === "" || Number(port) < 1 || Number(port) > 65535)
    return fail("is not a domain, or a domain and a port", "Write --sni-domain af.example.org or af.example.org:8786.");
  return { domain, port: Number(port) };
};
