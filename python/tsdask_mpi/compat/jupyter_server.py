"""What Jupyter's own server does before it starts, for each request and for each kernel.

Relies on:
- jupyter_server/serverapp.py ServerApp.start() (notebook 6: NotebookApp.start()) comes after all configuration.
- jupyter_server/base/handlers.py JupyterHandler.prepare() comes before each request is answered.
- jupyter_core/paths.py jupyter_config_path() ends with SYSTEM_CONFIG_PATH: what stands there gives way to every setting
  of the user's.
- jupyter_core/paths.py jupyter_path() ends with SYSTEM_JUPYTER_PATH; JupyterLab takes its prebuilt extensions from
  jupyter_path("labextensions").
- jupyter_client/manager.py KernelManager.format_kernel_cmd() returns a kernel's command line; the kernel is started in
  the notebook's folder.
- jupyterlab/commands.py _yarn_config() runs yarn, which runs what a .yarnrc.yml in a folder above its own names.
Seen: jupyter_server 2.21, jupyter_client 8.10, JupyterLab 4.6.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def probe() -> str | None:
    """
    Say what is missing in those parts of Jupyter that are there, where the launch would not be private without it.
    """
    from tsdask_mpi.compat.names import lacking

    try:
        from jupyter_client.manager import KernelManager
    except ImportError:
        return None  # The module itself says what it lacks.
    absent = lacking("jupyter_client.manager.KernelManager", KernelManager, "format_kernel_cmd")
    for owner in _servers():
        absent = absent or lacking(f"{owner.__module__}.{owner.__name__}", owner, "start")
    return absent


def _servers() -> list[Any]:
    found = []
    for source, name in (("jupyter_server.serverapp", "ServerApp"), ("notebook.notebookapp", "NotebookApp")):
        try:
            found.append(getattr(__import__(source, fromlist=[name]), name))
        except ImportError:
            continue  # Notebook 6 has its own server, all others this one.
    return found


def before_start(action: Callable[[Any], None]) -> None:
    """Call `action` with a server when it has its configuration, its handlers and its port."""
    for owner in _servers():
        _before(owner, "start", action)


def before_request(action: Callable[[Any], None]) -> None:
    """Call `action` with the handler of each request."""
    from jupyter_server.base.handlers import JupyterHandler

    _before(JupyterHandler, "prepare", action)


def change_kernel_command(change: Callable[[list[str]], list[str]]) -> None:
    """Have `change` say a kernel's command line."""
    try:
        from jupyter_client.manager import KernelManager
    except ImportError:
        return  # The module itself says what it lacks.
    format_kernel_cmd = KernelManager.format_kernel_cmd

    @functools.wraps(format_kernel_cmd)
    def changed(self: Any, *args: Any, **kwargs: Any) -> list[str]:
        return change(format_kernel_cmd(self, *args, **kwargs))

    KernelManager.format_kernel_cmd = changed


def leave_yarn() -> None:
    """Have JupyterLab ask no yarn for its configuration."""
    try:
        from jupyterlab import commands
    except ImportError:
        return
    commands._yarn_config = lambda _: {"yarn config": {}, "npm config": {}}


def add_defaults(folder: str) -> None:
    """Have Jupyter read the configuration in a folder, behind all others."""
    from jupyter_core import paths

    paths.SYSTEM_CONFIG_PATH.append(folder)


def add_extensions(folder: str) -> None:
    """Have JupyterLab find the prebuilt extensions in a folder's labextensions/, behind all others."""
    from jupyter_core import paths

    paths.SYSTEM_JUPYTER_PATH.append(folder)


def _before(owner: Any, name: str, action: Callable[[Any], None]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        action(self)
        return original(self, *args, **kwargs)

    setattr(owner, name, wrapped)
