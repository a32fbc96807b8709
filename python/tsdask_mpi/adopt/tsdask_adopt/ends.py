"""
How a script ends: a thread that keeps it is told of, and Dask's own noise is not.

Facts relied on:
- Lib/threading.py _shutdown (3.10 to 3.14): the interpreter calls it, by its name in the module, when the main thread has returned; it waits for
  all threads that are no daemons. proc(5), /proc/self/comm: a process may name itself, in 15 bytes.
- distributed/client.py AllExit: a `gather` that is interrupted leaves futures with it that nobody awaits, and asyncio logs each of them.
"""

import logging

#: What src/rank/input-wait.ts looks for in /proc/<pid>/comm.
RETURNED = "tsdask:returned"


def tell_of_threads():
    """Lets the rank see that the script has returned while a thread of it still runs: its process gets another name."""
    import threading

    original = getattr(threading, "_shutdown", None)
    if original is None:
        return

    def _shutdown():
        main = threading.main_thread()
        if any(not thread.daemon and thread is not main for thread in threading.enumerate()):
            try:
                with open("/proc/self/comm", "w") as file:
                    file.write(RETURNED)
            except OSError as error:
                logging.getLogger("tsdask_mpi").debug("the rank is not told that the script has returned: %s", error)
        original()

    threading._shutdown = _shutdown


def quieten_futures(client):
    """Leaves the futures of an interrupted `gather` out of asyncio's log: the script's own KeyboardInterrupt says it."""
    all_exit = getattr(client, "AllExit", None)
    if all_exit is None:
        return

    def wanted(record):
        return not (record.exc_info and isinstance(record.exc_info[1], all_exit))

    logging.getLogger("asyncio").addFilter(wanted)
