"""How much memory bodies may take that nobody has proved yet, from however many senders they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from cicdctl.server.api.body import read_bytes

_UNIT_BYTES = 64 * 1024
_UNITS = 1024


class Room:
    """64 MB for all that is beyond the first 64 KB of each body; who comes too late waits for the others."""

    def __init__(self) -> None:
        self._units = asyncio.Semaphore(_UNITS)

    @asynccontextmanager
    async def body(self, request: Request, most: int) -> AsyncIterator[bytes]:
        """Give the raw body, and its room back at the end. Raises Refusal 413 and 408."""
        held = 0

        async def make_room(size: int) -> None:
            nonlocal held
            while held < size // _UNIT_BYTES:
                await self._units.acquire()
                held += 1

        try:
            yield await read_bytes(request, most, make_room=make_room)
        finally:
            for _ in range(held):
                self._units.release()
