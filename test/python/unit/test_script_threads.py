"""The moment at which a script has returned and threads of it still run."""

import subprocess
import sys

import pytest

TEXT = """
import atexit, threading, time
from tsdask_mpi.compat import script_threads
script_threads.while_waiting(lambda: print("waits", flush=True) or (lambda: print("over", flush=True)))
atexit.register(print, "exit")
if {threads}:
    threading.Thread(target=lambda: (time.sleep(0.3), print("thread", flush=True))).start()
print("returns", flush=True)
"""


@pytest.mark.parametrize(
    ("threads", "said"), [(True, ["returns", "waits", "thread", "over", "exit"]), (False, ["returns", "exit"])]
)
def test_what_is_told_ends_before_the_exit(threads: bool, said: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", TEXT.format(threads=threads)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == said
