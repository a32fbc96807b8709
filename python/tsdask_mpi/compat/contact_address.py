"""Has a Dask process be reached by its host's name instead of an address, so that a TLS proxy can route by SNI.

Relies on: distributed/comm/tcp.py BaseTCPListener.contact_address builds the address that others get from the socket's
own; Server.address, and with it what a scheduler and a worker tell of themselves, comes from it. Seen: 2022.12 to
2026.8.
"""

from __future__ import annotations

from tsdask_mpi.compat.names import lacking


def probe() -> str | None:
    """Say what is missing."""
    from distributed.comm import addressing, tcp

    return lacking("distributed.comm.tcp.BaseTCPListener", tcp.BaseTCPListener, "contact_address") or lacking(
        "distributed.comm.addressing", addressing, "unparse_host_port"
    )


def by_name(host: str | None) -> None:
    """Have every listener of this process name `host` in its contact address; None changes nothing."""
    if not host:
        return
    from distributed.comm.addressing import unparse_host_port
    from distributed.comm.tcp import BaseTCPListener

    def contact_address(self: BaseTCPListener) -> str:
        _, port = self.get_host_port()
        return str(self.prefix) + str(unparse_host_port(host, port))

    BaseTCPListener.contact_address = property(contact_address)
