"""What a script's client says, and how it is closed at the interpreter's exit."""

import subprocess
import sys

SCRIPT = """
import atexit, sys, types
from tsdask_mpi.compat import clients

module = types.SimpleNamespace()

def close():
    print("closing", flush=True)
    raise KeyboardInterrupt

module._close_global_client = close
atexit.register(close)
clients.close_quietly_at_exit(module)
sys.exit(7)
"""


def test_an_interrupt_while_the_client_is_closed_is_not_told_as_a_traceback() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "closing\n", "")


LOGS = """
import logging, types
from tsdask_mpi.compat import clients

logging.basicConfig(format="%(message)s", level=logging.INFO)
clients.quieten_lost(types.SimpleNamespace(AllExit=KeyError))
logger = logging.getLogger("distributed.batched")
try:
    raise OSError("closed")
except OSError:
    logger.info("Batched Comm Closed", exc_info=True)
    logger.error("Error in batched write", exc_info=True)
"""


def test_a_connection_that_closed_is_logged_without_its_traceback_and_an_error_with_it() -> None:
    ended = subprocess.run([sys.executable, "-c", LOGS], capture_output=True, text=True, check=False)
    assert ended.stderr.startswith("Batched Comm Closed\nError in batched write\nTraceback")
