"""At which part of its limit a rank ends its worker for its memory."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

distributed = pytest.importorskip("distributed")


@pytest.mark.parametrize(("limit", "ends"), [(10**9, True), (None, False), (0, False)])
def test_a_worker_that_has_no_limit_is_not_ended_for_it(limit: int | None, ends: bool) -> None:
    from tsdask_mpi.worker import terminate_fraction

    class Own(distributed.Worker):  # type: ignore[misc]
        def __init__(self) -> None:
            self.memory_manager = SimpleNamespace(memory_limit=limit)

        def __del__(self) -> None:
            pass

    assert (terminate_fraction(Own()) is not False) == ends


def test_a_nanny_ends_its_worker_itself() -> None:
    from tsdask_mpi.worker import terminate_fraction

    nanny = distributed.Nanny.__new__(distributed.Nanny)
    assert terminate_fraction(nanny) is False
