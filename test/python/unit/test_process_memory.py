"""A worker's own part of its memory."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest
from tsdask_mpi.compat.process_memory import MEASURE_SECONDS, NEAR_SECONDS, OwnMemory, shared_part


class Process:
    """A process whose memory the test sets, in MiB of its own and shared ones, and a clock."""

    def __init__(self) -> None:
        self.own = 10
        self.shared = 50
        self.now = 0.0
        self.looks = 0

    def resident(self) -> int:
        return self.own + self.shared

    def measure(self) -> int:
        self.looks += 1
        return self.shared

    def clock(self) -> float:
        return self.now


def told(process: Process, limit: int) -> OwnMemory:
    return OwnMemory(process.resident, limit, process.measure, process.clock)


def test_shared_pages_do_not_count() -> None:
    process = Process()
    assert told(process, limit=75)() == 10


def test_growth_counts_at_once_and_far_from_the_limit_nothing_is_measured_again() -> None:
    process = Process()
    own = told(process, limit=1000)
    own()
    process.own = 200
    process.now = MEASURE_SECONDS / 2
    assert own() == 200
    assert process.looks == 1


def test_pages_that_have_become_its_own_count_after_the_next_measurement() -> None:
    process = Process()
    own = told(process, limit=1000)
    own()
    process.own, process.shared = 40, 20
    assert own() == 10
    process.now = MEASURE_SECONDS
    assert own() == 40


def test_near_the_limit_it_is_measured_sooner() -> None:
    process = Process()
    own = told(process, limit=75)
    own()
    process.own = 38
    process.now = NEAR_SECONDS
    own()
    assert process.looks == 2


def test_without_a_limit_there_is_nothing_to_be_near_to() -> None:
    process = Process()
    own = told(process, limit=0)
    for process.now in (0.0, 1.0, 2.0):
        own()
    assert process.looks == 1


def test_the_system_tells_what_is_shared(tmp_path: Path) -> None:
    rollup = tmp_path / "smaps_rollup"
    rollup.write_text("00400000-7ffd rollup\nRss:   64512 kB\nPss:   14512 kB\nPss_Anon:  9 kB\n")
    assert shared_part(str(rollup)) == 50_000 * 1024


@pytest.mark.parametrize("text", ["", "Rss: many kB\n", "Rss:\n"])
def test_a_system_that_does_not_tell_leaves_all_to_the_process(tmp_path: Path, text: str) -> None:
    rollup = tmp_path / "smaps_rollup"
    rollup.write_text(text)
    assert shared_part(str(rollup)) == 0
    assert shared_part(str(tmp_path / "none")) == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="Linux tells it from 4.14 on")
def test_memory_that_a_forked_child_shares_is_not_its_own() -> None:
    size = 32 * 2**20
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        block.write(b"x" * size)
        before = shared_part()
        child = os.fork()
        if child == 0:
            os._exit(0 if shared_part() - before >= size // 4 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
