"""
Clusters of the script's that are not this launch's, and speak tcp. The launch's variables have Dask require encryption
of the whole script; these are asked for by name, and get the requirement back only where the user's own configuration
has it. What tls:// addresses are reached with stays as it is configured.

Facts relied on:
- distributed/client.py: Client takes its address from `address`, else from `scheduler_file`, which it waits for, else
  from the setting scheduler-address. Where the setting client.security-loader names a function, that gives the Security
  for an address.
- distributed/comm/tcp.py: a tcp:// connection is refused with "encryption required" where Security.require_encryption.
"""

import json
import os
import socket

import dask.config
from distributed.comm import get_address_host_port, parse_address, resolve_address
from distributed.security import Security

from . import notes

_SETTING = "distributed.comm.require-encryption"
_FIELDS = [
    "tls_ca_file",
    *(f"tls_{end}_{part}" for end in ("client", "scheduler", "worker") for part in ("cert", "key")),
]


def unencrypted():
    """A Security for tcp:// that has none of the launch's files."""
    return Security(require_encryption=False, **dict.fromkeys(_FIELDS))


def for_protocol(protocol):
    """The Security for an own cluster that is asked to speak `protocol`; None: as configured."""
    tcp = isinstance(protocol, str) and protocol.partition("://")[0] == "tcp"
    return unencrypted() if tcp and _required_by_launch() else None


def for_client(address, scheduler_file):
    """The Security for a client of another's cluster; None: as configured."""
    if not _required_by_launch() or dask.config.get("distributed.client.security-loader", None):
        return None
    if address is None and scheduler_file is not None:
        try:
            with open(scheduler_file) as file:
                address = json.load(file)["address"]
        except (OSError, ValueError, KeyError, TypeError):
            # Not written yet: it may turn out to be of either kind.
            return Security(require_encryption=False)
    if address is None:
        address = dask.config.get("scheduler-address", None)
    if not isinstance(address, str) or parse_address(address)[0] != "tcp" or _is_launchs(address):
        return None
    return unencrypted()


def _required_by_launch():
    """Whether it is the launch's variables alone that require encryption."""
    if not dask.config.get(_SETTING, None) or "encrypted" in notes.settings:
        return False
    authority = os.environ.get("DASK_DISTRIBUTED__COMM__TLS__CA_FILE")
    if authority is None or dask.config.get("distributed.comm.tls.ca-file", None) != authority:
        return False
    return not dask.config.get(_SETTING, None, config=dask.config.collect(env={}))


def _is_launchs(address):
    """Whether the launch's own scheduler, which speaks TLS only, listens there."""
    here = os.environ.get("DASK_SCHEDULER_ADDRESS", "")
    try:
        if get_address_host_port(address)[1] != get_address_host_port(here)[1]:
            return False
        host, own = (get_address_host_port(resolve_address(one))[0] for one in (address, here))
    except (OSError, ValueError):
        return False
    return host == own or (_is_of_host(host) and _is_of_host(own))


def _is_of_host(address):
    """Whether this host has the address: whatever it is called here, the port is the same scheduler's."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as own:
            own.bind((address, 0))
    except OSError:
        return False
    return True
