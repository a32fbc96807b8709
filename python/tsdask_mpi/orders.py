"""What a rank may tell its child, and the signals that mean the same."""

from __future__ import annotations

import asyncio
import signal
from typing import Callable

from tsdask_mpi.channel import Channel
from tsdask_mpi.wire import Message

STOP_SECONDS = 2.0


def listen(channel: Channel, others: dict[str, Callable[[Message], None]]) -> asyncio.Future[float]:
    """Start to take orders; returns a future that gets the grace in seconds when it is time to stop.

    It is time when the rank says so, when its connection ends, and at SIGTERM or SIGINT.
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
            ask_stop(float(grace) if isinstance(grace, (int, float)) else STOP_SECONDS)
        elif operation in others:
            others[operation](message)

    channel.listen(order, lambda: ask_stop(0.0))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_stop, STOP_SECONDS)
    return stop
