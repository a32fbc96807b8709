"""
Runs a Jupyter server in a folder of the launch's own: `serve_jupyter.py <module> <folder to show> [arguments…]`,
started by its path.

What others may write in the folder that people work in is not run: Python's start by path has no working folder on its
module path, the folder of this file is taken off it, and the server's own working folder is its private runtime folder
(JUPYTER_RUNTIME_DIR). Jupyter's helpers look there: configuration files (jupyter_core before 5.4), `node_modules` of
language servers (jupyter_lsp/types.py), modules of `python -m …`.

Facts relied on:
- jupyter_server/serverapp.py ServerApp.start_app() writes jpserver-<pid>.json when the port is open,
  and jpserver-<pid>-open.html, with the token, unless `no_browser_open_file`. notebook 6's NotebookApp has
  nbserver-<pid>.json.
- jupyter_server/auth/identity.py takes the token from JUPYTER_TOKEN; kernels and terminals inherit os.environ.
  The user's configuration goes before that variable, so that the token is set again when the server has it all.
  IdentityProvider names the cookie by `cookie_name` where that is set, and marks it Secure for a request over TLS.
- ServerApp.web_app has its handlers before start(); settings["base_url"] is what all paths begin with.
- distributed/utils.py format_dashboard_link() fills `distributed.dashboard.link` with str.format; a browser takes a
  link without a host for its page's own.
"""

import sys

if not getattr(sys.flags, "safe_path", False):
    del sys.path[0]

import hashlib
import itertools
import json
import os
import re
import runpy
import shutil
from collections.abc import Iterable
from typing import Any, NamedTuple

HIDDEN = "[hidden]"
IN_TEXT = re.compile(r"([?&]token=)[^&\s\"']+|(\b(?:bearer|token)\s+)[\w.~+/-]{16,}=*", re.IGNORECASE)
RUN_KERNEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run_kernel.py")
PYTHON_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# This package, for what is imported here; it is on the module path of nothing else.
sys.path.insert(0, PYTHON_ROOT)
try:
    from tsdask_mpi.compat import jupyter_server
finally:
    sys.path.remove(PYTHON_ROOT)

# In the runtime folder: the path of the dashboard on this server, when it serves it.
DASHBOARD_FILE = "dashboard"


class Dashboard(NamedTuple):
    """
    Where Dask's pages are, the token that opens them (empty without security), and the authority of their certificate
    (empty for plain HTTP).
    """

    url: str
    token: str
    ca_file: str


class Redacted:
    """A text stream that passes on what is written, without the token."""

    def __init__(self, stream: Any, token: str) -> None:
        self._stream = stream
        self._token = token

    def write(self, text: str) -> int:
        """Write text; a log record comes in one piece."""
        told = text.replace(self._token, HIDDEN) if self._token else text
        self._stream.write(IN_TEXT.sub(lambda found: (found[1] or found[2]) + HIDDEN, told))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """Return what the stream behind has: flush, fileno, encoding, …"""
        return getattr(self._stream, name)


def kernel_command(command: list[str]) -> list[str]:
    """
    Return a kernel's command line with ipykernel started by a path, not by `-m`, which looks in the working folder
    first. What leads elsewhere before (a container, ssh, a script) stays as it is: our path need not be there.
    """
    at = command.index("-m") if "-m" in command else 0
    if command[at + 1 : at + 2] != ["ipykernel_launcher"] or not _is_python_of_here(command[:at]):
        return command
    return [*command[:at], RUN_KERNEL, *command[at + 2 :]]


def _is_python_of_here(words: list[str]) -> bool:
    """Say whether a command line, as far as its `-m`, is a program of this host with options, and no script."""
    program = shutil.which(words[0]) if words else None
    options = itertools.pairwise(words)
    if program is None or not all(word.startswith("-") or before in ("-X", "-W") for before, word in options):
        return False
    try:
        with open(program, "rb") as file:
            return file.read(2) != b"#!"
    except OSError:
        return False


def _defaults(shown: str) -> None:
    """Have Jupyter show this folder unless the user's own configuration names another one."""
    folder = os.path.join(os.getcwd(), "config")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for name, value in (
        ("jupyter_server_config", {"ServerApp": {"root_dir": shown}}),
        ("jupyter_notebook_config", {"NotebookApp": {"notebook_dir": shown}}),
    ):
        with open(os.path.join(folder, f"{name}.json"), "w", encoding="utf-8") as file:
            json.dump(value, file)
    jupyter_server.add_defaults(folder)


def _dashboard_of(environment: Any) -> Dashboard | None:
    """Take out of the environment where Dask's pages are; None when there are none that this host reaches."""
    url = environment.pop("TSDASK_PAGES", "")
    token_file = environment.pop("TSDASK_PAGES_TOKEN_FILE", "")
    ca_file = environment.pop("TSDASK_PAGES_CA_FILE", "")
    if not url:
        return None
    if not token_file:
        return Dashboard(url, "", ca_file)
    with open(token_file, encoding="utf-8") as file:
        return Dashboard(url, file.read().strip(), ca_file)


