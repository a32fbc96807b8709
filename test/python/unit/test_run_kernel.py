"""What a notebook's kernel waits for at the end of a cell."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tsdask_mpi import run_kernel


@contextmanager
def reader_of(taken: list[bytes], work: Callable[[], object]) -> Iterator[tuple[int, int]]:
    """A thread that does some work with what it has read: the pipe that it reads, and its id."""
    source, sink = os.pipe()

    def read() -> None:
        while data := os.read(source, 10):
            work()
            taken.append(data)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        assert thread.native_id is not None
        yield sink, thread.native_id
    finally:
        os.close(sink)
        thread.join()
        os.close(source)


def test_waits_until_all_is_read_and_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_kernel, "READ_WITHIN", 300)
    taken: list[bytes] = []
    with reader_of(taken, lambda: time.sleep(0.02)) as reader:
        for number in range(3):
            os.write(reader[0], b"fifteen letters")
            run_kernel.wait_for_readers([reader])
            assert b"".join(taken) == b"fifteen letters" * (number + 1)


def test_does_not_wait_where_nothing_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_kernel, "READ_WITHIN", 300)
    with reader_of([], lambda: None) as reader:
        run_kernel.wait_for_readers([reader])


def test_a_child_that_writes_without_end_holds_up_no_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_kernel, "READ_WITHIN", 0.05)
    taken: list[bytes] = []
    go_on = threading.Event()
    with reader_of(taken, go_on.wait) as reader:
        os.write(reader[0], b"twenty letters or so")
        run_kernel.wait_for_readers([reader])
        assert taken == []
        go_on.set()


def test_takes_streams_that_ipykernel_reads_only() -> None:
    class Stream:
        watch_fd_thread = threading.current_thread()

    [(pipe, thread)] = run_kernel.readers_of([object(), Stream()])
    assert os.path.sameopenfile(pipe, 2) and pipe != 2
    assert thread == threading.get_native_id()
    os.close(pipe)
