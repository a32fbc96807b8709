"""Keeps what a Python process started for its cluster: when that process ends, in whatever way, nothing of it stays.

Started as `python -I -S keeper.py SPECIFICATION`, in a session of its own. Its standard input is a pipe of which the
process has the other end: end of file, or a word, means that the cluster was closed, garbage-collected, or that its
process is gone, killed or not.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

# Python's -I leaves out the folder that these modules are in.
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tsdask_mpi import linux
from tsdask_mpi.watchdog import remove_folder

# Seconds: between two looks at the launch; for its orderly end, and for each command that ends something else.
LOOK = 0.1
GRACE = 40.0
COMMAND = 90.0
# How often a folder is tried to be removed, a second apart: another host may still be about to leave it.
TRIES = 3


def main() -> None:
    """
    Run `command` of the specification until a word or the end of input; then those of `end`, and remove the folders of
    `remove`, each a path with its device and inode.
    """
    spec: dict[str, Any] = json.loads(sys.argv[1])
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: None)
    process = _start(spec)
    while not select.select([0], [], [], LOOK)[0]:
        if process is not None and process.poll() is not None:
            _tell(f"ended {process.returncode}\n")
            process = None
    if process is not None:
        _end(process)
    for command in spec.get("end", []):
        _run(command)
    for path, identity in spec.get("remove", []):
        _remove(path, identity)


def _start(spec: dict[str, Any]) -> subprocess.Popen[bytes] | None:
    if not spec.get("command"):
        return None
    keeper = os.getpid()

    def end_with_keeper() -> None:
        linux.die_with_parent(keeper, signal.SIGTERM)

    path = spec.get("log")
    # In a folder that a group shares, somebody may have put a link there.
    with open(path, "xb") if path else open(os.devnull, "wb") as log:
        # Without a log, what it complains of is for the process itself to show. Only this thread is there: what runs
        # between fork and exec disturbs nobody.
        return subprocess.Popen(
            spec["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log if path else None,
            preexec_fn=end_with_keeper,
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _run(command: list[str]) -> None:
    try:
        subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=COMMAND
        )
    except (OSError, subprocess.TimeoutExpired):
        # The next one, and the batch system's own limits, end what this did not.
        pass


def _remove(path: str, identity: list[int]) -> None:
    """Remove a folder of that device and inode; one that somebody has put in its place stays."""
    device, inode = identity
    for _ in range(TRIES):
        try:
            remove_folder(path, (device, inode))
            return
        except OSError:
            if not os.path.lexists(path):
                return
            time.sleep(1)


def _tell(text: str) -> None:
    try:
        os.write(1, text.encode())
    except OSError:
        # Who would read it is gone.
        pass


if __name__ == "__main__":
    main()
