"""Lets only requests that carry the launch's token reach what Dask serves by HTTP, pages and WebSockets alike.

Facts relied on:
- All handlers of Dask's HTTP ports, the dashboard's WebSockets included, hang below the server that
  compat/http_server.py puts there.
- tornado/http1connection.py asks HTTPServer.start_request() for a delegate per request, gives it the headers before any
  body, the body in pieces up to its limit, and finish() then; an answer before that would be lost to a sender that is
  still sending.
- Browsers send a cookie to every port of its host, and a WebSocket from any page carries it, with the page's Origin
  (RFC 6455, section 10.2). A page cannot set Host or X-Forwarded-Host there, so that an Origin that equals one of them
  is the page's own.
- distributed/http/templates/main.html takes a style sheet from a public server: Content-Security-Policy keeps the
  browser from asking for it.
"""

from __future__ import annotations

import hmac
import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tornado import httputil
from tornado.httpserver import HTTPServer
from tornado.iostream import SSLIOStream

from tsdask_mpi import listeners
from tsdask_mpi.compat import http_server
from tsdask_mpi.pages_access import PROOF, cookie_of, proof_of

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>A token is needed</title>
<body style="font-family: sans-serif; max-width: 40em; margin: 4em auto">
<h1>A token is needed</h1>
<p>This Dask cluster answers only its owner. Open the link that ends in <code>?token=…</code>:
<code>tsdask-mpi connect</code>, run where scheduler.json can be read, prints it.</p>
</body></html>
"""


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())


def split_token(path: str) -> tuple[str, list[str]]:
    """Take all `token` arguments out of a request's path; returns the path without them, and their values."""
    if "token=" not in path:
        return path, []
    parts = urlsplit(path)
    try:
        arguments = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return path, []
    tokens = [value for name, value in arguments if name == "token"]
    rest = urlencode([(name, value) for name, value in arguments if name != "token"])
    return (urlunsplit(parts._replace(query=rest)) if tokens else path), tokens


def header_token(value: str) -> str:
    """Return the token in an Authorization header (`Bearer …` or `token …`), or an empty string."""
    scheme, _, token = value.partition(" ")
    return token.strip() if scheme.lower() in ("bearer", "token") else ""


def has_cookie(header: str, name: str, value: str) -> bool:
    """Tell whether a Cookie header holds that cookie."""
    pairs = (pair.strip().partition("=") for pair in header.split(";"))
    return any(key == name and _same(given, value) for key, _, given in pairs)


def from_elsewhere(headers: httputil.HTTPHeaders) -> bool:
    """
    Tell whether a page of another origin has sent this request: its Origin is not where the request went, nor what
    Dask's configuration allows.
    """
    origin = headers.get("Origin", "")
    if not origin:
        return False
    # Browsers write it without a path, or `null`, which is nobody's.
    place = origin.lower().partition("://")[2]
    if place and place in (headers.get("Host", "").lower(), headers.get("X-Forwarded-Host", "").lower()):
        return False
    import dask.config

    allowed = dask.config.get("distributed.scheduler.dashboard.bokeh-application.allow_websocket_origin", None) or []
    return not place or place not in [str(one).lower() for one in allowed]


def content_policy(host: str) -> str:
    """
    Return the Content-Security-Policy of Dask's pages: everything comes from where the page came from; Bokeh makes
    functions of strings.
    """
    sockets = f" ws://{host} wss://{host}" if re.fullmatch(r"[\w.:\[\]-]+", host) else ""
    return f"default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; connect-src 'self'{sockets}"


