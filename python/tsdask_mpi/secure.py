"""Dask's Security from the files that a launch made, read once for all children of a fork server.

Facts relied on:
- distributed/security.py: Security makes one ssl.SSLContext for listening and one for connecting, in _get_tls_context(tls, purpose),
  whenever it is asked for its arguments, and nothing in a context changes after that; Security.__init__ checks its arguments against
  self.__slots__.
- tornado/iostream.py: SSLIOStream(socket, ..., ssl_options=None) makes a context of the system's authorities (from 6.6 on, 15 ms in the
  first connection that a process accepts), and uses it only for a socket that is not an ssl.SSLSocket yet.
"""

from __future__ import annotations

import functools
import ssl
from typing import Any

from distributed.security import Security
from tornado.iostream import SSLIOStream

_contexts: dict[tuple[str, str], ssl.SSLContext] = {}


class SharedSecurity(Security):
    """A Security whose contexts are made once per process and kept over a fork."""

    __slots__ = Security.__slots__

    def _get_tls_context(self, tls: dict[str, Any], purpose: ssl.Purpose) -> ssl.SSLContext | None:
        key = (repr(sorted(tls.items(), key=str)), purpose.name)
        if key not in _contexts:
            context = super()._get_tls_context(tls, purpose)
            if context is None:
                return None
            _contexts[key] = context
        return _contexts[key]


@functools.cache
def keep_own_context() -> None:
    """Have tornado take an accepted connection's own context where it would make one that is never used; from now on, in this process."""
    original = SSLIOStream.__init__

    def with_own_context(stream: SSLIOStream, socket: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(socket, ssl.SSLSocket) and kwargs.get("ssl_options") is None:
            kwargs["ssl_options"] = socket.context
        original(stream, socket, *args, **kwargs)

    SSLIOStream.__init__ = with_own_context


def security_of(files: dict[str, str] | None, shared: bool = True) -> Security:
    """Return a Security that demands TLS with these files (ca, cert, key) for every role; without files, that of Dask's configuration.

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


def prepare(files: object) -> None:
    """Make the contexts for these files before a fork; what is wrong with them is left for the child to tell."""
    if not isinstance(files, dict):
        return
    try:
        security = security_of(files)
        security.get_connection_args("worker")
        security.get_listen_args("worker")
    except (OSError, KeyError, TypeError, ValueError):
        return
