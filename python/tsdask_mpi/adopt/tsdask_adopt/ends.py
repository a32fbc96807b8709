"""
How a script ends: a thread that keeps it is told of.

Facts relied on: proc(5), /proc/self/comm: a process may name itself, in 15 bytes.
"""

import logging

from .compat import script_threads

#: What src/rank/input-wait.ts looks for in /proc/<pid>/comm.
RETURNED = "tsdask:returned"


def tell_of_threads():
    """Lets the rank see that the script has returned while a thread of it still runs: its process gets another name."""
    script_threads.while_waiting(_take_name)


def _take_name():
    before = _name(RETURNED)
    # What runs at the interpreter's exit is no thread.
    return lambda: _name(before)


def _name(new):
    """Names this process, unless `new` is empty, and returns its name before."""
    try:
        with open("/proc/self/comm") as file:
            before = file.read().strip()
        if new:
            with open("/proc/self/comm", "w") as file:
                file.write(new)
        return before
    except OSError as error:
        logging.getLogger("tsdask_mpi").debug("the rank is not told that the script has returned: %s", error)
        return ""
