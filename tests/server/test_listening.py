"""Sockets as they are handed to the event loop."""

from __future__ import annotations

import asyncio
import socket

import pytest
from own_loop import run_async

from cicdctl.server.listening import take_sockets


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_answers_are_not_held_back(host):
    """Without TCP_NODELAY every answer on a connection that is kept waits 40 ms for the other side."""

    async def option() -> int:
        (listener,) = take_sockets({}, host, 0)
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(take, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            try:
                return await asyncio.wait_for(found, 10)
            finally:
                writer.close()
                await writer.wait_closed()

    assert run_async(option) != 0
