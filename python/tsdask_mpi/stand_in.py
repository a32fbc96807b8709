"""Stands for a script that runs already, where `tsdask-mpi` starts one: hands it the settings, and ends as it does.

`python stand_in.py`, with the name of the script's socket (unix(7), abstract) in TSDASK_STAND_IN. It imports no Dask.
"""

import json
import os
import signal
import socket
import struct
import sys

SOCKET = "TSDASK_STAND_IN"
TAKEN = ("DASK_", "TSDASK_SCHEDULER_FILE")
# Of a script that went without a word: killed, or ended by os._exit.
WITHOUT_A_WORD = 1


def settings(environment: "os._Environ[str]") -> dict[str, str]:
    """Return the variables that connect a plain `Client()`."""
    return {name: value for name, value in environment.items() if name.startswith(TAKEN)}


def main() -> int:
    """Connect, send the settings as one JSON line, wait for the script's exit code or its end, and return the code."""
    # What a launcher or a batch system sends reaches the script itself.
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    script = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    script.settimeout(10)
    script.connect("\0" + os.environ[SOCKET])
    script.settimeout(None)
    _, uid, _ = struct.unpack("3i", script.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    if uid != os.getuid():
        return WITHOUT_A_WORD

    def on_end(number: int, frame: object) -> None:
        script.send(b"end\n", socket.MSG_NOSIGNAL)

    # The cluster ends under the script, or the launch was asked to end: whoever waits here kills this process after its
    # grace.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_end)
    script.sendall(json.dumps(settings(os.environ)).encode() + b"\n")
    said = b""
    while piece := _receive(script):
        said += piece
    return json.loads(said)["code"] if said.endswith(b"\n") else WITHOUT_A_WORD


def _receive(script: socket.socket) -> bytes:
    try:
        return script.recv(4096)
    except ConnectionError:
        return b""


if __name__ == "__main__":
    sys.exit(main())
