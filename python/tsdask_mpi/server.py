"""The fork server of one host: imports Dask once, then forks a scheduler or worker for each rank that asks on a unix socket.

It is one thread around epoll(7), has no event loop of any library, and keeps no thread, so that a fork is safe.
"""

from __future__ import annotations

import gc
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from tsdask_mpi import family, linux
from tsdask_mpi.family import Child
from tsdask_mpi.imports import ImportFailure, freeze, import_engine, limit_math_threads, restore, versions, warm
from tsdask_mpi.requests import Requests, Start
from tsdask_mpi.wire import Message, encode

BACKLOG = 4096
GRACE_SECONDS = 1.0
STARTING_PER_CORE = 2


def tell_leader(message: Message) -> None:
    """Send one line to the leader; a leader that is gone is noticed on stdin."""
    try:
        os.write(1, encode(message))
    except OSError:
        return


class Server:
    """The state of a running fork server; see `serve`."""

    def __init__(self, config: Message) -> None:
        self.config = config
        self.host_dir = str(config["host_dir"])
        self.listener = _bind(str(config["socket"]))
        self.epoll = select.epoll()
        self.requests = Requests()
        self.children: dict[int, Child] = {}
        self.by_fd: dict[int, Child] = {}
        self.starting = 0
        self.queue: list[Child] = []
        self.places = max(2, STARTING_PER_CORE * len(os.sched_getaffinity(0)))
        self.baseline: Any = None
        self.deadline: float | None = None
        self.null = os.open("/dev/null", os.O_RDWR)
        self.wake, self.wake_up = socket.socketpair()
        self.orders = b""
        self.pid = os.getpid()
        self.count = 0

    # --- events -------------------------------------------------------------------------------------------------------

    def run(self) -> NoReturn:
        """Serve until the leader is gone or says so, and every child has ended."""
        self.wake.setblocking(False)
        self.wake_up.setblocking(False)
        signal.set_wakeup_fd(self.wake_up.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        for fd in (0, self.listener.fileno(), self.wake.fileno()):
            self.epoll.register(fd, select.EPOLLIN)
        while self.deadline is None or self.children:
            for fd, what in self.epoll.poll(self._timeout()):
                self._event(fd, what)
            self._start_what_is_whole()
            self.requests.drop_late(self.epoll)
            if self.deadline is not None and time.monotonic() >= self.deadline:
                self._kill_all()
        self._close()

    def _timeout(self) -> float:
        waits = [self.requests.wait()]
        if self.deadline is not None:
            waits.append(max(0.0, self.deadline - time.monotonic()))
        waits = [wait for wait in waits if wait is not None]
        return min(waits) if waits else -1

    def _event(self, fd: int, what: int) -> None:
        if fd == self.listener.fileno():
            self.requests.accept(self.listener, self.epoll)
        elif fd == self.wake.fileno():
            self._signals(self.wake.recv(4096))
        elif fd == 0:
            self._leader(os.read(0, 65536))
        elif fd in self.by_fd:
            self._child(self.by_fd[fd], fd)
        else:
            self.requests.readable(fd, self.epoll)

    def _leader(self, data: bytes) -> None:
        *lines, self.orders = (self.orders + data).split(b"\n")
        if not data:
            self.epoll.unregister(0)
            self.end(GRACE_SECONDS)
        for line in lines:
            try:
                order = json.loads(line)
                if order.get("op") == "end":
                    self.end(float(order.get("grace", GRACE_SECONDS)))
            except (ValueError, AttributeError) as error:
                print(f"fork server: an order that cannot be read: {error}", file=sys.stderr, flush=True)

    def _signals(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers:
            self.end(GRACE_SECONDS)
        if signal.SIGCHLD in numbers:
            self._reap()

    def _child(self, child: Child, fd: int) -> None:
        if fd == child.control.fileno():
            family.kill_group(child.pid)
            self.epoll.unregister(fd)
            return
        said = _receive(child.turn)
        if not said:
            self._leave(child, fd)
        for byte in said:
            self._turn(child, chr(byte))

    # --- turns --------------------------------------------------------------------------------------------------------

    def _turn(self, child: Child, said: str) -> None:
        if said == "w" and child.place == "starting":
            child.place = "waiting"
            self.starting -= 1
        elif said == "a" and child.place == "waiting":
            child.place = "queued"
            self.queue.append(child)
        elif said == "r":
            self._leave(child, child.turn.fileno())
        self._admit()

    def _leave(self, child: Child, fd: int) -> None:
        if child.place == "starting":
            self.starting -= 1
        if child in self.queue:
            self.queue.remove(child)
        child.place = "started"
        if self.by_fd.pop(fd, None) is not None:
            self.epoll.unregister(fd)
            child.turn.close()
        self._admit()

    def _admit(self) -> None:
        while self.queue and self.starting < self.places:
            child = self.queue.pop(0)
            child.place = "starting"
            self.starting += 1
            try:
                child.turn.send(b"g", socket.MSG_NOSIGNAL)
            except OSError:
                continue

    # --- children -----------------------------------------------------------------------------------------------------

    def _start_what_is_whole(self) -> None:
        while self.deadline is None:
            start = self.requests.next_start(workers=self.starting < self.places)
            if start is None:
                return
            self._fork(start)

    def _fork(self, start: Start) -> None:
        ours, theirs = socket.socketpair()
        self.count += 1
        mark = f"{self.pid}.{self.count}"
        try:
            pid = os.fork()
        except OSError as error:
            family.tell(start.control, {"event": "refused", "reason": "fork", "message": str(error)})
            for held in (ours, theirs, start.control, start.stdio):
                held.close()
            return
        if pid == 0:
            self._become_child(start, theirs, ours, mark)
        theirs.close()
        start.stdio.close()
        child = Child(pid, start.id, start.kind, start.control, ours, mark=mark)
        self.children[pid] = child
        ours.setblocking(False)
        for held, mask in ((child.control, select.EPOLLRDHUP), (child.turn, select.EPOLLIN)):
            self.by_fd[held.fileno()] = child
            self.epoll.register(held.fileno(), mask)
        self.starting += 1
        family.tell(child.control, {"event": "forked", "pid": pid})

    def _become_child(self, start: Start, turn: socket.socket, *others: Any) -> NoReturn:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        linux.die_with_parent(self.pid)
        for target, source in ((0, self.null), (1, start.stdio.fileno()), (2, start.stdio.fileno())):
            os.dup2(source, target)
        mark = others[-1]
        for held in (*others[:-1], start.stdio, self.listener, self.epoll, self.wake, self.wake_up, *self.requests.sockets()):
            held.close()
        for child in self.children.values():
            child.control.close()
            child.turn.close()
        os.close(self.null)
        baseline = self.baseline
        self.__dict__.clear()
        from tsdask_mpi import child as body
        from tsdask_mpi.channel import Channel, Turn

        start.request.setdefault("env", dict(os.environ))[family.MARK] = mark
        body.run(start.request, Channel(start.control), Turn(turn), start.peer.pid, baseline)
        os._exit(70)

    def _reap(self) -> None:
        gone = family.ended()
        for pid, status in gone:
            child = self.children.pop(pid, None)
            if child is None:
                continue
            if child.place != "started":
                self._leave(child, child.turn.fileno())
            family.tell(child.control, family.exit_event(status))
            if self.by_fd.pop(child.control.fileno(), None) is not None:
                try:
                    self.epoll.unregister(child.control.fileno())
                except FileNotFoundError:
                    pass
            child.control.close()
        if gone:
            family.kill_orphans(set(self.children), {child.mark for child in self.children.values()})

    # --- the end ------------------------------------------------------------------------------------------------------

    def end(self, grace: float) -> None:
        """Ask every child to stop, and let none live longer than `grace` seconds."""
        deadline = time.monotonic() + max(0.0, grace)
        self.deadline = deadline if self.deadline is None else min(deadline, self.deadline)
        self.listener.close() if not self.children else None
        for pid in self.children:
            os.kill(pid, signal.SIGTERM)

    def _kill_all(self) -> None:
        for pid in self.children:
            family.kill_group(pid)
        self.deadline = time.monotonic() + GRACE_SECONDS

    def _close(self) -> NoReturn:
        family.kill_orphans(set(), set())
        shutil.rmtree(self.host_dir, ignore_errors=True)
        os._exit(0)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(64)
    except BlockingIOError:
        return b"?"
    except OSError:
        return b""


def _bind(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    mask = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(mask)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def serve() -> NoReturn:
    """Read the configuration from stdin, bind, import, and serve until the leader is gone; exits with 1 when Dask cannot be imported."""
    started = time.monotonic()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    config, rest = _first_line()
    server = Server(config)
    server.orders = rest
    tell_leader({"event": "listening"})
    linux.adopt_orphans()
    gc.disable()
    variables = limit_math_threads()
    try:
        import_engine()
        for refused in warm(list(config.get("warm") or [])):
            tell_leader({"event": "failed", "reason": refused.reason, "module": refused.module, "message": refused.message})
    except ImportFailure as failure:
        tell_leader({"event": "failed", "reason": failure.reason, "executable": sys.executable, "message": str(failure)})
        sys.exit(1)
    finally:
        restore(variables)
    from tsdask_mpi.surroundings import read_baseline

    server.baseline = read_baseline()
    freeze()
    gc.enable()
    import dask
    import distributed

    tell_leader({
        "event": "ready",
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "executable": sys.executable,
        "dask": dask.__version__,
        "distributed": distributed.__version__,
        "seconds": round(time.monotonic() - started, 3),
        "threads": linux.thread_count(),
        "packages": versions(),
    })
    server.run()


def _first_line() -> tuple[Message, bytes]:
    data = b""
    while b"\n" not in data:
        piece = os.read(0, 65536)
        if not piece:
            sys.exit(0)
        data += piece
    line, _, rest = data.partition(b"\n")
    return json.loads(line), rest
