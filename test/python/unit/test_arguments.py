"""dask-mpi's arguments as our options."""

from __future__ import annotations

import json

import pytest
from tsdask_mpi.arguments import Refused, options


def words(**arguments: object) -> list[str]:
    return options(2, arguments)


def test_what_dask_mpi_leaves_open_is_said_as_it_means_it() -> None:
    said = words()
    assert "--memory-limit=0" in said
    assert "--nthreads=auto" in said
    assert json.loads(said[said.index("--worker-options") + 1]) == {"name": 2}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"protocol": "tcp"}, ["--security", "none"]),
        ({"dashboard": False}, ["--no-dashboard"]),
        ({"dashboard_address": ":9999"}, ["--dashboard-address=:9999"]),
        ({"exclusive_workers": False}, ["--inclusive-workers"]),
        ({"nanny": True}, ["--nanny"]),
        ({"worker_class": Refused}, ["--worker-class=tsdask_mpi.arguments.Refused"]),
        ({"interface": "ib0", "scheduler_port": 8786}, ["--interface=ib0", "--scheduler-port=8786"]),
    ],
)
def test_each_argument_has_its_option(arguments: dict[str, object], expected: list[str]) -> None:
    said = words(**arguments)
    assert [word for word in expected if word not in said] == []


def test_the_usual_dashboard_may_be_another_port() -> None:
    assert not any(word.startswith("--dashboard-address") for word in words(dashboard_address=":8787"))


def test_what_cannot_be_given_to_another_process_is_refused_with_a_cure() -> None:
    with pytest.raises(Refused, match=r"TSD-106 .* Use plain numbers"):
        words(worker_options={"resources": object()})
