// Bundles src/ into dist/: few files to open at start-up, split so that a rank loads only what its role needs.
// Usage: node scripts/build.mjs [--analyze] [--out FOLDER]        (any Node from 22.15 on; needs node_modules)
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { checkBundled, sbom } from "./dependencies.mjs";
import { sourcesDigest } from "./lib/sources.mjs";

const runFile = promisify(execFile);
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = outOf(process.argv) ?? join(root, "dist");
const started = performance.now();

/** What can be started or loaded by its own name; everything else becomes a chunk. */
const entryPoints = ["src/main.ts"];

if (!isRecent(process.versions.node)) {
  fail(
    `Node ${process.versions.node} is too old to build with: 22.15 or newer is needed (npm start finds or installs one).`,
  );
}
const esbuild = await import("esbuild").catch(() =>
  fail("esbuild is missing: run `npm ci --ignore-scripts` first (npm start does it for you)."),
);
const settings = {
  absWorkingDir: root,
  entryPoints,
  // Nothing is written by the bundler: a fixed name, so that what it makes is the same wherever it goes.
  outdir: join(root, "dist"),
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
  // ws looks for two optional native add-ons at run time, which costs file operations on every rank; they are never
  // there.
  define: { "process.env.WS_NO_BUFFER_UTIL": '"1"', "process.env.WS_NO_UTF_8_VALIDATE": '"1"' },
  write: false,
  metafile: true,
  logLevel: "warning",
};
const draft = await bundle(settings);
const result = await bundle({ ...settings, plugins: [oneChunkForAll(draft.metafile)] });

// The Node that made dist/ runs it: the launcher script reads this file instead of asking `node --version` on every
// rank.
const files = new Map([["node-path", Buffer.from(`${process.execPath}\n`)]]);
// Node asks the nearest package.json whether a .js file is a module, and looks in every folder on the way to it.
for (const folder of [".", "chunk"]) files.set(join(folder, "package.json"), Buffer.from('{"type":"module"}\n'));
const idle = Object.entries(result.metafile.outputs).filter(([, { inputs }]) =>
  Object.keys(inputs).every((input) => input === "<runtime>"),
);
for (const { path, text } of result.outputFiles) {
  const lean = withPlainBuiltins(
    withoutImports(
      text,
      idle.map(([output]) => basename(output)),
    ),
  );
  files.set(relative(settings.outdir, path), Buffer.from(banner(lean) + lean));
}
files.set("any-node.cjs", await readFile(join(root, "src", "any-node.cjs")));
// What the bundle is made of, for those who have to know: CycloneDX, with nothing in it that differs from one build to
// the next.
const lock = await readFile(join(root, "package-lock.json"), "utf8");
checkBundled(lock, Object.keys(result.metafile.inputs));
files.set("sbom.cdx.json", Buffer.from(sbom(lock)));
// By which packaging/backend.py knows whether this is the bundle of the sources beside it.
files.set("sources.sha256", Buffer.from(`${sourcesDigest(root)}\n`));

for (const [name, text] of await sharedFiles(files)) files.set(join("share", name), text);

const changed = await differs(files);
if (changed) await replaceDist(files);
report();

function bundle(options) {
  return esbuild.build(options).catch(() => fail("the bundle could not be made; the lines above say where."));
}

/**
 * Puts what every rank loads into one file: left alone, the splitter gives each set of modules that main.ts shares with
 * some lazy part a chunk of its own, ten files for every rank. It goes by who reaches a module, so each lazy part is
 * made to reach all that main.ts does.
 */
function oneChunkForAll({ inputs, outputs }) {
  const [main] = entryPoints;
  const always = inputs[main].imports
    .filter(({ kind, external }) => kind === "import-statement" && external !== true)
    .map(({ path }) => path);
  const text = always.map((path) => `import ${JSON.stringify(join(root, path))};`).join("\n");
  const lazy = new Set(
    Object.values(outputs).flatMap(({ entryPoint }) =>
      entryPoint === undefined || entryPoint === main ? [] : [join(root, entryPoint)],
    ),
  );
  return {
    name: "one-chunk-for-all",
    setup({ onLoad, onResolve }) {
      onResolve({ filter: /^what-every-rank-loads$/ }, ({ path }) => ({ path, namespace: "always" }));
      onLoad({ filter: /.*/, namespace: "always" }, () => ({ contents: text, resolveDir: root }));
      onLoad({ filter: /\.ts$/ }, async ({ path }) =>
        lazy.has(path)
          ? { contents: `import "what-every-rank-loads";\n${await readFile(path, "utf8")}`, loader: "ts" }
          : undefined,
      );
    },
  };
}

