"""Entry of a host's fork server: `python forkserver.py`, its configuration one JSON line on stdin.

This file alone must run under an old Python, to say that it is too old; all else is in `serve.py`.
"""

import json
import os
import signal
import sys


def main() -> None:
    """Check the Python, make the package importable, and serve."""
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)  # before anything else: a signal that ends the rank's group must leave who cleans up after it
    # A batch system sends its signals to every process of a job: the leader hears them too, and says when this one is
    # to end.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    if sys.version_info < (3, 10):
        sys.stdin.readline()
        version = ".".join(str(part) for part in sys.version_info[:3])
        event = {
            "event": "failed",
            "reason": "old-python",
            "python": version,
            "executable": sys.executable,
            "message": "Python %s is too old: 3.10 or newer is needed" % version,
        }
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
        sys.exit(1)
    here = os.path.dirname(os.path.abspath(__file__))
    root = os.path.dirname(here)
    # This package, not one of another version in site-packages; afterwards the user's folders come first again.
    sys.path[:] = [root] + [path for path in sys.path if path not in (here, root)]
    import tsdask_mpi  # noqa: F401

    sys.path[:] = [*sys.path[1:], root]
    write_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    try:
        from tsdask_mpi.serve import serve
    except Exception as error:
        say_broken(error)

    sys.dont_write_bytecode = write_bytecode
    serve()


def say_broken(error: Exception) -> None:
    """Tell the leader, in one line, why this Python cannot even run the server: its library is not its own."""
    from tsdask_mpi.diagnosis import explain

    kind, what = explain(error)
    event = {"event": "failed", "reason": kind, "executable": sys.executable, "message": what}
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()
    sys.exit(1)


if __name__ == "__main__":
    main()
