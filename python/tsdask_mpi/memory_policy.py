"""
Whether a child of the fork server would get its memory from the same NUMA nodes as its rank: a policy that a launcher
or `numactl` has set (numa(7)) is inherited by fork, and not to be set for another process.
"""

from __future__ import annotations

import re

# A line of numa_maps: an address, the policy (`default`, `bind:0`, `prefer (many):0-1`), and what is known of it.
POLICY = re.compile(r"[0-9a-f]+ (.*?)(?= \w+=| heap| stack| huge|$)")
# A line's beginning. The kernel walks the pages of each mapping that is read: it is to be no more than the first ones.
BYTES = 256


def policy(pid: int | str) -> str:
    """
    Return a process's memory policy; empty when it cannot be read. A mapping without one of its own, as its program
    is, shows the process's.
    """
    try:
        with open(f"/proc/{pid}/numa_maps", "rb", buffering=0) as file:
            line = file.read(BYTES).partition(b"\n")[0].decode("latin1")
    except OSError:
        return ""
    found = POLICY.match(line)
    return found[1] if found else ""


def difference(ours: str, rank: int) -> str | None:
    """Return why a process with our policy would not do for the process `rank`, or None when it would."""
    theirs = policy(rank) if ours else ""
    return f"the rank's memory policy is {theirs}, the fork server's {ours}" if theirs not in ("", ours) else None
