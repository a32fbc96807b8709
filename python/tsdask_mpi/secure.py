"""Dask's Security from the files that a launch made."""

from __future__ import annotations

from typing import Any

from distributed.security import Security


def security_of(files: dict[str, str] | None) -> Security:
    """Return a Security that demands TLS with these files (ca, cert, key) for every role; without files, that of Dask's configuration."""
    if not files:
        return Security()
    pair: dict[str, Any] = {"tls_ca_file": files["ca"]}
    for role in ("client", "scheduler", "worker"):
        pair[f"tls_{role}_cert"] = files["cert"]
        pair[f"tls_{role}_key"] = files["key"]
    return Security(require_encryption=True, **pair)
