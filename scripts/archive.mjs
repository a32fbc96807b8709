// Makes what is installed without a network, with a Node inside: the single archive, and a deb and an RPM of the same
// files.
// Usage: node scripts/archive.mjs [tar|tar.gz|deb|rpm …] [--node FILE] [--out FOLDER]        (default: tar, the running
// Node, packages/)
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { build, fail, outFolder, outputOf, python, root, run, wordAfter, workFolder } from "./lib/pack.mjs";

const { version, description } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const known = ["tar", "tar.gz", "deb", "rpm"];
const named = ["--node", "--out"];
const kinds = process.argv
  .slice(2)
  .filter((word, at, words) => !named.includes(word) && !named.includes(words[at - 1] ?? ""));
const unknown = kinds.find((kind) => !known.includes(kind));
if (unknown !== undefined)
  fail(`${unknown} is nothing that is made here: ${known.join(", ")}, --node FILE, --out FOLDER.`);
const folder = outFolder("packages");
const node = wordAfter("--node") ?? process.execPath;
const { arch, shared, nodeVersion } = JSON.parse(
  execFileSync(node, [
    "-p",
    `JSON.stringify({ arch: process.arch, nodeVersion: process.versions.node,
      shared: Object.entries(process.config.variables).some(([name, value]) => /^node_shared/.test(name) && value === true) })`,
  ]),
);
const debian = { x64: "amd64", arm64: "arm64" }[arch] ?? arch;
const redHat = { x64: "x86_64", arm64: "aarch64" }[arch] ?? arch;
const epoch = String(Math.max(Number(process.env["SOURCE_DATE_EPOCH"] ?? 0), 315532800));
process.env["SOURCE_DATE_EPOCH"] = epoch;

// Debian's and others' Node is a small program around libraries of the system, which another machine does not have.
if (shared)
  fail(
    `${node} needs libraries of this system; name one of nodejs.org or of the npm package node-linux-${arch} with --node.`,
  );

const work = workFolder("tsdask-mpi-archive-");
build();
mkdirSync(folder, { recursive: true });
for (const kind of kinds.length === 0 ? ["tar"] : kinds) console.log(make(kind));

function make(kind) {
  if (kind === "deb") return deb();
  if (kind === "rpm") return rpm();
  return archive(kind);
}

/**
 * The installation as a folder: what npm packs, Node beside it, a module file, man pages and completions where Unix
 * looks.
 */
function installation(target) {
  run(python(), "-I", "packaging/backend.py", "stage", target);
  mkdirSync(join(target, "node", "bin"), { recursive: true });
  cpSync(node, join(target, "node", "bin", "node"), { dereference: true });
  chmodSync(join(target, "node", "bin", "node"), 0o755);
  const modules = join(target, "modulefiles", "tsdask-mpi");
  mkdirSync(modules, { recursive: true });
  cpSync(join(root, "packaging", "modulefile.lua"), join(modules, `${version}.lua`));
}

/** One folder, packed: always the same bytes for the same files and the same Node. */
function archive(kind) {
  const name = `tsdask-mpi-${version}-linux-${arch}`;
  installation(join(work, name));
  const bytes = execFileSync("tar", [...plainTar(), "-C", work, "-cf", "-", name], { maxBuffer: 1024 ** 3 });
  const packed =
    kind === "tar.gz"
      ? gzipSync(bytes, { level: 6 })
      : zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 9 } });
  const path = join(folder, `${name}.tar.${kind === "tar.gz" ? "gz" : "zst"}`);
  writeFileSync(path, packed);
  return path;
}

function plainTar() {
  const modes = "--mode=u=rwX,go=rX";
  return ["--sort=name", `--mtime=@${epoch}`, "--owner=0", "--group=0", "--numeric-owner", modes, "--format=gnu"];
}

/**
 * The files of a system package below `/`: the installation in /usr/lib, the commands in /usr/bin, the rest where Unix
 * looks.
 */
function systemTree(target) {
  const lib = join(target, "usr", "lib", "tsdask-mpi");
  installation(lib);
  for (const [name, file] of Object.entries({ "tsdask-mpi": "tsdask-mpi", "tsdask-dask-mpi": "dask-mpi" })) {
    mkdirSync(join(target, "usr", "bin"), { recursive: true });
    cpSync(join(lib, "bin", file), join(target, "usr", "bin", name));
  }
  cpSync(join(lib, "share"), join(target, "usr", "share"), { recursive: true, force: true });
  run("chmod", "-R", "u=rwX,go=rX", target);
}

function deb() {
  const tree = join(work, "deb");
  systemTree(tree);
  const modules = join(tree, "usr", "lib", "python3", "dist-packages");
  mkdirSync(modules, { recursive: true });
  symlinkSync("../../tsdask-mpi/python/tsdask_mpi", join(modules, "tsdask_mpi"));
  const size = outputOf("du", "-sk", tree).split("\t")[0];
  mkdirSync(join(tree, "DEBIAN"));
  const control = [
    "Package: tsdask-mpi",
    `Version: ${version}`,
    `Architecture: ${debian}`,
    "Section: science",
    "Priority: optional",
    "Maintainer: tsdask-mpi <tsdask-mpi@localhost>",
    `Installed-Size: ${size}`,
    "Suggests: python3-distributed, mpi-default-bin",
    `Description: ${description}`,
    ` mpirun -np 8 tsdask-mpi script.py; Node ${nodeVersion} is included, Python with Dask is the user's own.`,
    "",
  ];
  writeFileSync(join(tree, "DEBIAN", "control"), control.join("\n"));
  // Byte code that root's Pythons have left, which dpkg knows nothing of.
  const lines = [
    "#!/bin/sh",
    'cd "$DPKG_ROOT/usr/lib/tsdask-mpi" || exit 0',
    "find . -name __pycache__ -exec rm -r {} +",
  ];
  writeFileSync(join(tree, "DEBIAN", "prerm"), `${lines.join("\n")}\n`, { mode: 0o755 });
  run("chmod", "-R", "u=rwX,go=rX", tree);
  run("find", tree, "-exec", "touch", "-h", "-d", `@${epoch}`, "{}", "+");
  const path = join(folder, `tsdask-mpi_${version}_${debian}.deb`);
  run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z6", "--build", tree, path);
  return path;
}

function rpm() {
  const tree = join(work, "rpm");
  systemTree(tree);
  run("find", tree, "-exec", "touch", "-h", "-d", `@${epoch}`, "{}", "+");
  const defines = { _topdir: join(work, "rpmbuild"), _rpmdir: folder, tsdask_version: version, tsdask_tree: tree };
  const words = Object.entries(defines).flatMap(([name, value]) => ["--define", `${name} ${value}`]);
  // Beside each other, not in a folder for each architecture.
  const flat = ["--define", "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm"];
  run("rpmbuild", "--quiet", "-bb", "--target", redHat, ...words, ...flat, join(root, "packaging", "rpm.spec"));
  return join(folder, `tsdask-mpi-${version}-1.${redHat}.rpm`);
}
