"""
A colleague with bad intent, run as another user, `planter.py <order as JSON>`: puts something at a path, or renames
there in a loop.

Says `planted`, or the name of the error that kept him from it. A loop goes on until it is ended, at most 60 s.
"""

import ctypes
import json
import os
import socket
import sys
import threading
import time

RENAME_EXCHANGE = 2
AT_FDCWD = -100


def evil(ran: str) -> bytes:
    """
    Return a text that a shell, Python and whoever believes JSON or YAML of it would act on: it tells of itself in
    `ran`.
    """
    return f"#!/bin/sh\n'''exec' touch {ran}-sh # '''\nopen({ran!r}, 'w').close()\n".encode()


def put(order: dict) -> None:
    """Put it there, in place of what stood there where that may be moved."""
    path, kind = order["path"], order["kind"]
    if os.path.lexists(path):
        os.rename(path, f"{path}.moved")
    if kind == "file":
        with open(path, "xb") as file:
            file.write(evil(order["ran"]))
        os.chmod(path, 0o777)
    elif kind == "link":
        os.symlink(order["precious"], path)
    elif kind == "endless":
        os.symlink("/dev/zero", path)
    elif kind == "pipe":
        os.mkfifo(path)
        os.chmod(path, 0o666)
    elif kind == "folder":
        os.mkdir(path)
        os.chmod(path, 0o777)
        with open(os.path.join(path, "thing"), "xb") as file:
            file.write(evil(order["ran"]))
    elif kind == "huge":
        with open(path, "xb") as file:
            file.truncate(1 << 40)
        os.chmod(path, 0o666)


def swap(order: dict) -> None:
    """Exchange what stands at the path and something else, as fast as it goes, until he is ended."""
    libc = ctypes.CDLL(None, use_errno=True)
    one, other = os.fsencode(order["path"]), os.fsencode(order["other"])
    until = time.monotonic() + 60
    while time.monotonic() < until:
        libc.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE)
        time.sleep(order["pause"])


def race(order: dict) -> None:
    """
    Stand where the ranks of a host meet, in a folder that looks like the user's own whenever it is looked at in the
    right moment.
    """
    base = os.path.dirname(order["path"])
    os.mkdir(base)
    os.mkdir(order["path"])
    os.chmod(base, 0o755)
    os.chmod(order["path"], 0o777)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.join(order["path"], "host.sock"))
    os.chmod(os.path.join(order["path"], "host.sock"), 0o777)
    listener.listen(64)
    os.symlink(order["bait"], f"{base}.other")
    print("planted", flush=True)
    threading.Thread(target=swap, args=({**order, "path": base, "other": f"{base}.other"},), daemon=True).start()
    listener.settimeout(60)
    listener.accept()
    with open(order["ran"], "w") as file:
        file.write("visited")


order = json.loads(sys.argv[1])
try:
    os.umask(0)
    if order["kind"] == "race":
        race(order)
    elif order["kind"] == "swap":
        print("planted", flush=True)
        swap(order)
    else:
        put(order)
        print("planted", flush=True)
except OSError as error:
    print(type(error).__name__, flush=True)
