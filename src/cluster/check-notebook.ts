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

const fieldsOf = (value: unknown): Fields => (typeof value === "object" && value !== null ? (value as Fields) : {});

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

function formatProblem({ nbformat, cells }: Fields): string | undefined {
  if (typeof nbformat !== "number") return "it is JSON, but no notebook: it names no format (nbformat)";
  if (nbformat < 4)
    return `its format is ${nbformat}, of before 2015 (Jupyter or \`jupyter nbconvert --to notebook --nbformat 4\` turn it into one of today)`;
  if (nbformat > 4) return `its format is ${nbformat}, which this version does not know`;
  return Array.isArray(cells) ? undefined : "it has no list of cells";
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
