"""
Runs ipykernel as `python -m ipykernel_launcher` does, without having looked for modules in the working folder, and ends
a cell only when what it and its child processes wrote to the kernel's descriptors is read. Any Python 3 can run it.

IPython itself puts the working folder on the module path later, behind the standard library, for what the notebook
imports.
"""

import sys

if __name__ == "__main__" and not getattr(sys.flags, "safe_path", False):
    del sys.path[0]

import fcntl
import os
import struct
import termios
import time
from typing import Any

# What a child process of long life goes on to write does not hold up a cell for longer (seconds).
READ_WITHIN = 0.5
# The first argument where nothing that a cell puts out may be lost, however much of it waits to be read: what executes
# a notebook keeps all of it anyway. Beside JupyterLab a server that does not read would cost the kernel its memory.
KEEP_ALL = "--tsdask-keep-all"


def is_read(pipe: int, thread: int) -> bool:
    """
    Whether a pipe's reader, a thread of this process by its id, has taken all that was written and waits for more:
    then its call is one whose first argument is a descriptor of this pipe (`/proc/<pid>/task/<tid>/syscall`, see
    proc(5)). `pipe` is the end that is written to.
    """
    with open(f"/proc/self/task/{thread}/syscall") as file:
        if struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0] > 0:
            return False
        call = file.read().split()
    if len(call) < 2:
        return False  # it runs
    descriptor = int(call[1], 16)
    try:
        return descriptor != pipe and os.path.sameopenfile(descriptor, pipe)
    except (OSError, OverflowError):
        return False  # no descriptor: it waits for the interpreter


def wait_for_readers(readers: "list[tuple[int, int]]") -> None:
    """
    Wait until these readers, pairs of a pipe and a thread, have taken what was written: ipykernel's may get their turn
    only when a cell has ended, and what they then read is shown below another cell, or nowhere after the last one.
    """
    until = time.monotonic() + READ_WITHIN
    for pipe, thread in readers:
        while not is_read(pipe, thread) and time.monotonic() < until:
            time.sleep(0.001)


def readers_of(streams: "list[Any]") -> "list[tuple[int, int]]":
    """
    The pipe that each of ipykernel's streams has in place of a standard one, and the thread that reads it. The pipe's
    descriptor is a copy: a notebook may put something else in its place.
    """
    threads = [(number, getattr(stream, "watch_fd_thread", None)) for number, stream in enumerate(streams, 1)]
    ids = [(number, getattr(thread, "native_id", None)) for number, thread in threads]
    return [(os.dup(number), thread) for number, thread in ids if thread is not None]


def main() -> None:
    """Run the kernel that `sys.argv` describes, to its end."""
    import ipykernel_launcher
    from ipykernel.kernelapp import IPKernelApp

    class KeepingApp(IPKernelApp):
        """Queues what cells put out without an end; ZeroMQ drops what goes beyond a thousand messages."""

        def init_iopub(self, context: Any) -> None:
            context.sndhwm = 0
            super().init_iopub(context)

    keeps = sys.argv[1:2] == [KEEP_ALL]
    if keeps:
        del sys.argv[1]
    # By this name libraries see that they are in a notebook.
    sys.argv[0] = ipykernel_launcher.__file__
    app = (KeepingApp if keeps else IPKernelApp).instance()
    app.initialize()
    readers = readers_of([sys.stdout, sys.stderr])

    def after_cell() -> None:
        # Where the system does not tell, ipykernel's order stays.
        try:
            wait_for_readers(readers)
        except (OSError, ValueError):
            readers.clear()
        except KeyboardInterrupt:
            pass  # The cell is over.

    # A kernel class of the user's may have no shell.
    if app.shell is not None:
        app.shell.events.register("post_execute", after_cell)
    app.start()


if __name__ == "__main__":
    if sys.path and sys.path[0] == "":
        del sys.path[0]
    main()
