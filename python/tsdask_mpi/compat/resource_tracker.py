"""The process that removes shared memory and semaphores once nobody holds them any more.

Relies on:
- multiprocessing/resource_tracker.py starts it as `python … -c 'from multiprocessing.resource_tracker import
  main;main(FD)'`, and loky, which has it from there, with its own module's name before `resource_tracker`. Seen:
  CPython 3.10 to 3.14.
- Its main() ignores SIGTERM and SIGINT, and ends once the last process that holds its pipe has ended.
src/rank/child.ts isTracker() relies on the same text.
"""

from __future__ import annotations

from tsdask_mpi.compat.names import written_in

COMMAND = "resource_tracker import main"


def probe() -> str | None:
    """Say what is missing."""
    from multiprocessing.resource_tracker import ResourceTracker

    there = any(COMMAND in text for text in written_in(ResourceTracker))
    return None if there else f"the words '{COMMAND}' in multiprocessing.resource_tracker.ResourceTracker"


def is_tracker(pid: int) -> bool:
    """
    Whether a process is a resource tracker of multiprocessing, or of loky: it cleans up after the others, and nobody
    else would.
    """
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return COMMAND.encode() in file.read()
    except OSError:
        return False
