"""
The fork server of one host: imports Dask once, then forks a scheduler or worker for each rank that asks on a unix
socket.

It is one thread around epoll(7) and starts no event loop of any library, so that a fork is safe.
"""

from __future__ import annotations

import math
import os
import select
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, cast

from tsdask_mpi import cgroup_check, children, memory_policy, watchdog
from tsdask_mpi.children import Child
from tsdask_mpi.contract import ORPHANS_SECONDS, ChildEvent, ForkRequest, Refusal, ServerCommand, ServerEvent
from tsdask_mpi.fork import fork
from tsdask_mpi.held_process import HeldProcess
from tsdask_mpi.linux import Descriptor
from tsdask_mpi.requests import Requests, Start
from tsdask_mpi.start_throttle import StartThrottle
from tsdask_mpi.wire import Malformed, decode, encode

STARTING_PER_CORE = 4
# Seconds between two looks at ranks whose end no descriptor tells.
LOOK = 0.2
# The longest wait at once: epoll(7) takes 2^31 - 1 ms, less than a --grace may be.
LONGEST_WAIT = 86400.0
MAX_COMMAND_BYTES = 65536


#: Where the leader reads: standard output, until `leave_stdout` has given that to what modules print.
_leader = 1


def tell_leader(message: ServerEvent) -> None:
    """Send one line to the leader; a leader that is gone is noticed on stdin."""
    try:
        os.write(_leader, encode(dict(message)))
    except OSError:
        return


def leave_stdout() -> int:
    """
    Speak to the leader on a descriptor of our own, which is returned: what an imported module prints goes to standard
    error, and not between the messages.
    """
    descriptor = os.dup(1)
    os.dup2(2, 1)
    take_leader(descriptor)
    return descriptor


def take_leader(descriptor: int) -> None:
    """Speak to the leader on this descriptor from now on."""
    global _leader
    _leader = descriptor


