"""What a rank may tell its child, and the signals that mean the same."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from tsdask_mpi import linux
from tsdask_mpi.channel import Channel
from tsdask_mpi.contract import CHILD_STOP_SECONDS, ChildCommand, ChildCommandAddress, ChildCommandDashboard


def listen(
    channel: Channel,
    *,
    address: Callable[[ChildCommandAddress], None] | None = None,
    dashboard: Callable[[ChildCommandDashboard], None] | None = None,
    interrupted: Callable[[], None] | None = None,
) -> asyncio.Future[float]:
    """
    Start to take commands; returns a future that gets the grace in seconds when it is time to stop.

    It is time when the rank says so, when its connection ends, and at SIGINT, which the fork server sends, and of which
    `interrupted` is told. SIGTERM, SIGUSR1 and SIGUSR2 are not heard: batch systems send them to every process of a job
    at once, and the rank may have to move a worker's results to others before it lets the worker go.
    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[float] = loop.create_future()

    def ask_stop(grace: float) -> None:
        if not stop.done():
            stop.set_result(grace)

    def interrupt() -> None:
        if interrupted is not None and not stop.done():
            interrupted()
        ask_stop(CHILD_STOP_SECONDS)

    def obey(command: ChildCommand) -> None:
        if command["op"] == "stop":
            grace = command.get("grace")
            ask_stop(float(grace) if isinstance(grace, (int, float)) else CHILD_STOP_SECONDS)
        elif command["op"] == "address" and address is not None:
            address(command)
        elif command["op"] == "dashboard" and dashboard is not None:
            dashboard(command)

    channel.listen(obey, lambda: ask_stop(0.0))
    loop.add_signal_handler(signal.SIGINT, interrupt)
    # A handler, not SIG_IGN, which the programs that tasks start would inherit.
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        loop.add_signal_handler(number, lambda: None)
    linux.be_usual_in_forks()
    return stop
