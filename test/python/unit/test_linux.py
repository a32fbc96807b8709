"""What a process that a task forks does at signals."""

import subprocess
import sys

import pytest

# A hook that was registered before ours runs before it: in the middle of the fork, as it were.
_PROGRAM = """
import os, signal, sys
from tsdask_mpi import linux
number = signal.Signals[sys.argv[1]]
for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, lambda *_: None)
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), number))
linux.be_usual_in_forks()
child = os.fork()
if child == 0:
    os._exit(3)
status = os.waitpid(child, 0)[1]
assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == number, status
assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
os.kill(os.getpid(), number)
print("lives")
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_in_the_middle_of_a_fork_ends_the_child_alone(name: str) -> None:
    ended = subprocess.run([sys.executable, "-c", _PROGRAM, name], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("lives\n", "", 0)
