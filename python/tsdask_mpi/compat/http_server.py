"""The HTTP server that Dask's nodes open.

Relies on: distributed/node.py start_http_server() makes `HTTPServer(self.http_application)` of the name HTTPServer in its own module, in the
scheduler and in every worker. Seen: 2022.12 to 2026.8.
"""

from __future__ import annotations

from typing import Any

from tsdask_mpi.compat.names import lacking, written_in


def probe() -> str | None:
    """Say what is missing."""
    import distributed.node

    absent = lacking("distributed.node", distributed.node, "HTTPServer")
    used = "HTTPServer" in written_in(distributed.node.ServerNode.start_http_server)
    return absent or (None if used else "HTTPServer in distributed.node.ServerNode.start_http_server")


def replace(server: type) -> None:
    """Have every HTTP port of this process from now on be a `server`; raises RuntimeError where Dask opens it in another way."""
    import distributed.node

    node: Any = distributed.node
    if not hasattr(node, "HTTPServer"):
        raise RuntimeError("this version of distributed opens its HTTP port in a way that the token gate does not know")
    node.HTTPServer = server
