"""What a rank may tell its child, and the signals that mean the same."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from tsdask_mpi.channel import Channel
from tsdask_mpi.contract import CHILD_STOP_SECONDS
from tsdask_mpi.wire import Message


def listen(channel: Channel, others: dict[str, Callable[[Message], None]]) -> asyncio.Future[float]:
    """Start to take orders; returns a future that gets the grace in seconds when it is time to stop.

    It is time when the rank says so, when its connection ends, and at SIGINT, which the fork server sends. SIGTERM, SIGUSR1 and
    SIGUSR2 are not heard: batch systems send them to every process of a job at once, and the rank may have to move a worker's results to others
    before it lets the worker go.
    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[float] = loop.create_future()

    def ask_stop(grace: float) -> None:
        if not stop.done():
            stop.set_result(grace)

    def order(message: Message) -> None:
        operation = message.get("op")
        if operation == "stop":
            grace = message.get("grace")
            ask_stop(float(grace) if isinstance(grace, (int, float)) else CHILD_STOP_SECONDS)
        elif operation in others:
            others[operation](message)

    channel.listen(order, lambda: ask_stop(0.0))
    loop.add_signal_handler(signal.SIGINT, ask_stop, CHILD_STOP_SECONDS)
    # A handler, not SIG_IGN, which the programs that tasks start would inherit.
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        loop.add_signal_handler(number, lambda: None)
    return stop
