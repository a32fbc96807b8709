"""A worker's own part of its memory."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest
from tsdask_mpi.compat.process_memory import MEASURE_SECONDS, NEAR_SECONDS, OwnMemory, Shared, shared_memory


class Process:
    """A process whose memory the test sets, in MiB of its own and shared ones, and a clock."""

    def __init__(self) -> None:
        self.own = 10
        self.shared = 50
        self.mapped = 0
        self.most = 60
        self.now = 0.0
        self.looks = 0

    def resident(self) -> int:
        return self.own + self.shared + self.mapped

    def measure(self) -> Shared:
        self.looks += 1
        return Shared(self.shared, self.mapped, self.most)

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


def test_what_a_task_forks_hides_nothing_of_a_worker() -> None:
    process = Process()
    own = told(process, limit=1000)
    assert own.settle() == 60
    process.own, process.shared, process.most = 200, 800, 990
    process.now = MEASURE_SECONDS
    assert own() == 940


def test_a_file_that_workers_map_later_counts_for_each_as_its_part() -> None:
    process = Process()
    own = told(process, limit=1000)
    own.settle()
    process.mapped = 450
    process.now = MEASURE_SECONDS
    assert own() == 10


def test_what_its_siblings_share_more_and_more_of_stays_off() -> None:
    process = Process()
    own = told(process, limit=1000)
    process.own, process.shared = 30, 30
    own.settle()
    process.own, process.shared = 2, 58
    process.now = MEASURE_SECONDS
    assert own() == 2


def test_without_a_limit_there_is_nothing_to_be_near_to() -> None:
    process = Process()
    own = told(process, limit=0)
    for process.now in (0.0, 1.0, 2.0):
        own()
    assert process.looks == 1


def test_the_system_tells_what_is_shared(tmp_path: Path) -> None:
    rollup = tmp_path / "smaps_rollup"
    rollup.write_text(
        "00400000-7ffd rollup\nRss:   64512 kB\nPss:   14512 kB\nPss_Dirty:  7 kB\n"
        "Shared_Clean:    20000 kB\nShared_Dirty:     40000 kB\n"
    )
    assert shared_memory(str(rollup)) == (50_000 * 1024, 0, 60_000 * 1024)
    with rollup.open("a") as more:
        more.write("Pss_Anon:  4000 kB\nAnonymous:   44000 kB\n")
    assert shared_memory(str(rollup)) == (40_000 * 1024, 10_000 * 1024, 44_000 * 1024)


@pytest.mark.parametrize("text", ["", "Rss: many kB\n", "Rss:\n"])
def test_a_system_that_does_not_tell_leaves_all_to_the_process(tmp_path: Path, text: str) -> None:
    rollup = tmp_path / "smaps_rollup"
    rollup.write_text(text)
    assert shared_memory(str(rollup)) == (0, 0, 0)
    assert shared_memory(str(tmp_path / "none")) == (0, 0, 0)


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="Linux tells it from 4.14 on")
def test_memory_that_a_forked_child_shares_is_not_its_own() -> None:
    size = 32 * 2**20
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        block.write(b"x" * size)
        before = shared_memory()
        child = os.fork()
        if child == 0:
            now = shared_memory()
            os._exit(0 if now.forked - before.forked >= size // 4 and now.most >= size else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
