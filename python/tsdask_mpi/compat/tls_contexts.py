"""The TLS contexts of Dask and tornado.

Relies on:
- distributed/security.py: Security makes one ssl.SSLContext for listening and one for connecting, in
  _get_tls_context(tls, purpose), whenever it is asked for its arguments, and nothing in a context changes after that;
  Security.__init__ checks its arguments against self.__slots__. Seen: 2022.12 to 2026.8.
- tornado/iostream.py: SSLIOStream(socket, ..., ssl_options=None) makes a context of the system's authorities (from 6.6
  on, 15 ms in the first connection that a process accepts), and uses it only for a socket that is not an ssl.SSLSocket
  yet. Seen: tornado 6.1 to 6.6.
"""

from __future__ import annotations

import functools
import ssl
from typing import Any

from distributed.security import Security
from tornado.iostream import SSLIOStream

from tsdask_mpi.compat.names import lacking

_contexts: dict[tuple[str, str], ssl.SSLContext] = {}


def probe() -> str | None:
    """Say what is missing."""
    return lacking("distributed.security.Security", Security, "_get_tls_context", "__slots__")


class SharedSecurity(Security):
    """A Security whose contexts are made once per process and kept over a fork."""

    __slots__ = getattr(Security, "__slots__", ())

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
    """
    Have tornado take an accepted connection's own context where it would make one that is never used; from now on, in
    this process.
    """
    original = SSLIOStream.__init__

    def with_own_context(stream: SSLIOStream, socket: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(socket, ssl.SSLSocket) and kwargs.get("ssl_options") is None:
            kwargs["ssl_options"] = socket.context
        original(stream, socket, *args, **kwargs)

    SSLIOStream.__init__ = with_own_context
