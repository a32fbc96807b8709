/** What can be a host for ssh: never an option of its. */
export const loginHost = /^(?:[\w.+-]+@)?[A-Za-z0-9_[][\w.:\][%-]*$/;

/** A program's name or path that is one plain word in any shell. */
export const plainProgram = /^[\w~/.][\w./~+@%:=,-]*$/;

/** Our own name there, and what the ranks run, where nothing else is said. */
export const usualProgram = "tsdask-mpi";
export const usualWords: readonly string[] = ["--jupyter", "lab"];
