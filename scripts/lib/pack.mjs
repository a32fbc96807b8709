// What the scripts that make packages share.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The folder after `--out`, absolute; `otherwise` in the project's folder. */
export function outFolder(otherwise) {
  return resolve(root, wordAfter("--out") ?? otherwise);
}

/** The word after an option; undefined when the option is not there. */
export function wordAfter(option) {
  const at = process.argv.indexOf(option);
  return at === -1 ? undefined : resolve(process.argv[at + 1] ?? fail(`${option} needs a value.`));
}

/** Runs a command in the project's folder; ends this process when it fails. */
export function run(file, ...args) {
  const { status, error } = spawnSync(file, args, { cwd: root, stdio: "inherit" });
  if (status !== 0) fail(`${[file, ...args].join(" ")} failed${error === undefined ? "" : `: ${error.message}`}.`);
}

/** What a command prints; ends this process when it fails. */
export function outputOf(file, ...args) {
  const { status, stdout, error } = spawnSync(file, args, {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
  });
  if (status !== 0) fail(`${[file, ...args].join(" ")} failed${error === undefined ? "" : `: ${error.message}`}.`);
  return stdout;
}

/** A new folder in the temporary one, which goes with this process, also where that ends by `fail`. */
export function workFolder(prefix) {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** dist/, up to date. */
export function build() {
  run(process.execPath, "scripts/build.mjs");
}

/** A Python for packaging/backend.py, which needs no package. */
export function python() {
  return process.env["PYTHON"] || "python3";
}

export function fail(message) {
  console.error(message);
  process.exit(1);
}
