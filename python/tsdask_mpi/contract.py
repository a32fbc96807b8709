"""Made from src/protocol/fork-server.json and src/deadlines.ts by `npm run contract`: change those, not this file."""
# ruff: noqa: UP007
# fmt: off

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict, Union

if TYPE_CHECKING:
    from typing_extensions import NotRequired

VERSION = 2

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

ServerFailure = Literal["old-python", "no-dask", "old-dask", "incompatible", "lacking", "warm", "threads", "folder", "yaml", "missing", "library", "hidden", "encryption", "preload", "memory", "broken", "server"]
Diagnosis = Literal["yaml", "missing", "library", "hidden", "encryption", "preload", "memory", "broken"]
Refusal = Literal["ending", "exec", "cgroup", "fork", "busy", "malformed", "late", "server"]
CloseReason = Literal["retired", "restart", "lifetime", "idle", "stop", "terminate", "nanny", "scheduler-closed", "scheduler-lost", "closed"]
ChildFailure = Literal["timeout", "tls", "port", "permission", "folder", "address", "preload", "import", "encryption", "yaml", "arguments", "refused", "malformed", "missing", "library", "hidden", "memory", "broken", "incompatible", "spawn", "other"]


class SecurityFiles(TypedDict):
    ca: str
    cert: str
    key: str


class ChildPlace(TypedDict):
    id: str
    env: dict[str, str]
    cwd: str
    rank_pid: NotRequired[int]
    version: NotRequired[int]
    cpu_count: int
    memory_limit: int | None
    sys_path: list[str]


class ChildParams(TypedDict):
    kwargs: NotRequired[dict[str, Any]]
    user_kwargs: NotRequired[dict[str, Any]]
    security: NotRequired[SecurityFiles | None]
    token_file: NotRequired[str | None]
    preload: NotRequired[list[list[str]]]
    log_level: NotRequired[str]
    config: NotRequired[dict[str, Any]]
    derived: NotRequired[dict[str, Any]]
    scratch: NotRequired[str]
    contact_host: NotRequired[str]
    later_path: NotRequired[list[str]]


class SchedulerParams(ChildParams):
    dashboard: NotRequired[bool]
    launched: NotRequired[float]
    worker_prefix: NotRequired[str]
    returns: NotRequired[bool]


class WorkerParams(ChildParams):
    worker_class: NotRequired[str]
    scheduler: NotRequired[str | None]
    preload_nanny: NotRequired[list[list[str]]]


class ServerCommandStart(TypedDict):
    op: Literal["start"]
    socket: str
    host_dir: str
    pipes: NotRequired[list[str]]
    warm: NotRequired[list[str]]
    imports: NotRequired[bool]
    modules: NotRequired[list[str]]
    script_folder: NotRequired[str]
    request_seconds: NotRequired[float]


class ServerCommandOwn(TypedDict):
    op: Literal["own"]
    paths: NotRequired[list[str]]
    identities: NotRequired[list[str]]
    links: NotRequired[list[str]]
    scheduler_file: NotRequired[str]
    file: NotRequired[str]
    launch: NotRequired[str]


class ServerCommandDisown(TypedDict):
    op: Literal["disown"]
    paths: list[str]


class ServerCommandRank(TypedDict):
    op: Literal["rank"]
    pid: int


class ServerCommandEnd(TypedDict):
    op: Literal["end"]
    grace: float


#: An agent to the fork server that it started, on its standard input; `start` is the first line.
ServerCommand = Union[ServerCommandStart, ServerCommandOwn, ServerCommandDisown, ServerCommandRank, ServerCommandEnd]


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
    newest_tested: str | None


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


class ForkRequestScheduler(ChildPlace):
    kind: Literal["scheduler"]
    op: Literal["fork"]
    params: SchedulerParams


class ForkRequestWorker(ChildPlace):
    kind: Literal["worker"]
    op: Literal["fork"]
    params: WorkerParams


#: A rank asks for its scheduler or worker: the fork server, or on descriptor 3 a child that is a program of its own, which gets the version of these messages, too.
ForkRequest = Union[ForkRequestScheduler, ForkRequestWorker]


class CompanionRequestStdio(TypedDict):
    op: Literal["stdio"]
    id: str


class CompanionRequestWatch(TypedDict):
    op: Literal["watch"]
    pid: int


#: What else a rank's connection to the fork server may be for: a child's output, or to watch over the script's process.
CompanionRequest = Union[CompanionRequestStdio, CompanionRequestWatch]


class ChildEventForked(TypedDict):
    event: Literal["forked"]
    pid: int


class ChildEventRefused(TypedDict):
    event: Literal["refused"]
    reason: Refusal
    message: str


class ChildEventReadyScheduler(TypedDict):
    event: Literal["ready"]
    kind: Literal["scheduler"]
    address: str
    identity: dict[str, Any]
    dashboard: int | None
    https: bool


class ChildEventReadyWorker(TypedDict):
    event: Literal["ready"]
    kind: Literal["worker"]
    address: str
    name: str
    dashboard: int | None
    nthreads: int | None
    memory_limit: float | None
    terminate: Any
    shared: int | None


class ChildEventClosing(TypedDict):
    event: Literal["closing"]
    reason: CloseReason


class ChildEventDashboard(TypedDict):
    event: Literal["dashboard"]
    problem: str | None


class ChildEventMissingModule(TypedDict):
    event: Literal["missing-module"]
    module: str


class ChildEventLacking(TypedDict):
    event: Literal["lacking"]
    message: str


class ChildEventFailed(TypedDict):
    event: Literal["failed"]
    code: ChildFailure
    message: str


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
    unrunnable: int


class ChildEventExit(TypedDict):
    event: Literal["exit"]
    code: int | None
    signal: int | None
    cpu: NotRequired[float]
    peak: NotRequired[float]


#: A child, or the fork server on its behalf, to its rank, on the control connection.
ChildEvent = Union[ChildEventForked, ChildEventRefused, ChildEventReadyScheduler, ChildEventReadyWorker, ChildEventClosing, ChildEventDashboard, ChildEventMissingModule, ChildEventLacking, ChildEventFailed, ChildEventStopAsked, ChildEventUsage, ChildEventExit]


class ChildCommandStop(TypedDict):
    op: Literal["stop"]
    grace: float


class ChildCommandAddress(TypedDict):
    op: Literal["address"]
    scheduler: str


class ChildCommandDashboard(TypedDict):
    op: Literal["dashboard"]


#: A rank to its child, on the control connection.
ChildCommand = Union[ChildCommandStop, ChildCommandAddress, ChildCommandDashboard]
