"""The kernel of a notebook that is executed: what is started, where its sockets are, and how it ended."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from contextlib import suppress
from typing import Any

from tsdask_mpi.run_kernel import KEEP_ALL

# The longest path that Linux takes for a unix socket is 107 bytes; the kernel's sockets add a few to their folder's.
LONGEST_FOLDER = 90
OWN_KERNEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run_kernel.py")


def sockets_folder() -> str:
    """
    Return a private folder for the kernel's sockets: inside the host's own folder, which somebody else removes should
    this be killed.
    """
    host = os.environ.pop("TSDASK_HOST_FOLDER", None)
    for place in (host, tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"):
        if place is None or len(os.fsencode(place)) > LONGEST_FOLDER - 12:
            continue
        with suppress(OSError):
            return tempfile.mkdtemp(prefix="nb-", dir=place)
    raise OSError(
        "no folder for the kernel's sockets: the temporary folders are not writable, or their paths are too long"
    )


def kernel_of(name: str | None, folder: str) -> tuple[Any, str]:
    """
    Return the manager of a kernel, its sockets in this folder, and the language that it speaks; raises LookupError for
    a name that is none.
    """
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
    from jupyter_client.manager import AsyncKernelManager

    class Specs(KernelSpecManager):
        """The kernel spec of this very Python, unless another one is asked for."""

        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            if name is not None:
                return super().get_kernel_spec(kernel_name)
            argv = [sys.executable, OWN_KERNEL, KEEP_ALL, "-f", "{connection_file}"]
            return KernelSpec(argv=argv, display_name="Python 3", language="python")

    specs = Specs()
    try:
        spec = specs.get_kernel_spec(name or "python3")
    except NoSuchKernel as error:
        known = ", ".join(sorted(specs.find_kernel_specs())) or "none"
        raise LookupError(f"there is no kernel named {name!r} for {sys.executable} (there are: {known})") from error
    manager = AsyncKernelManager(
        kernel_name=name or "python3",
        kernel_spec_manager=specs,
        transport="ipc",
        ip=os.path.join(folder, "k"),
        connection_file=os.path.join(folder, "kernel.json"),
    )
    return manager, spec.language


async def end_of(manager: Any) -> tuple[str, int]:
    """Return how a kernel ended, in words, and the exit code that goes with it."""
    status = None
    with suppress(Exception):
        status = await manager.provisioner.poll()
    if status is None:
        return "it does not answer", 1
    if status >= 0:
        return f"it exited with {status}", status or 1
    name = signal.Signals(-status).name
    hint = ", as the system does with what uses too much memory" if -status == signal.SIGKILL else ""
    return f"it was killed by {name}{hint}", 128 - status
