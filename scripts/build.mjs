// Bundles src/ into dist/: few files to open at start-up, split so that a rank loads only what its role needs.
// Usage: node scripts/build.mjs [--analyze]        (any Node from 22.15 on; needs node_modules)
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, "dist");
const started = performance.now();

/** What can be started or loaded by its own name; everything else becomes a chunk. */
const entryPoints = ["src/main.ts"];

if (!isRecent(process.versions.node)) {
  fail(`Node ${process.versions.node} is too old to build with: 22.15 or newer is needed (npm start finds or installs one).`);
}
const esbuild = await import("esbuild").catch(() => fail("esbuild is missing: run `npm ci` first (npm start does it for you)."));
const result = await esbuild
  .build({
    absWorkingDir: root,
    entryPoints,
    outdir: dist,
    outbase: "src",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node22.15",
    mainFields: ["module", "main"],
    minifySyntax: true,
    // White space stays: it costs under a millisecond, and an uncaught error prints a line that can be read.
    legalComments: "eof",
    chunkNames: "chunk/[name]-[hash]",
    // ws looks for two optional native add-ons at run time, which costs file operations on every rank; they are never there.
    define: { "process.env.WS_NO_BUFFER_UTIL": '"1"', "process.env.WS_NO_UTF_8_VALIDATE": '"1"' },
    write: false,
    metafile: true,
    logLevel: "warning",
  })
  .catch(() => fail("the bundle could not be made; the lines above say where."));

// The Node that made dist/ runs it: the launcher script reads this file instead of asking `node --version` on every rank.
const files = new Map([["node-path", Buffer.from(`${process.execPath}\n`)]]);
for (const { path, text } of result.outputFiles) files.set(relative(dist, path), Buffer.from(banner(text) + text));

const changed = await differs(files);
if (changed) await replaceDist(files);
report();

/** What a CommonJS dependency expects to find in scope; only the chunks that hold one pay for it. */
function banner(text) {
  const parts = [];
  if (/\brequire\b/.test(text)) {
    parts.push('import{createRequire as $createRequire}from"node:module";const require=$createRequire(import.meta.url);');
  }
  if (/\b__dirname\b/.test(text)) parts.push("const __dirname=import.meta.dirname;");
  if (/\b__filename\b/.test(text)) parts.push("const __filename=import.meta.filename;");
  return parts.length === 0 ? "" : `${parts.join("")}\n`;
}

/** Whether dist/ holds anything else than these files: an unchanged build leaves a running launch its chunks. */
async function differs(wanted) {
  const present = await readdir(dist, { recursive: true, withFileTypes: true }).catch(() => []);
  const names = present.filter((entry) => entry.isFile()).map((entry) => relative(dist, join(entry.parentPath, entry.name)));
  if (names.length !== wanted.size) return true;
  for (const name of names) {
    const content = wanted.get(name);
    if (content === undefined || !content.equals(await readFile(join(dist, name)))) return true;
  }
  return false;
}

/** Writes beside dist/ and swaps by renaming, so that nobody ever meets half a build. */
async function replaceDist(wanted) {
  const fresh = `${dist}.new-${process.pid}`;
  const old = `${dist}.old-${process.pid}`;
  try {
    for (const [name, content] of wanted) {
      await mkdir(dirname(join(fresh, name)), { recursive: true });
      await writeFile(join(fresh, name), content);
    }
    // Another build may swap at the same moment: whoever finds dist/ taken moves it away and tries again.
    for (let attempt = 0; ; attempt += 1) {
      await rename(dist, join(old + attempt)).catch(unless("ENOENT"));
      const done = await rename(fresh, dist).then(() => true, unless("ENOTEMPTY", "EEXIST"));
      await rm(old + attempt, { recursive: true, force: true });
      if (done === true || attempt === 20) return;
    }
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

function report() {
  const outputs = Object.entries(result.metafile.outputs);
  const bytes = outputs.reduce((sum, [, output]) => sum + output.bytes, 0);
  const seconds = ((performance.now() - started) / 1000).toFixed(2);
  console.error(`dist: ${outputs.length} files, ${(bytes / 1024).toFixed(0)} KiB, ${changed ? "built" : "unchanged"} in ${seconds} s`);
  if (!process.argv.includes("--analyze")) return;
  for (const [path, output] of outputs.sort(([, a], [, b]) => b.bytes - a.bytes)) {
    const inputs = Object.entries(output.inputs).sort(([, a], [, b]) => b.bytesInOutput - a.bytesInOutput);
    const largest = inputs.slice(0, 6).map(([input, { bytesInOutput }]) => `${input.replace("node_modules/", "")} ${bytesInOutput}`);
    console.error(`${String(output.bytes).padStart(8)}  ${basename(path)}  ${largest.join(", ")}`);
  }
}

function isRecent(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 22 || (major === 22 && minor >= 15);
}

function unless(...codes) {
  return (error) => {
    if (!codes.includes(error.code)) throw error;
  };
}

function fail(message) {
  console.error(`build: ${message}`);
  process.exit(1);
}
