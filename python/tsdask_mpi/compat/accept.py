"""How tornado accepts connections, and when a connection of Dask's has proved itself.

Relies on:
- tornado/tcpserver.py add_sockets() calls `add_accept_handler(socket, self._handle_connection)` of its own module's
  name for every listening socket, and gets a function that takes the handler away; tornado/netutil.py
  add_accept_handler() lets accept's OSError (no descriptor left) reach the event loop, which logs it with a traceback
  and tries again at once. Seen: tornado 6.1 to 6.6.
- distributed/comm/tcp.py BaseTCPListener._handle_stream(stream, address) awaits the TLS handshake, then
  self.on_connection(comm) (Dask's own handshake), then serves the comm until it closes; the stream of a comm is
  comm.stream. TCPServer.handle_stream is that bound method. Seen: 2022.12 to 2026.8.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tsdask_mpi.compat.names import lacking


def probe() -> str | None:
    """Say what is missing."""
    import tornado.tcpserver
    from distributed.comm import tcp

    listener: Any = getattr(tcp, "BaseTCPListener", None)
    return lacking("distributed.comm.tcp.BaseTCPListener", listener, "_handle_stream", "on_connection") or lacking(
        "tornado.tcpserver", tornado.tcpserver, "add_accept_handler"
    )


def is_listener_of(server: object) -> bool:
    """Tell whether a tornado server accepts for one of Dask's listeners."""
    from distributed.comm.tcp import BaseTCPListener

    return isinstance(getattr(getattr(server, "handle_stream", None), "__self__", None), BaseTCPListener)


def watch_connections(enter: Callable[[Any], None], leave: Callable[[Any], None], accept: Any) -> None:
    """
    Call `enter` with the stream that comes, `leave` with the one that proved itself or closed, and accept by `accept`;
    from now on, in this process.
    """
    import tornado.tcpserver
    from distributed.comm import tcp

    listener: Any = tcp.BaseTCPListener
    handle_stream = listener._handle_stream
    on_connection = listener.on_connection

    @functools.wraps(handle_stream)
    async def through_gate(self: Any, stream: Any, address: Any) -> None:
        enter(stream)
        try:
            await handle_stream(self, stream, address)
        finally:
            leave(stream)

    @functools.wraps(on_connection)
    async def proved(self: Any, comm: Any, *args: Any, **kwargs: Any) -> Any:
        result = await on_connection(self, comm, *args, **kwargs)
        leave(getattr(comm, "stream", None))
        return result

    listener._handle_stream = through_gate
    listener.on_connection = proved
    tornado.tcpserver.add_accept_handler = accept
