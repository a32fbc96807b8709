"""With which Security a script reaches a cluster that is not its launch's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tsdask_mpi.adopt.tsdask_adopt import notes

pytest.importorskip("distributed")

HERE = "tls://127.0.0.1:4711"
THERE = "127.0.0.1:8786"
LAUNCHS = {
    "distributed.comm.require-encryption": True,
    "distributed.comm.tls.ca-file": "ca.pem",
    "distributed.comm.tls.client.cert": "cert.pem",
    "distributed.comm.tls.client.key": "key.pem",
    "scheduler-address": HERE,
}


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import dask.config

    monkeypatch.setattr(notes, "settings", {"mode": "adopt"})
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CA_FILE", "ca.pem")
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", HERE)
    with dask.config.set(LAUNCHS):
        yield


def given(address: Any = None, file: Any = None) -> tuple[bool, str | None] | None:
    """Whether encryption is required then, and the key; None: as configured."""
    from tsdask_mpi.adopt.tsdask_adopt import other_clusters

    found = other_clusters.for_client(address, file)
    return None if found is None else (found.require_encryption, found.tls_client_key)


@pytest.mark.usefixtures("launch")
@pytest.mark.parametrize(
    ("address", "found"),
    [
        (f"tcp://{THERE}", (False, None)),
        (THERE, (False, None)),
        ("tcp://10.255.0.1:4711", (False, None)),
        (f"tls://{THERE}", None),
        (f"ucx://{THERE}", None),
        (HERE, None),
        # The launch's own port, by whichever name and without its TLS, stays refused.
        ("tcp://127.0.0.1:4711", None),
        ("localhost:4711", None),
        ("127.0.1.1:4711", None),
        (object(), None),
    ],
)
def test_an_address(address: Any, found: Any) -> None:
    assert given(address) == found


@pytest.mark.usefixtures("launch")
def test_a_file_and_the_setting(tmp_path: Path) -> None:
    import dask.config

    file = tmp_path / "scheduler.json"
    assert given(file=str(file)) == (False, "key.pem")  # not written yet
    for address, found in ((f"tcp://{THERE}", (False, None)), (HERE, None)):
        file.write_text(json.dumps({"address": address}))
        assert given(file=file) == found
        with dask.config.set({"scheduler-address": address}):
            assert given() == found


@pytest.mark.usefixtures("launch")
def test_what_the_user_requires_stays_required(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import dask.config

    for own in (
        {"distributed.comm.tls.ca-file": "mine.pem"},
        {"distributed.client.security-loader": "mine.load"},
        {"distributed.comm.require-encryption": None},
    ):
        with dask.config.set(own):
            assert given(THERE) is None
    assert given(THERE) is not None
    monkeypatch.setattr(notes, "settings", {"mode": "adopt", "encrypted": ""})
    assert given(THERE) is None
    monkeypatch.setattr(notes, "settings", {"mode": "adopt"})
    (tmp_path / "dask.yaml").write_text("distributed: {comm: {require-encryption: true}}")
    collect = dask.config.collect
    monkeypatch.setattr(dask.config, "collect", lambda env: collect([str(tmp_path)], env))
    assert given(THERE) is None


@pytest.mark.usefixtures("launch")
def test_an_own_cluster_over_tcp() -> None:
    from tsdask_mpi.adopt.tsdask_adopt import other_clusters

    assert [other_clusters.for_protocol(one) is None for one in ("tcp", "tcp://", None, "tls", "inproc")] == [
        False,
        False,
        True,
        True,
        True,
    ]
