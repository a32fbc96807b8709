import { basename } from "node:path";
import type { Script } from "../config/options.ts";

const prompts = /^(ipython|ptpython|bpython|ptipython|bash|zsh|fish|sh|dash|ksh|tcsh)[\d.]*$/;
const python = /^(python|pypy)[\d.]*$/;

/**
 * Whether this, on a terminal, is a conversation in which Ctrl-C ends a line and not the launch: a shell, IPython, a
 * Python that was given no program or `-i`, or a debugger.
 */
export function isPrompt(script: Script | undefined): boolean {
  if (script === undefined || script.kind === "notebook" || script.kind === "python") return false;
  if (script.kind === "stdin") return true;
  const [program = "", ...args] = script.words;
  const name = basename(program);
  if (prompts.test(name)) return !args.includes("-c") && !args.some((word) => !word.startsWith("-"));
  if (!python.test(name)) return false;
  const options = args.slice(0, Math.max(0, args.findIndex((word) => !word.startsWith("-")) + 1 || args.length));
  if (options.some((word) => /^-[a-zA-Z]*i/.test(word))) return true;
  const module = args[args.indexOf("-m") + 1] ?? "";
  if (args[0] === "-m") return /^(IPython|pdb|ipdb|code|ptpython|bpython)$/.test(module);
  return args.every((word) => word.startsWith("-") && word !== "-c");
}