class Gate(httputil.HTTPMessageDelegate):
    """
    One request on its way: passed on to the delegate that `inner` makes when it carries the token, answered with 403
    otherwise.
    """

    def __init__(self, token: str, connection: Any, inner: Any) -> None:
        self._token = token
        self._connection = connection
        self._make_inner = inner
        self._inner: Any = None
        self._head = False
        self._nonce = ""

    def headers_received(self, start_line: Any, headers: httputil.HTTPHeaders) -> Any:
        """Decide, on the first line and the headers alone."""
        self._head = start_line.method == "HEAD"
        asked = PROOF.fullmatch(start_line.path)
        if asked is not None:
            self._nonce = asked[1]
            return None
        path, given = split_token(start_line.path)
        secure = isinstance(getattr(self._connection, "stream", None), SSLIOStream)
        name, value = cookie_of(self._token, secure)
        added = {"Content-Security-Policy": content_policy(headers.get("Host", ""))}
        if any(_same(token, self._token) for token in given):
            added["Set-Cookie"] = f"{name}={value}; Path=/; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"
            added["Referrer-Policy"] = "same-origin"
        elif not _same(header_token(headers.get("Authorization", "")), self._token) and (
            not has_cookie(headers.get("Cookie", ""), name, value) or from_elsewhere(headers)
        ):
            return None
        listeners.pages_gate.leave(getattr(self._connection, "stream", None))
        http_server.add_headers(self._connection, added)
        self._inner = self._make_inner()
        return self._inner.headers_received(start_line._replace(path=path), headers)

    def data_received(self, chunk: bytes) -> Any:
        """Pass a piece of the body on, or drop it."""
        return self._inner.data_received(chunk) if self._inner is not None else None

    def finish(self) -> None:
        """Pass the end of the request on, or answer it."""
        if self._inner is not None:
            self._inner.finish()
        elif self._nonce:
            self._prove()
        else:
            self._refuse()

    def on_connection_close(self) -> None:
        """Pass on that the other side has gone."""
        if self._inner is not None:
            self._inner.on_connection_close()

    def _prove(self) -> None:
        host, port = self._connection.stream.socket.getsockname()[:2]
        body = proof_of(self._token, host, port, self._nonce)
        self._answer(httputil.ResponseStartLine("HTTP/1.1", 200, "OK"), "text/plain", body.encode())

    def _refuse(self) -> None:
        listeners.refusals.count("without the token (pages)", at_once=False)
        self._answer(httputil.ResponseStartLine("HTTP/1.1", 403, "Forbidden"), "text/html", PAGE.encode())

    def _answer(self, line: httputil.ResponseStartLine, kind: str, body: bytes) -> None:
        headers = httputil.HTTPHeaders(
            {
                "Content-Type": f"{kind}; charset=utf-8",
                "Content-Length": str(len(body)),
                "Cache-Control": "no-store",
                "Connection": "close",
            }
        )
        self._connection.write_headers(line, headers, None if self._head else body)
        self._connection.finish()


def gated(token: str) -> type[HTTPServer]:
    """Return tornado's HTTPServer with the gate before whatever it serves."""

    class GatedHTTPServer(HTTPServer):
        tsdask_gate = listeners.pages_gate

        def handle_stream(self, stream: Any, address: Any) -> None:
            listeners.pages_gate.enter(stream)
            HTTPServer.handle_stream(self, stream, address)

        def on_close(self, server_conn: Any) -> None:
            listeners.pages_gate.leave(getattr(server_conn, "stream", None))
            HTTPServer.on_close(self, server_conn)

        def start_request(self, server_conn: object, request_conn: Any) -> httputil.HTTPMessageDelegate:
            return Gate(token, request_conn, lambda: HTTPServer.start_request(self, server_conn, request_conn))

    return GatedHTTPServer


def install(token: str) -> None:
    """
    Put the gate before every HTTP port that Dask opens in this process from now on; raises ValueError for an empty
    token.
    """
    if not token:
        raise ValueError("the token is empty")
    http_server.replace(gated(token))


def install_from(path: str | None) -> None:
    """Install the gate with the token in the first line of a file; nothing without a file."""
    if path:
        with open(path, encoding="utf-8") as file:
            install(file.readline().strip())