def _serve_dashboard(server: Any, dashboard: Dashboard) -> None:
    """Have a server show Dask's pages, tell its kernels so, and leave the path for the rank to read."""
    sys.path.insert(0, PYTHON_ROOT)
    try:
        from tsdask_mpi import jupyter_pages
        from tsdask_mpi.compat import web_handlers
    finally:
        sys.path.remove(PYTHON_ROOT)
    if lacks := web_handlers.probe():
        print(f"tsdask-mpi: Dask's pages are not shown here: this version of tornado has no {lacks}", file=sys.stderr)
        return
    application = server.web_app
    path = jupyter_pages.serve(
        application, application.settings["base_url"], dashboard.url, dashboard.token, dashboard.ca_file
    )
    os.environ["DASK_DISTRIBUTED__DASHBOARD__LINK"] = path.replace("{", "{{").replace("}", "}}")
    if "dask.config" in sys.modules:  # An extension has loaded it, and what the environment said then.
        sys.modules["dask.config"].set({"distributed.dashboard.link": os.environ["DASK_DISTRIBUTED__DASHBOARD__LINK"]})
    with open(DASHBOARD_FILE, "w", encoding="utf-8") as file:
        file.write(path)


def _starts(server: Any, shown: str, dashboard: Dashboard | None) -> None:
    """
    Settle what is left when a server has its configuration and its port: no page with the token, no token for what it
    starts, and no other token than the launch's. A user's own configuration has one for another place, or none at all.
    """
    if dashboard is not None:
        _serve_dashboard(server, dashboard)
    server.no_browser_open_file = True
    _take_token(server, os.environ.pop("JUPYTER_TOKEN", ""))
    _bind_cookie(server)
    settings = getattr(getattr(server, "web_app", None), "settings", {})
    terminals = getattr(settings.get("terminal_manager"), "term_settings", None)
    if isinstance(terminals, dict):
        terminals.setdefault("cwd", getattr(server, "root_dir", shown))


def _take_token(server: Any, token: str) -> None:
    """Have a server ask for this token alone; nothing where there is none, as under a JupyterHub."""
    if not token:
        return
    holder = getattr(server, "identity_provider", None) or server
    if holder.token != token:
        print(
            "tsdask-mpi: the token in your Jupyter configuration is not used here: the launch's own is", file=sys.stderr
        )
    holder.token = token
    # Where the handlers of a login before jupyter_server 2.0 look.
    settings = getattr(getattr(server, "web_app", None), "settings", {})
    if "token" in settings:
        settings["token"] = token


def _bind_cookie(server: Any) -> None:
    """
    Over TLS, have the login cookie be one that only this host can have set and that no other page sends, unless the
    user has named it.
    """
    provider = getattr(server, "identity_provider", None)
    if not getattr(server, "certfile", "") or getattr(server, "base_url", "") != "/" or provider is None:
        return
    if not getattr(provider, "cookie_name", None):
        # Browsers share cookies between the ports of a host: one name for each launch, that of the token's digest.
        name = hashlib.sha256(b"tsdask-mpi jupyter cookie " + str(getattr(provider, "token", "")).encode()).hexdigest()
        provider.cookie_name = f"__Host-jupyter-{name[:12]}"
        provider.cookie_options = {"samesite": "Strict", **getattr(provider, "cookie_options", {})}


def _believe_proxy(handler: Any) -> None:
    """
    Take the host that a proxy was asked for as one's own: Jupyter compares a page's Origin with it. A page cannot set
    that header elsewhere.
    """
    host = handler.request.headers.get("X-Forwarded-Host", "").split(",")[0].strip()
    if host:
        handler.request.headers["Host"] = handler.request.host = host


def _attach(shown: str, dashboard: Dashboard | None) -> None:
    """
    Put what is ours before what Jupyter does; SystemExit where a release of Jupyter has no place for what keeps it
    private.
    """
    if lacks := jupyter_server.probe():
        sys.exit(
            f"tsdask-mpi: this release of Jupyter has no {lacks}, which keeps the server private: use an older one"
        )
    jupyter_server.change_kernel_command(kernel_command)
    jupyter_server.before_start(lambda server: _starts(server, shown, dashboard))
    if os.environ.pop("TSDASK_BEHIND_PROXY", ""):
        jupyter_server.before_request(_believe_proxy)
    # Also in a server without JupyterLab's name: where that is installed, it is one of its extensions.
    jupyter_server.leave_yarn()
    if dashboard is not None:
        jupyter_server.add_extensions(os.path.join(PYTHON_ROOT, "tsdask_mpi", "jupyterlab"))


def main() -> None:
    """Run the server that the arguments name."""
    module, shown = sys.argv[1:3]
    del sys.argv[1:3]
    os.chdir(os.environ["JUPYTER_RUNTIME_DIR"])
    adopting = sys.modules.get("tsdask_adopt.finder")
    if adopting is not None:
        # It is this program that has changed the folder, and no script.
        vars(adopting)["started_in"] = os.getcwd()
    token = os.environ.get("JUPYTER_TOKEN", "")
    sys.stdout, sys.stderr = Redacted(sys.stdout, token), Redacted(sys.stderr, token)
    _defaults(shown)
    _attach(shown, _dashboard_of(os.environ))
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
