"""Dask's Security from the files that a launch made, read once for all children of a fork server."""

from __future__ import annotations

from typing import Any

from distributed.security import Security

from tsdask_mpi.compat.tls_contexts import SharedSecurity, keep_own_context
from tsdask_mpi.contract import SecurityFiles


def security_of(files: SecurityFiles | None, shared: bool = True) -> Security:
    """
    Return a Security that demands TLS with these files (ca, cert, key) for every role; without files, that of Dask's
    configuration.

    Not `shared` when it is to be sent to another process.
    """
    if not files:
        return Security()
    keep_own_context()
    named: dict[str, Any] = {"tls_ca_file": files["ca"]}
    for role in ("client", "scheduler", "worker"):
        named[f"tls_{role}_cert"] = files["cert"]
        named[f"tls_{role}_key"] = files["key"]
    return (SharedSecurity if shared else Security)(require_encryption=True, **named)


def prepare(files: SecurityFiles | None) -> None:
    """Make the contexts for these files before a fork; what is wrong with them is left for the child to tell."""
    if not isinstance(files, dict):
        return
    try:
        security = security_of(files)
        security.get_connection_args("worker")
        security.get_listen_args("worker")
    except (OSError, KeyError, TypeError, ValueError):
        return
