"""
Whether a child of the fork server would be held to the same limits as its rank: what the system grants hangs on the
cgroup.

A batch system may put each task in a leaf of its own (Slurm: …/step_0/user/task_3, src/plugins/cgroup/common). A leaf
without limits of its own grants what its parent grants, and the child may live in the leaf of the leader's task.
"""

from __future__ import annotations

import os
import re

LEAF = re.compile(r"/task_[0-9]+$")
DEVICES = (
    "CUDA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ZE_AFFINITY_MASK",
    "GPU_DEVICE_ORDINAL",
    "SLURM_STEP_GPUS",
)
LIMITS = ("memory.max", "memory.high", "cpu.max")
UNLIMITED = ("max", "")


def cgroups(pid: int | str) -> dict[str, str]:
    """
    Return a process's cgroup by controllers (an empty name for version 2); empty when it cannot be read (cgroups(7)).
    """
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            rows = (line.rstrip("\n").split(":", 2) for line in file)
            return {row[1]: row[2] for row in rows if len(row) == 3}
    except OSError:
        return {}


def difference(
    ours: dict[str, str], theirs: dict[str, str], env: dict[str, str], root: str = "/sys/fs/cgroup"
) -> str | None:
    """Return why a process in our cgroups would not do for a rank in its own, or None when it would."""
    if not theirs or ours == theirs:
        return None
    for controllers in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(controllers, ""), theirs.get(controllers, "")
        if one == other or controllers.startswith("name="):
            continue
        if not LEAF.search(other) or LEAF.sub("", one) != LEAF.sub("", other):
            return f"the rank is in cgroup {other}, the fork server in {one}"
        if controllers in ("devices", "cpuset"):
            return f"the rank has a {controllers} cgroup of its own, {other}"
        devices = [name for name in DEVICES if env.get(name)]
        if devices and controllers == "":
            return f"the rank is in cgroup {other} and has devices of its own ({devices[0]})"
        limit = _limit(os.path.join(root, other.lstrip("/"))) if controllers == "" else None
        if limit:
            return f"the rank's cgroup {other} has a limit of its own ({limit})"
    return None


def _limit(folder: str) -> str | None:
    for name in LIMITS:
        try:
            with open(os.path.join(folder, name), encoding="ascii") as file:
                value = file.read().strip()
        except OSError:
            continue
        if value.partition(" ")[0] not in UNLIMITED:
            return f"{name} {value}"
    return None