class Server:
    """A running fork server: who is connected, who has been forked, and when it must end.

    `prepare` is called with each request before its fork; `baseline` is handed to every child. Without an `engine`
    nothing is forked: the server only watches over processes and cleans up.
    """

    def __init__(
        self,
        listener: socket.socket,
        host_dir: str,
        *,
        commands: bytes,
        request_seconds: float,
        prepare: Callable[[ForkRequest], None],
        baseline: Any,
        engine: bool = True,
    ) -> None:
        self._listener = listener
        self._host_dir = host_dir
        self._commands = commands
        self._epoll = select.epoll()
        self._requests = Requests(self._epoll, request_seconds)
        self._children: dict[int, Child] = {}
        self._lines: dict[int, Child] = {}
        self._controls: dict[int, Child] = {}
        self._told: dict[int, socket.socket] = {}
        self._sweepers: set[int] = set()
        self._watched: dict[int, watchdog.WatchedProcess] = {}
        self._cleanup = watchdog.CleanupRegistry()
        self._ranks: dict[int, HeldProcess] = {}
        self._looked_at: list[HeldProcess] = []
        self._throttle = StartThrottle(max(2, STARTING_PER_CORE * len(os.sched_getaffinity(0))))
        self._deadline: float | None = None
        # Of its own: what is killed at the deadline is waited for a little longer, a script is not.
        self._script_deadline = math.inf
        self._null = os.open("/dev/null", os.O_RDWR)
        self._wake, self._wake_up = socket.socketpair()
        self._cgroups = cgroup_check.cgroups("self")
        self._policy = memory_policy.policy("self")
        self._count = 0
        self._prepare = prepare
        self._baseline = baseline
        self._engine = engine

    # --- events -------------------------------------------------------------------------------------------------------

    def run(self) -> NoReturn:
        """
        Serve until the leader is gone or says so, and every child has ended, and every script that a rank lets end in
        order; then remove the host's folder and exit.
        """
        code = 0
        try:
            self._serve()
        except Exception as error:
            # Nobody may read our standard error any more, and what follows must be done all the same.
            with suppress(OSError):
                traceback.print_exc()
            tell_leader({"event": "failed", "reason": "server", "message": f"{type(error).__name__}: {error}"})
            self._kill_all()
            code = 70
        children.kill_orphans(set(), set())
        for watched in self._watched.values():
            watchdog.kill(watched)
        children.await_trackers(ORPHANS_SECONDS)
        self._cleanup.remove()
        remove_host_folder(self._host_dir)
        os._exit(code)

    def _serve(self) -> None:
        self._watch_signals()
        for fd in (0, self._listener.fileno(), self._wake.fileno()):
            self._epoll.register(fd, select.EPOLLIN)
        while self._deadline is None or self._children or self._sweepers or self._script_has_time():
            for fd, _ in self._epoll.poll(self._timeout()):
                self._event(fd)
            self._look()
            self._throttle.expire()
            self._start_what_is_whole()
            self._requests.drop_late()
            if self._deadline is not None and time.monotonic() >= self._deadline:
                self._kill_all()

    def _watch_signals(self) -> None:
        self._wake.setblocking(False)
        self._wake_up.setblocking(False)
        signal.set_wakeup_fd(self._wake_up.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _timeout(self) -> float:
        waits = [self._requests.wait(), self._throttle.wait(), LOOK if self._looked_at else None]
        if self._deadline is not None:
            waits.append(min(LONGEST_WAIT, max(0.0, self._deadline - time.monotonic())))
        return min((wait for wait in waits if wait is not None), default=-1)

    def _event(self, fd: int) -> None:
        if fd == self._listener.fileno():
            self._requests.accept(self._listener)
        elif fd == self._wake.fileno():
            self._signals(self._wake.recv(4096))
        elif fd == 0:
            self._leader()
        elif fd in self._watched:
            self._watched_lost(fd)
        elif fd in self._ranks:
            self._rank_gone(fd)
        elif fd in self._controls:
            children.kill_all_but_trackers(self._controls[fd].pid)
            self._forget(self._controls, fd)
        elif fd in self._told:
            self._epoll.unregister(fd)
            self._told.pop(fd).close()
        elif fd in self._lines:
            if not self._throttle.hear(self._lines[fd].slot):
                self._forget(self._lines, fd)
        else:
            self._requests.readable(fd)

    def _leader(self) -> None:
        data = os.read(0, 65536)
        *lines, self._commands = (self._commands + data).split(b"\n")
        if not data or len(self._commands) > MAX_COMMAND_BYTES:
            self._epoll.unregister(0)
            self.end(ORPHANS_SECONDS)
        for line in lines:
            try:
                command = cast("ServerCommand", decode(line))
                if command["op"] == "own" or command["op"] == "disown":
                    self._cleanup.add(command)
                elif command["op"] == "rank":
                    self._watch_rank(int(command["pid"]))
                elif command["op"] == "end":
                    self.end(float(command["grace"]))
            except (Malformed, ValueError, TypeError, AttributeError, KeyError) as error:
                print(f"fork server: a command that cannot be read: {error}", file=sys.stderr, flush=True)

    def _watch_rank(self, pid: int) -> None:
        """
        Tell the leader when this process, a rank that is no Node, has ended: it has no connection whose end would say
        so.
        """
        try:
            rank = HeldProcess(pid)
        except ProcessLookupError:
            tell_leader({"event": "rank-gone", "pid": pid})
            return
        if rank.descriptor is None:
            self._looked_at.append(rank)
            return
        self._ranks[rank.descriptor] = rank
        self._epoll.register(rank.descriptor, select.EPOLLIN)

    def _rank_gone(self, descriptor: int) -> None:
        self._epoll.unregister(descriptor)
        rank = self._ranks.pop(descriptor)
        rank.close()
        tell_leader({"event": "rank-gone", "pid": rank.pid})

    def _look(self) -> None:
        for rank in [rank for rank in self._looked_at if rank.ended()]:
            self._looked_at.remove(rank)
            tell_leader({"event": "rank-gone", "pid": rank.pid})

    def _signals(self, numbers: bytes) -> None:
        if signal.SIGCHLD in numbers:
            self._reap()

    # --- children -----------------------------------------------------------------------------------------------------

    def _watch_over(self) -> None:
        for connection, peer, request in self._requests.watches():
            watched = watchdog.take(int(request["pid"]), peer.pid, connection)
            if watched is None:
                connection.close()
                continue
            self._watched[connection.fileno()] = watched
            self._epoll.register(connection.fileno(), select.EPOLLRDHUP)

    def _watched_lost(self, fd: int) -> None:
        watched = self._watched.pop(fd)
        self._epoll.unregister(fd)
        watchdog.kill(watched)
        watched.close()

    def _start_what_is_whole(self) -> None:
        self._watch_over()
        ending = self._deadline is not None
        while start := self._requests.next_start(workers=ending or self._throttle.free()):
            if ending:
                self._refuse(start, "ending", "the fork server is about to end")
                continue
            if not self._engine:
                self._refuse(start, "exec", "nothing is forked here: --spawn exec")
                continue
            if why := self._confined_otherwise(start):
                self._refuse(start, "cgroup", why)
                continue
            try:
                self._fork(start)
            except OSError as error:
                self._refuse(start, "fork", str(error))

    def _confined_otherwise(self, start: Start) -> str | None:
        """Say why a child of this server would be held to other limits than its rank, or None when it would not."""
        theirs = cgroup_check.cgroups(start.rank)
        why = cgroup_check.difference(self._cgroups, theirs, start.request.get("env") or {})
        return why or memory_policy.difference(self._policy, start.rank)

    def _refuse(self, start: Start, reason: Refusal, message: str) -> None:
        self._tell_last(start.control, {"event": "refused", "reason": reason, "message": message})
        start.stdio.close()

    def _tell_last(self, control: socket.socket, message: ChildEvent) -> None:
        """
        Tell a rank the last that it hears here. The connection stays until the rank closes it: one that writes to a
        closed one at this moment would lose what it has not read.
        """
        children.tell(control, message)
        try:
            control.shutdown(socket.SHUT_WR)
        except OSError:
            control.close()
            return
        self._told[control.fileno()] = control
        self._epoll.register(control.fileno(), select.EPOLLRDHUP)

    def _fork(self, start: Start) -> None:
        self._prepare(start.request)
        self._count += 1
        mark = f"{os.getpid()}.{self._count}"
        ours = [self._listener, self._epoll, self._wake, self._wake_up, *self._requests.sockets()]
        ours += [*self._watched.values(), *self._told.values()]
        ours += [Descriptor(handle) for handle in (*self._ranks, *([_leader] if _leader != 1 else []))]
        ours += [held for child in self._children.values() for held in (child.control, child.slot.line)]
        pid, line = fork(start, mark, self._null, ours, self._baseline)
        start.stdio.close()
        child = Child(pid, start.control, self._throttle.join(line), mark)
        self._children[pid] = child
        self._controls[child.control.fileno()] = child
        self._lines[line.fileno()] = child
        self._epoll.register(child.control.fileno(), select.EPOLLRDHUP)
        self._epoll.register(line.fileno(), select.EPOLLIN)

    def _forget(self, table: dict[int, Child], fd: int) -> None:
        if table.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def _reap(self) -> None:
        gone = children.ended(self._children)
        for pid, status, used in gone:
            child = self._children.pop(pid, None)
            if child is None:
                continue
            self._throttle.hear(child.slot)
            self._throttle.leave(child.slot)
            self._forget(self._lines, child.slot.line.fileno())
            self._forget(self._controls, child.control.fileno())
            self._tell_last(child.control, children.exit_event(status, used))
            child.slot.line.close()
            sweeper = children.remove_folder(child.slot.folder)
            if sweeper is not None:
                self._sweepers.add(sweeper)
        if gone:
            self._sweepers.difference_update(pid for pid, _, _ in gone)
            known = self._sweepers.union(self._children)
            children.kill_orphans(known, {child.mark for child in self._children.values()})

    # --- the end ------------------------------------------------------------------------------------------------------

    def end(self, grace: float) -> None:
        """Ask every child to stop, start no more, and let none, and no script, live longer than `grace` seconds."""
        deadline = time.monotonic() + max(0.0, grace)
        self._deadline = deadline if self._deadline is None else min(deadline, self._deadline)
        self._script_deadline = min(deadline, self._script_deadline)
        for pid in self._children:
            os.kill(pid, signal.SIGINT)

    def _script_has_time(self) -> bool:
        """Say whether a script still ends in order; its rank's connection closes when it is over."""
        return bool(self._watched) and time.monotonic() < self._script_deadline

    def _kill_all(self) -> None:
        for pid in [*self._children, *self._sweepers]:
            children.kill_all_but_trackers(pid)
        self._deadline = time.monotonic() + ORPHANS_SECONDS


def remove_host_folder(path: str) -> None:
    """Remove the launch's folder on this host, and the user's own above it when no other launch is in it."""
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        os.rmdir(os.path.dirname(path))
