"""Serves Dask's pages under Jupyter's own address, behind Jupyter's own login: one port, one link, one token.

`<base URL>tsdask/…` is what the scheduler serves by HTTP and WebSocket, `<base URL>tsdask/proxy/<port>/<host>/…` what a
worker of its serves. Jupyter has authenticated the browser; what opens the pages is added here, so that it never
reaches the browser. It is the pages' own cookie, not the token, which opens Jupyter as well, and it goes to nobody who
has not proved to be one of this launch's processes: the port of a scheduler or worker that has died is anybody's.

Facts relied on:
- jupyter_server/base/handlers.py JupyterHandler.prepare() authenticates (Hub, token, password); before 2.0
  `web.authenticated` does it on each method.
- jupyter_server/base/handlers.py APIHandler answers an error as JSON, its `message` the text of the HTTPError, and 403
  in place of a login page; it counts as activity.
- jupyter_server/base/websocket.py WebSocketMixin.check_origin() refuses pages of other origins; its prepare() answers
  403 in place of a login page.
- distributed/http/scheduler/json.py serves the scheduler's identity at json/identity.json, with each worker's host and
  ports; distributed/http/templates/worker-table.html links to `../../proxy/<port>/<host>/status`.
- Bokeh's pages and Dask's name everything relative to where they are, but redirections, which begin at the scheduler's
  root.
- dask_labextension/__init__.py shows a cluster of its manager at `<base URL>dask/dashboard/<cluster id>/…`, from where
  its `dashboard_link` leads to; its clusters here are handles on this launch (tsdask_adopt), whose link is relative.
- Bokeh's WebSocket has the session's token as its second subprotocol, and wants the first one accepted
  (bokeh/server/views/ws.py).
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import re
import secrets
import socket
import ssl
import sys
from typing import Any
from urllib.parse import urlsplit

from tornado import httpclient, httputil, routing, web, websocket
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from tsdask_mpi.compat import web_handlers
from tsdask_mpi.pages_access import PROOF_FOLDER, cookie_of, proof_of

try:
    from jupyter_server.base.handlers import APIHandler, JupyterHandler
    from jupyter_server.base.websocket import WebSocketMixin
except ImportError:
    try:
        from jupyter_server.base.handlers import APIHandler, JupyterHandler
        from jupyter_server.base.zmqhandlers import WebSocketMixin
    except ImportError:
        from notebook.base.handlers import APIHandler
        from notebook.base.handlers import IPythonHandler as JupyterHandler
        from notebook.base.zmqhandlers import WebSocketMixin

FOLDER = "tsdask"
FIRST_PAGE = "status"
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
MOST_BYTES = 256 * 1024 * 1024
MOST_REQUESTS = 200

WORKER = re.compile(r"proxy/(\d{1,5})/([\w.:%-]+)/(.*)", re.DOTALL)
# What a browser says of itself and of what it holds already. Its cookies and credentials are Jupyter's, and stay there.
PASSED_ON = (
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Host",
    "If-Modified-Since",
    "If-None-Match",
    "Range",
    "User-Agent",
)
# What belongs to one connection (RFC 9110, section 7.6.1), what tornado sets itself, and cookies of the pages' own
# gate.
DROPPED = {
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "server",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


class Pages:
    """Where this launch's pages are, and what opens them."""

    def __init__(self, url: str, token: str, ca_file: str = "") -> None:
        self.url = url.rstrip("/")
        self._token = token
        self.tls = trusting(ca_file) if ca_file else None
        self._workers: set[tuple[str, int]] = set()
        self._client: Any = None

    def credentials(self) -> dict[str, str]:
        """Return the header that opens the pages; empty for a cluster without security."""
        if not self._token:
            return {}
        name, value = cookie_of(self._token, secure=self.url.startswith("https:"))
        return {"Cookie": f"{name}={value}"}

    async def prove(self, url: str) -> None:
        """Ask whoever listens where a URL leads to for a proof of the launch. Raises HTTPError (502) without it."""
        if not self._token:
            return
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        nonce = secrets.token_hex(16)
        # Redirections are not followed: they would be somebody else's word.
        scheme = parts.scheme.replace("ws", "http")
        answer = await self._ask(f"{scheme}://{parts.netloc}{PROOF_FOLDER}{nonce}", headers={})
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        proofs = {proof_of(self._token, str(where[0]), port, nonce) for *_, where in found}
        given = (answer.body or b"").decode("latin-1")
        if not any(hmac.compare_digest(given.encode(), proof.encode()) for proof in proofs):
            raise web.HTTPError(502, f"What listens at {parts.netloc} is not of this cluster: has it ended?")

    async def fetch(self, url: str, method: str = "GET", headers: dict[str, str] | None = None) -> Any:
        """
        Ask for one page; a status that is no success is an answer as well. Raises HTTPError (502) when nothing answers,
        or somebody who is not of this launch.
        """
        await self.prove(url)
        return await self._ask(url, method, {**(headers or {}), **self.credentials()})

    async def _ask(self, url: str, method: str = "GET", headers: dict[str, str] | None = None) -> Any:
        if self._client is None:
            self._client = SimpleAsyncHTTPClient(
                force_instance=True, max_clients=MOST_REQUESTS, max_body_size=MOST_BYTES, max_buffer_size=MOST_BYTES
            )
        request = httpclient.HTTPRequest(
            url,
            method=method,
            headers=headers,
            follow_redirects=False,
            decompress_response=False,
            connect_timeout=CONNECT_SECONDS,
            request_timeout=ANSWER_SECONDS,
            ssl_options=self.tls,
        )
        try:
            return await self._client.fetch(request, raise_error=False)
        except (OSError, httpclient.HTTPError) as error:
            raise silent(url, error) from None

    async def locate(self, path: str) -> tuple[str, str]:
        """
        Return where a path of ours leads to: the URL, and that of its server. Raises HTTPError (404) for what is no
        worker of this cluster.
        """
        found = WORKER.fullmatch(path)
        if found is None:
            return f"{self.url}/{path}", self.url
        port, host = int(found[1]), found[2]
        # Whoever is named in a link must not get the token: only who is in the cluster does.
        if (host, port) not in self._workers:
            self._workers = await self._known_workers()
        if (host, port) not in self._workers:
            raise web.HTTPError(404, f"{host}:{port} is no worker of this cluster")
        server = f"{urlsplit(self.url).scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        return f"{server}/{found[3]}", server

    async def _known_workers(self) -> set[tuple[str, int]]:
        answer = await self.fetch(f"{self.url}/json/identity.json")
        try:
            workers = json.loads(answer.body or b"{}").get("workers", {}).values()
            return {(worker["host"], worker["services"]["dashboard"]) for worker in workers if worker.get("services")}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise silent(self.url, error) from None


