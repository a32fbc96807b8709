// What the scripts that make packages share.
import { spawnSync } from "node:child_process";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The folder after `--out`, absolute; `otherwise` in the project's folder. */
export function outFolder(otherwise) {
  const at = process.argv.indexOf("--out");
  if (at === -1) return join(root, otherwise);
  return resolve(process.argv[at + 1] ?? fail("--out needs a folder."));
}

/** Runs a command in the project's folder; ends this process when it fails. */
export function run(file, ...args) {
  const { status, error } = spawnSync(file, args, { cwd: root, stdio: "inherit" });
  if (status !== 0) fail(`${[file, ...args].join(" ")} failed${error === undefined ? "" : `: ${error.message}`}.`);
}

/** dist/, up to date. */
export function build() {
  run(process.execPath, "scripts/build.mjs");
}

/** A Python for packaging/backend.py, which needs no package. */
export function python() {
  return process.env["PYTHON"] || "python3";
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
