"""Made from src/protocol/fork-server.json and src/deadlines.ts by `npm run contract`: change those, not this file."""
# ruff: noqa: UP007
# fmt: off

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict, Union

if TYPE_CHECKING:
    from typing_extensions import NotRequired

VERSION = 1

REQUEST_SECONDS = 10
CONTROL_SEND_SECONDS = 5
ORPHANS_SECONDS = 1
CHILD_STOP_SECONDS = 2
CLOSE_SECONDS = 10
QUICK_CLOSE_SECONDS = 1.5
UNSTARTED_CLOSE_SECONDS = 0.3
NANNY_REPLY_SECONDS = 0.1
START_PLACE_SECONDS = 1
REPORT_ASKED_SECONDS = 3600
LAST_REPORT_SECONDS = 8
UNPROVED_SECONDS = 30
UNPROVED_CROWDED_SECONDS = 2

Kind = Literal["scheduler", "worker"]
ServerFailure = Literal["old-python", "no-dask", "old-dask", "incompatible", "lacking", "warm", "threads", "yaml", "missing", "library", "hidden", "encryption", "preload", "broken", "server"]
Diagnosis = Literal["yaml", "missing", "library", "hidden", "encryption", "preload", "broken"]
Refusal = Literal["ending", "exec", "cgroup", "fork", "busy", "malformed", "late", "server"]
CloseReason = Literal["retired", "restart", "lifetime", "idle", "stop", "terminate", "nanny", "scheduler-closed", "scheduler-lost", "closed"]
ChildFailure = Literal["timeout", "tls", "port", "permission", "folder", "address", "preload", "import", "encryption", "yaml", "arguments", "refused", "malformed", "missing", "library", "hidden", "broken", "spawn", "other"]


class ServerEventListening(TypedDict):
    event: Literal["listening"]
    version: int


class ServerEventReady(TypedDict):
    event: Literal["ready"]
    python: str
    executable: str
    dask: str
    distributed: str
    seconds: float
    threads: int
    packages: dict[str, str]
    hidden: list[tuple[str, str]]
    missing: list[str]


class ServerEventFailed(TypedDict):
    event: Literal["failed"]
    reason: ServerFailure
    message: str
    executable: NotRequired[str]
    python: NotRequired[str]
    module: NotRequired[str]


class ServerEventRankGone(TypedDict):
    event: Literal["rank-gone"]
    pid: int


#: The fork server to the agent that started it, on its standard output.
ServerEvent = Union[ServerEventListening, ServerEventReady, ServerEventFailed, ServerEventRankGone]


class ChildEventForked(TypedDict):
    event: Literal["forked"]
    pid: int


class ChildEventRefused(TypedDict):
    event: Literal["refused"]
    reason: Refusal
    message: str


class ChildEventReady(TypedDict):
    event: Literal["ready"]
    address: str
    dashboard: NotRequired[int | None]
    https: NotRequired[bool]
    identity: NotRequired[Any]
    name: NotRequired[Any]
    nthreads: NotRequired[int | None]
    memory_limit: NotRequired[float | None]
    terminate: NotRequired[Any]
    pid: NotRequired[int]


class ChildEventClosing(TypedDict):
    event: Literal["closing"]
    reason: CloseReason
    dask: NotRequired[str]


class ChildEventDashboard(TypedDict):
    event: Literal["dashboard"]
    loaded: bool
    problem: str | None


class ChildEventMissingModule(TypedDict):
    event: Literal["missing-module"]
    module: str


class ChildEventFailed(TypedDict):
    event: Literal["failed"]
    code: ChildFailure
    message: str
    traceback: NotRequired[str]


class ChildEventStopAsked(TypedDict):
    event: Literal["stop-asked"]
    now: bool


class ChildEventUsage(TypedDict):
    event: Literal["usage"]
    clients: int
    tasks: int
    used: int
    seen: int
    spilled: int


class ChildEventExit(TypedDict):
    event: Literal["exit"]
    code: int | None
    signal: int | None
    cpu: NotRequired[float]
    peak: NotRequired[float]


#: A child, or the fork server on its behalf, to its rank, on the control connection.
ChildEvent = Union[ChildEventForked, ChildEventRefused, ChildEventReady, ChildEventClosing, ChildEventDashboard, ChildEventMissingModule, ChildEventFailed, ChildEventStopAsked, ChildEventUsage, ChildEventExit]


class ChildOrderStop(TypedDict):
    op: Literal["stop"]
    grace: float


class ChildOrderAddress(TypedDict):
    op: Literal["address"]
    scheduler: str


class ChildOrderDashboard(TypedDict):
    op: Literal["dashboard"]


#: A rank to its child, on the control connection.
ChildOrder = Union[ChildOrderStop, ChildOrderAddress, ChildOrderDashboard]