def trusting(ca_file: str) -> ssl.SSLContext:
    """
    Return a context that takes whoever has a certificate of that authority, whatever its name: Dask's own connections
    do so, too.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.check_hostname = False
    return context


def silent(url: str, error: Exception) -> web.HTTPError:
    """Return the error for pages that do not answer."""
    parts = urlsplit(url)
    return web.HTTPError(
        502, f"Dask's pages do not answer at {parts.scheme}://{parts.netloc}: {type(error).__name__}: {error}"
    )


def elsewhere(location: str, server: str, own: str) -> str:
    """
    Return a redirection as the browser needs it: what begins at the server's root begins at `own`, the place that
    stands for it.
    """
    parts, root = urlsplit(location), urlsplit(server)
    if parts.netloc not in ("", root.netloc) or (not parts.netloc and not parts.path.startswith("/")):
        return location
    path = parts.path[len(root.path) :] if parts.path.startswith(root.path) else parts.path
    return own + path.lstrip("/") + (f"?{parts.query}" if parts.query else "")


class Placed:
    """A handler below a path that stands for the scheduler's root."""

    request: httputil.HTTPServerRequest

    def initialize(self, pages: Pages, place: re.Pattern[str]) -> None:
        """Take the cluster's pages, and what the path below which they are shown looks like."""
        self.pages = pages
        # As it came: addresses of workers are escaped in it.
        parts: Any = place.fullmatch(self.request.path)
        self.own, self.rest = parts.groups()