/**
 * A file without imports, for their effect alone, of chunks that have none: the bundler's own helpers, and what was
 * optimised away.
 */
function withoutImports(text, chunks) {
  return text.replaceAll(/^import "\.[\w./-]*\/([\w-]+\.js)";\n/gm, (line, name) =>
    chunks.includes(name) ? "" : line,
  );
}

/**
 * Takes Node's own modules as they are: an `import` of one makes Node read every property that it has, and node:fs then
 * loads its streams and promises, node:net its DNS, for nothing (a tenth of what a follower costs).
 */
function withPlainBuiltins(text) {
  const names = (list) => list.trim().replaceAll(/(\w+) as (\w+)/g, "$1: $2");
  return text.replaceAll(
    /^import \{([^}]*)\} from ("node:[\w/]+");$/gm,
    (_, list, name) => `const { ${names(list)} } = process.getBuiltinModule(${name});`,
  );
}

/** What a CommonJS dependency expects to find in scope; only the chunks that hold one pay for it. */
function banner(text) {
  const parts = [];
  if (/\brequire\b/.test(text)) {
    parts.push(
      'import{createRequire as $createRequire}from"node:module";const require=$createRequire(import.meta.url);',
    );
  }
  if (/\b__dirname\b/.test(text)) parts.push("const __dirname=import.meta.dirname;");
  if (/\b__filename\b/.test(text)) parts.push("const __filename=import.meta.filename;");
  return parts.length === 0 ? "" : `${parts.join("")}\n`;
}

/** What Unix looks for in share/: the manual page and the completions of shells, as the program itself prints them. */
async function sharedFiles(bundled) {
  const folder = await mkdtemp(join(tmpdir(), "tsdask-mpi-build-"));
  try {
    await writeAll(bundled, folder);
    const places = [
      [["man"], "man/man1/tsdask-mpi.1"],
      [["runbook", join(root, "docs/runbook.md")], "man/man7/tsdask-mpi-runbook.7"],
      [["bash"], "bash-completion/completions/tsdask-mpi"],
      [["zsh"], "zsh/site-functions/_tsdask-mpi"],
      [["fish"], "fish/vendor_completions.d/tsdask-mpi.fish"],
    ];
    return await Promise.all(
      places.map(async ([words, place]) => {
        const { stdout } = await runFile(process.execPath, [join(folder, "main.js"), "completion", ...words]);
        return [place, Buffer.from(stdout)];
      }),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeAll(contents, folder) {
  for (const [name, content] of contents) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
}

/** Whether dist/ holds anything else than these files: an unchanged build leaves a running launch its chunks. */
async function differs(wanted) {
  const present = await readdir(dist, { recursive: true, withFileTypes: true }).catch(() => []);
  const names = present
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dist, join(entry.parentPath, entry.name)));
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
    await writeAll(wanted, fresh);
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
  console.error(
    `dist: ${outputs.length} files, ${(bytes / 1024).toFixed(0)} KiB, ${changed ? "built" : "unchanged"} in ${seconds} s`,
  );
  if (!process.argv.includes("--analyze")) return;
  for (const [path, output] of outputs.sort(([, a], [, b]) => b.bytes - a.bytes)) {
    const inputs = Object.entries(output.inputs).sort(([, a], [, b]) => b.bytesInOutput - a.bytesInOutput);
    const largest = inputs
      .slice(0, 6)
      .map(([input, { bytesInOutput }]) => `${input.replace("node_modules/", "")} ${bytesInOutput}`);
    console.error(`${String(output.bytes).padStart(8)}  ${basename(path)}  ${largest.join(", ")}`);
  }
}

/** The folder after `--out`, absolute. */
function outOf(words) {
  const at = words.indexOf("--out");
  return at === -1 ? undefined : resolve(words[at + 1] ?? fail("--out needs a folder."));
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
