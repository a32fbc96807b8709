"""The line on which a child asks for a slot to start in."""

import asyncio
import gc
import socket

from tsdask_mpi.channel import SlotLine


def test_a_child_whose_fork_server_has_ended_waits_for_no_slot() -> None:
    own, server = socket.socketpair()
    server.close()

    async def ask() -> None:
        await asyncio.wait_for(SlotLine(own).ask(asyncio.get_running_loop().create_future()), 5)

    asyncio.run(ask())
    own.close()


def test_a_fork_server_that_is_killed_as_a_child_asks_is_no_trouble_of_the_child() -> None:
    own, server = socket.socketpair()
    troubles: list[object] = []

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: troubles.append(context))
        asked = asyncio.ensure_future(SlotLine(own).ask(loop.create_future()))
        await asyncio.sleep(0)
        # It has not read what it was asked: the line is reset.
        server.close()
        await asyncio.wait_for(asked, 60)

    asyncio.run(ask())
    gc.collect()
    own.close()
    assert troubles == []