class Page(Placed, JupyterHandler):
    """One page, script, style sheet or set of data."""

    @web.authenticated  # type: ignore[untyped-decorator]
    async def get(self, *_: str) -> None:
        """Answer with what Dask answers."""
        url, server = await self.pages.locate(self.rest)
        query = f"?{self.request.query}" if self.request.query else ""
        headers = {name: self.request.headers[name] for name in PASSED_ON if name in self.request.headers}
        answer = await self.pages.fetch(url + without_token(query), self.request.method or "GET", headers)
        if answer.code == 599:
            raise silent(url, answer.error)
        self.set_status(answer.code, answer.reason)
        self.clear_header("Content-Type")
        for name, value in answer.headers.get_all():
            if name.lower() == "location":
                self.set_header(name, elsewhere(value, server, self._shown()))
            elif name.lower() == "content-security-policy":
                self.set_header(name, f"{value}; frame-ancestors 'self'")
            elif name.lower() not in DROPPED:
                self.set_header(name, value)
        if self.request.method == "GET" and answer.body and answer.code not in (204, 304):
            self.write(answer.body)
        self.finish()

    head = get

    def compute_etag(self) -> None:
        """Leave the tag to Dask."""

    def _shown(self) -> str:
        found = WORKER.fullmatch(self.rest)
        return self.own if found is None else f"{self.own}proxy/{found[1]}/{found[2]}/"


def without_token(query: str) -> str:
    """Return a query without Jupyter's token, which a link from outside brings along."""
    kept = [part for part in query[1:].split("&") if part and not part.startswith("token=")]
    return f"?{'&'.join(kept)}" if kept else ""


class Socket(Placed, WebSocketMixin, websocket.WebSocketHandler, JupyterHandler):
    """One WebSocket, passed on both ways until either side closes it."""

    upstream: Any = None
    relay: Any = None

    async def get(self, *args: str) -> None:
        """Open the other side first: who cannot have it hears so before anything is promised."""
        if self.current_user is None or not self.check_origin():
            raise web.HTTPError(403)
        url, _ = await self.pages.locate(self.rest)
        query = without_token(f"?{self.request.query}") if self.request.query else ""
        await self.pages.prove(url)
        request = httpclient.HTTPRequest(
            re.sub("^http", "ws", url) + query,
            headers=self.pages.credentials(),
            connect_timeout=CONNECT_SECONDS,
            request_timeout=ANSWER_SECONDS,
            ssl_options=self.pages.tls,
        )
        offered = [
            one.strip() for one in self.request.headers.get("Sec-WebSocket-Protocol", "").split(",") if one.strip()
        ]
        try:
            self.upstream = await websocket.websocket_connect(
                request, subprotocols=offered or None, max_message_size=MOST_BYTES
            )
        except (OSError, httpclient.HTTPError, websocket.WebSocketError) as error:
            raise silent(url, error) from None
        await websocket.WebSocketHandler.get(self, *args)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """Return what Dask has chosen."""
        chosen: str | None = self.upstream.selected_subprotocol
        return chosen

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """Begin to pass on what Dask says."""
        super().open(*args, **kwargs)
        self.relay = asyncio.ensure_future(self._relay())

    async def _relay(self) -> None:
        try:
            while (message := await self.upstream.read_message()) is not None:
                await self.write_message(message, binary=isinstance(message, bytes))
        except (websocket.WebSocketClosedError, websocket.WebSocketError):
            pass  # The browser has gone.
        finally:
            self.close()

    async def on_message(self, message: str | bytes) -> None:
        """Pass on what the browser says."""
        try:
            await self.upstream.write_message(message, binary=isinstance(message, bytes))
        except websocket.WebSocketClosedError:
            self.close()

    def on_finish(self) -> None:
        """Close Dask's side when the opening of the browser's failed."""
        if self.upstream is not None and not web_handlers.was_opened(self):
            self.upstream.close()

    def on_close(self) -> None:
        """Close Dask's side with the browser's."""
        if self.upstream is not None:
            self.upstream.close()
        super().on_close()


