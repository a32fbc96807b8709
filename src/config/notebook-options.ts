import { basename, dirname, extname, join, resolve } from "node:path";
import { Failure } from "../errors/failure.ts";
import { nearest } from "./suggest.ts";
import { show } from "./values.ts";

/** How a notebook is to be executed: what follows its name on the command line. */
export interface NotebookRequest {
  /** Absolute paths; they are the same with `--in-place`. */
  readonly notebook: string;
  readonly output: string;
  readonly inPlace: boolean;
  /** Names and the text of their values, which becomes a number, a boolean or None where it reads like one. */
  readonly parameters: readonly (readonly [name: string, value: string])[];
  /** The same for values that stay text. */
  readonly raw: readonly (readonly [name: string, value: string])[];
  /** A kernel spec's name; `undefined`: the cluster's own Python. */
  readonly kernel: string | undefined;
  readonly allowErrors: boolean;
}

/** The notebook's own options; what they take, in words. */
const notebookOptions: Readonly<Record<string, { readonly values: 0 | 1 | 2; readonly as: keyof Said }>> = {
  "-p": { values: 2, as: "parameters" },
  "--parameter": { values: 2, as: "parameters" },
  "--parameters": { values: 2, as: "parameters" },
  "-r": { values: 2, as: "raw" },
  "--parameters_raw": { values: 2, as: "raw" },
  "-o": { values: 1, as: "output" },
  "--output": { values: 1, as: "output" },
  "--in-place": { values: 0, as: "inPlace" },
  "--inplace": { values: 0, as: "inPlace" },
  "-k": { values: 1, as: "kernel" },
  "--kernel": { values: 1, as: "kernel" },
  "--allow-errors": { values: 0, as: "allowErrors" },
};

/** Whether an option is one of a notebook's, whose place is after the notebook's name. */
export const isNotebookOption = (word: string): boolean => Object.hasOwn(notebookOptions, word);

interface Said {
  readonly parameters: (readonly [string, string])[];
  readonly raw: (readonly [string, string])[];
  output: string | undefined;
  kernel: string | undefined;
  inPlace: boolean;
  allowErrors: boolean;
}

/**
 * Reads a notebook's name and the words after it; pure, looks at no file. Options and the types of parameters are
 * papermill's (its `-p name value`). Throws Failure TSD-006 (an unknown word), TSD-007 (`--output` and `--in-place`),
 * TSD-008 (a value is missing).
 */
export function readNotebook([file = "", ...words]: readonly string[], cwd: string): NotebookRequest {
  const said: Said = {
    parameters: [],
    raw: [],
    output: undefined,
    kernel: undefined,
    inPlace: false,
    allowErrors: false,
  };
  for (let i = 0; i < words.length; i += 1) {
    const word = words[i] ?? "";
    const equals = word.startsWith("--") ? word.indexOf("=") : -1;
    const flag = equals === -1 ? word : word.slice(0, equals);
    const option = isNotebookOption(flag) ? notebookOptions[flag] : undefined;
    if (option === undefined) throw unknown(flag);
    const first = equals === -1 ? [] : [word.slice(equals + 1)];
    if (option.values === 0 && first.length > 0)
      throw new Failure("TSD-006", {
        program: "tsdask-mpi",
        problem: `the notebook's ${flag} takes no value`,
        suggestion: `Write ${flag} alone. `,
      });
    const values = [...first, ...words.slice(i + 1, i + 1 + option.values - first.length)];
    if (
      values.length < option.values ||
      (values[0] ?? "x") === "" ||
      (first.length === 0 && values[0]?.startsWith("--"))
    ) {
      throw new Failure("TSD-008", { option: option.values === 2 && values[0] ? `${flag} ${show(values[0])}` : flag });
    }
    i += option.values - first.length;
    take(said, option.as, values);
  }
  if (said.output !== undefined && said.inPlace) {
    throw new Failure("TSD-007", {
      options: "--output and --in-place",
      problem: "Each says where the executed notebook goes.",
      hint: "Leave out one of them.",
    });
  }
  const notebook = resolve(cwd, file);
  const output = said.inPlace ? notebook : said.output === undefined ? besides(notebook) : resolve(cwd, said.output);
  return {
    notebook,
    output,
    inPlace: said.inPlace,
    parameters: said.parameters,
    raw: said.raw,
    kernel: said.kernel,
    allowErrors: said.allowErrors,
  };
}

/** `folder/analysis.ipynb` → `folder/analysis.out.ipynb`. */
const besides = (notebook: string): string =>
  join(dirname(notebook), `${basename(notebook, extname(notebook))}.out${extname(notebook)}`);

const take = (said: Said, as: keyof Said, [first = "", second = ""]: readonly string[]): void => {
  if (as === "parameters" || as === "raw") said[as].push([first, second]);
  else if (as === "inPlace" || as === "allowErrors") said[as] = true;
  else said[as] = first;
};

const unknown = (word: string): Failure => {
  const guess = word.startsWith("-")
    ? nearest(
        word.replace(/^-+/, ""),
        Object.keys(notebookOptions)
          .filter((name) => name.startsWith("--"))
          .map((name) => name.slice(2)),
      )
    : undefined;
  return new Failure("TSD-006", {
    program: "tsdask-mpi",
    problem: `${show(word)} is none of the options that may follow its name (-p name value, --output FILE, --in-place, --kernel NAME, --allow-errors)`,
    suggestion:
      guess === undefined
        ? "Options of tsdask-mpi itself come before the notebook's name. "
        : `Did you mean --${guess}? `,
  });
};
