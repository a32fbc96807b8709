import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";

/** None of the files that are read this way is larger (bytes). */
const largest = 1024 * 1024;

/**
 * The text (UTF-8) of a small plain file that anyone may have put there, without waiting for a pipe; a link at its name
 * is followed only with `follow`. Throws the system's error, and one of its own for what is no such file.
 */
export function readSmallFile(path: string, { follow = false }: { readonly follow?: boolean } = {}): string {
  const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW } = constants;
  const file = openSync(path, O_RDONLY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW));
  try {
    const found = fstatSync(file);
    if (!found.isFile() || found.size > largest) throw new Error(`${path} is no small plain file`);
    return readFileSync(file, "utf8");
  } finally {
    closeSync(file);
  }
}
