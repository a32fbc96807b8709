"""The client that a script left open.

Relies on: distributed/client.py _close_global_client() closes the one that get_client() would give. Seen: 2022.12 to 2026.8.
"""

from __future__ import annotations

import sys


def close_left_open() -> None:
    """Close it, where the script has imported `distributed` at all."""
    client = sys.modules.get("distributed.client")
    if client is not None and hasattr(client, "_close_global_client"):
        client._close_global_client()
