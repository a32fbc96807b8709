"""The HTTP server that Dask's nodes open, and what it answers.

Relies on:
- distributed/node.py start_http_server() makes `HTTPServer(self.http_application)` of the name HTTPServer in its own
  module, in the scheduler and in every worker. Seen: 2022.12 to 2026.8.
- tornado/http1connection.py: whatever answers a request calls write_headers(start_line, headers, chunk) of its
  connection. Seen: tornado 6.2 to 6.6.
"""

from __future__ import annotations

from typing import Any

from tsdask_mpi.compat.names import lacking, written_in


def probe() -> str | None:
    """Say what is missing."""
    import distributed.node
    from tornado.http1connection import HTTP1Connection

    absent = lacking("distributed.node", distributed.node, "HTTPServer")
    absent = absent or lacking("tornado.http1connection.HTTP1Connection", HTTP1Connection, "write_headers")
    used = "HTTPServer" in written_in(distributed.node.ServerNode.start_http_server)
    return absent or (None if used else "HTTPServer in distributed.node.ServerNode.start_http_server")


def replace(server: type) -> None:
    """
    Have every HTTP port of this process from now on be a `server`; raises RuntimeError where Dask opens it in another
    way.
    """
    import distributed.node

    absent = probe()
    if absent:
        raise RuntimeError(f"this release of distributed opens its HTTP port in another way: it has no {absent}")
    node: Any = distributed.node
    node.HTTPServer = server


def add_headers(connection: Any, added: dict[str, str]) -> None:
    """Add headers to what a connection answers to its present request."""
    write_headers = connection.write_headers

    def with_added(start_line: Any, headers: Any, chunk: bytes | None = None) -> Any:
        for name, value in added.items():
            headers.add(name, value)
        return write_headers(start_line, headers, chunk)

    connection.write_headers = with_added
