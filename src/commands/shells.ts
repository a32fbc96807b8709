/** The shells that `tsdask-mpi env` writes for; `bash` serves sh, dash, ksh and zsh too. */
export const SHELLS = ["bash", "fish", "csh"] as const;
export type Shell = (typeof SHELLS)[number];

/** The shell that a program's name stands for, if it is one we know. */
export function shellNamed(name: string): Shell | undefined {
  const base = name.replace(/^-|.*\//, "");
  if (base === "fish") return "fish";
  if (base === "csh" || base === "tcsh") return "csh";
  return ["sh", "bash", "dash", "ksh", "ksh93", "mksh", "zsh", "ash", "busybox"].includes(base) ? "bash" : undefined;
}

/** One line that sets a variable for this shell and what it starts, whatever the value holds. */
export function exportLine(shell: Shell, name: string, value: string): string {
  switch (shell) {
    case "bash":
      return `export ${name}=${posixQuoted(value)};`;
    case "fish":
      return `set -gx ${name} '${value.replaceAll(/[\\']/g, "\\$&")}';`;
    case "csh":
      return `setenv ${name} ${cshQuoted(value)};`;
  }
}

/** A line that removes a variable. */
export function unsetLine(shell: Shell, name: string): string {
  return { bash: `unset ${name};`, fish: `set -e ${name};`, csh: `unsetenv ${name};` }[shell];
}

/** A word as sh takes it literally. */
export function posixQuoted(value: string): string {
  return `'${value.replaceAll("'", `'\\''`)}'`;
}

/** The same for a person to type: plain where nothing in it is special. */
export function posixWord(value: string): string {
  return /^[\w./-]+$/.test(value) ? value : posixQuoted(value);
}

/** csh looks for its history (`!`) and line ends inside single quotes too. */
function cshQuoted(value: string): string {
  return `'${value.replaceAll(/['!\n]/g, (letter) => (letter === "'" ? `'\\''` : `\\${letter}`))}'`;
}
