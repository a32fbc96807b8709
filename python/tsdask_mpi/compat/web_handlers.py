"""The rules and handlers of a tornado application that runs already.

Relies on tornado/web.py: Application.add_handlers() puts rules before the last one, behind earlier ones, into
Application.default_router.rules; WebSocketHandler.ws_connection is None until the browser's side is open. Seen: tornado
6.2 to 6.6.
"""

from __future__ import annotations

from typing import Any

from tsdask_mpi.compat.names import lacking, written_in


def probe() -> str | None:
    """Say what is missing."""
    from tornado import routing, web, websocket

    absent = lacking("tornado.web.Application", web.Application, "add_handlers") or lacking(
        "tornado.routing.RuleRouter", routing.RuleRouter, "add_rules"
    )
    for name, owner in (("default_router", web.Application), ("ws_connection", websocket.WebSocketHandler)):
        absent = absent or (None if name in written_in(owner) else f"{owner.__module__}.{owner.__name__}.{name}")
    return absent


def add_first(application: Any, rules: list[Any]) -> None:
    """Add rules before those that are there."""
    application.add_handlers(".*$", rules)
    all_rules = application.default_router.rules
    all_rules.insert(0, all_rules.pop(-2))


def was_opened(handler: Any) -> bool:
    """Tell whether a WebSocket's handler has a connection to the browser."""
    return handler.ws_connection is not None
