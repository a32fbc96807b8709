import { accessSync, constants, lstatSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { Failure } from "../errors/failure.ts";
import type { NotebookRequest } from "../config/notebook-options.ts";
import { statsOf } from "../security/stats.ts";

/**
 * Looks at a notebook and at where it is to be saved before anything is started: it is JSON of notebook format 4
 * (nbformat's `nbformat` and `cells`), in Python unless another kernel is named, and the other place can be written.
 * Throws Failure TSD-109.
 */
export function checkNotebook({ notebook, output, inPlace, kernel }: NotebookRequest): void {
  const refuse = (problem: string, cause?: unknown): Failure =>
    new Failure("TSD-109", { file: notebook, problem }, { cause });
  let text: string;
  try {
    text = readFileSync(notebook, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw refuse(code === "EISDIR" ? "it is a folder" : code === "EACCES" ? "you may not read it" : message, error);
  }
  const problem = contentProblem(text, kernel);
  if (problem !== undefined) throw refuse(problem);
  if (!inPlace && same(notebook, output))
    throw refuse("--output names the notebook itself; say --in-place if you mean it");
  const writable = writeProblem(output);
  if (writable !== undefined) throw refuse(`${output} cannot be written: ${writable}`);
}

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {});

function contentProblem(text: string, kernel: string | undefined): string | undefined {
  if (text.trim() === "") return "it is empty";
  let data: Fields;
  try {
    data = fieldsOf(JSON.parse(text.replace(/^\uFEFF/, "")));
  } catch (error) {
    return `it is not JSON (${error instanceof Error ? error.message : String(error)})`;
  }
  return formatProblem(data) ?? (kernel === undefined ? languageProblem(fieldsOf(data["metadata"])) : undefined);
}

/**
 * The kernel's name counts for nothing, for it is one of the machine where the notebook was written; its language does.
 */
function languageProblem(metadata: Fields): string | undefined {
  const language = fieldsOf(metadata["kernelspec"])["language"] ?? fieldsOf(metadata["language_info"])["name"];
  if (typeof language !== "string" || language === "" || /^i?python/i.test(language)) return undefined;
  return `it is written in ${language.slice(0, 50)}: name its kernel with --kernel`;
}

function formatProblem({ nbformat, metadata, cells }: Fields): string | undefined {
  if (typeof nbformat !== "number") return "it is JSON, but no notebook: it names no format (nbformat)";
  if (nbformat < 4)
    return `its format is ${nbformat}, of before 2015 (Jupyter or \`jupyter nbconvert --to notebook --nbformat 4\` turn it into one of today)`;
  if (nbformat > 4) return `its format is ${nbformat}, which this version does not know`;
  if (!isFields(metadata)) return "it has no metadata";
  if (!Array.isArray(cells)) return "it has no list of cells";
  const problems = cells.map((cell, index) => cellProblem(fieldsOf(cell), `cell ${index + 1} of ${cells.length}`));
  return problems.find((problem) => problem !== undefined);
}

/** What nbformat and nbclient do not come past; what else a cell lacks is only missing in what is shown of it. */
function cellProblem({ cell_type: type, metadata, source }: Fields, which: string): string | undefined {
  if (typeof type !== "string") return `${which} has no type (cell_type)`;
  if (!isFields(metadata)) return `${which} has no metadata`;
  if (type !== "code") return undefined;
  const text = Array.isArray(source) ? source.join("") : source;
  if (typeof text !== "string") return `${which} has no source`;
  // Half of a pair of UTF-16, which no kernel can be sent.
  return /\p{Surrogate}/u.test(text) ? `${which} has half a character in it (a lone surrogate)` : undefined;
}

function same(a: string, b: string): boolean {
  return a === b || (statsOf(b) !== undefined && realpathSync(a) === realpathSync(b));
}

/**
 * Why a file cannot be made or replaced: it is written beside itself and renamed, which takes a folder that may be
 * written.
 */
function writeProblem(path: string): string | undefined {
  try {
    const there = lstatSync(path, { throwIfNoEntry: false });
    if (there !== undefined && there.uid !== process.geteuid?.()) return "what is there belongs to another user";
    const found = statSync(path, { throwIfNoEntry: false });
    if (found !== undefined && found.uid !== process.geteuid?.()) return "what is there belongs to another user";
    if (found?.isDirectory()) return "it is a folder";
    if (found !== undefined && !found.isFile()) return "it is no ordinary file";
    const folder = dirname(found === undefined ? path : realpathSync(path));
    if (statSync(folder, { throwIfNoEntry: false }) === undefined) return `there is no folder ${folder}`;
    accessSync(folder, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === "EACCES"
      ? "you may not write to its folder"
      : code === "EROFS"
        ? "its file system is read-only"
        : message;
  }
}
