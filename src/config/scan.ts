import type { OptionKey } from "./options.ts";
import { flagsOf, take, type Grammar, type Line, type Said } from "./grammar.ts";

/**
 * Takes a command line apart. The usual one is scanned here; commander, which takes 5 ms of the first rank's start to
 * load and set up, reads the ones that ask for help or hold a mistake. Throws Failure TSD-006 and TSD-008.
 */
export async function readLine(argv: readonly string[], grammar: Grammar): Promise<Line> {
  return scan(argv, grammar) ?? (await import("./parse.ts")).parseLine(argv, grammar);
}

/**
 * What `parseLine` answers, for a command line that consists of known options with their values and of words; else
 * `undefined`.
 */
export function scan(argv: readonly string[], grammar: Grammar): Line | undefined {
  const flags = new Map(flagsOf(grammar).map((flag) => [flag.flag as string, flag]));
  const said = new Map<OptionKey, Said>();
  const words: string[] = [];
  for (let i = 0; i < argv.length; i += 1) {
    const word = argv[i] ?? "";
    if (word === "--")
      return { said, words: [...words, ...argv.slice(i + 1)], separated: !grammar.interspersed, asks: undefined };
    if (!word.startsWith("-") || word === "-") {
      if (!grammar.interspersed) return { said, words: argv.slice(i), separated: false, asks: undefined };
      words.push(word);
      continue;
    }
    const equals = word.indexOf("=");
    const flag = flags.get(equals === -1 ? word : word.slice(0, equals));
    if (flag === undefined) return undefined;
    if (flag.spec.value === undefined || flag.negative) {
      if (equals !== -1) return undefined;
      take(said, flag, undefined);
      continue;
    }
    const value = equals === -1 ? argv[(i += 1)] : word.slice(equals + 1);
    if (value === undefined || value.startsWith("--")) return undefined;
    take(said, flag, value);
  }
  return { said, words, separated: false, asks: undefined };
}