def growing() -> Any:
    """Return what runs `tsdask-mpi scale`: it belongs to scripts' processes, whose module path has its folder."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "adopt")
    sys.path.insert(0, folder)
    try:
        from tsdask_adopt import growth
    finally:
        sys.path.remove(folder)
    return growth


class Card(APIHandler):
    """
    What the card of JupyterLab's launcher shows of this cluster (jupyterlab/labextensions/), and the number of workers
    that it asks for. Errors are JSON with a `message`, which the card shows.
    """

    def initialize(self, pages: Pages) -> None:
        """Take the cluster's pages."""
        self.pages = pages

    @web.authenticated  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Answer with the number of workers, their threads, and their memory (bytes)."""
        answer = await self.pages.fetch(f"{self.pages.url}/json/identity.json")
        try:
            workers = list(json.loads(answer.body or b"{}").get("workers", {}).values())
            threads, memory = (sum(one.get(key) or 0 for one in workers) for key in ("nthreads", "memory_limit"))
        except (ValueError, AttributeError, TypeError) as error:
            raise silent(self.pages.url, error) from None
        self.finish({"workers": len(workers), "threads": threads, "memory": memory})

    @web.authenticated  # type: ignore[untyped-decorator]
    async def post(self) -> None:
        """Bring the cluster to so many workers, as `tsdask-mpi scale` does, and answer with what that says."""
        try:
            wanted = json.loads(self.request.body)["workers"]
        except (ValueError, KeyError, TypeError):
            wanted = None
        if type(wanted) is not int or wanted < 0:
            raise web.HTTPError(400, "workers: a number of workers")
        try:
            said = await asyncio.get_running_loop().run_in_executor(None, growing().scale_now, wanted)
        except RuntimeError as error:
            self.set_status(409)
            self.finish({"message": str(error)})
        else:
            self.finish({"said": said})


class Upgrades(routing.PathMatches):
    """Matches a path when the request asks for a WebSocket."""

    def match(self, request: httputil.HTTPServerRequest) -> dict[str, Any] | None:
        """Return the handler's arguments, or None."""
        return super().match(request) if request.headers.get("Upgrade", "").lower() == "websocket" else None


def serve(application: Any, base_url: str, url: str, token: str, ca_file: str = "") -> str:
    """
    Add the pages at `url` to a Jupyter server's application; returns the path of the first one, relative to the
    server's address.
    """
    base = re.escape(base_url.rstrip("/"))
    own = f"{base_url.rstrip('/')}/{FOLDER}/"
    pages = Pages(url, token, ca_file)
    rules = [
        routing.Rule(routing.PathMatches(re.escape(own[:-1]) + "/?"), web.RedirectHandler, {"url": own + FIRST_PAGE}),
        routing.Rule(routing.PathMatches(re.escape(own[:-1]) + "-cluster"), Card, {"pages": pages}),
    ]
    for folder in (FOLDER, r"dask/dashboard/\w+(?:-\w+){4}"):
        pattern = f"({base}/{folder}/)(.*)"
        settings = {"pages": pages, "place": re.compile(pattern, re.DOTALL)}
        rules.append(routing.Rule(Upgrades(pattern), Socket, settings))
        rules.append(routing.Rule(routing.PathMatches(pattern), Page, settings))
    # Before those of extensions, which were there first.
    web_handlers.add_first(application, rules)
    return own + FIRST_PAGE
