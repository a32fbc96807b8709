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
    script_threads.before_waiting(_take_name)


def _take_name():
    try:
        with open("/proc/self/comm", "w") as file:
            file.write(RETURNED)
    except OSError as error:
        logging.getLogger("tsdask_mpi").debug("the rank is not told that the script has returned: %s", error)
