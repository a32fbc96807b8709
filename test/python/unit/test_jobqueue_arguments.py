"""What dask-jobqueue's arguments, and those of its jobqueue.yaml, mean here."""

from __future__ import annotations

import pytest

dask = pytest.importorskip("dask")

from tsdask_mpi.jobqueue_arguments import from_yaml, translated  # noqa: E402


@pytest.mark.parametrize(
    ("system", "shebang", "setup"),
    [
        ("htcondor", "#!/usr/bin/env condor_submit", None),
        ("htcondor", "#!/bin/bash -l", ["source /etc/profile"]),
        ("slurm", "#!/usr/bin/env bash", None),
    ],
)
def test_shebang_of_the_yaml(system: str, shebang: str, setup: list[str] | None) -> None:
    """The yaml that dask-jobqueue installs has the first and the last."""
    with dask.config.set({f"jobqueue.{system}": {"shebang": shebang, "cores": 2, "memory": "2GB"}}):
        _, _, job = translated(system, "Cluster", from_yaml(system))
    assert job.get("setup") == setup


def test_directives_may_be_a_table() -> None:
    """As HTCondorCluster and its yaml have them."""
    given = {"cores": 1, "memory": "1GB", "job_extra_directives": {"+Group": '"x"', "priority": 3}}
    _, _, job = translated("htcondor", "Cluster", given)
    assert job["directive"] == ['+Group = "x"', "priority = 3"]
