"""Connections that take their time: a header must come whole within seconds, and nobody holds all of them.

Above the cap whoever has waited longest for a request to come makes room for the newest: ten thousand silent ones, from
however many addresses, keep nobody out.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_S = 5.0
# Who takes nothing of an answer for so long is cut off: nobody keeps bytes for them.
SEND_S = 30.0
MOST = 2000
MOST_PER_ADDRESS = 256
# Taken from the system at once; those above the cap are let go of only then.
BACKLOG = 512
_FILES = 128  # that a server has open besides


def most_connections() -> int:
    """Return how many connections there may be: as many as this process may open files, and 2,000 at most."""
    return max(64, min(MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - BACKLOG - _FILES))


class _Room:
    """The connections that are open, by address, and those of them that wait for a request, the longest first."""

    def __init__(self) -> None:
        self.most = most_connections()
        self.open = 0
        self.by_address: Counter[str] = Counter()
        self.waiting: dict[PatientProtocol, None] = {}

    def enter(self, address: str) -> None:
        self.open += 1
        self.by_address[address] += 1
        if self.open > self.most and self.waiting:
            next(iter(self.waiting)).leave()

    def leave(self, address: str) -> None:
        self.open -= 1
        self.by_address[address] -= 1
        if self.by_address[address] <= 0:
            del self.by_address[address]


_room = _Room()


class PatientProtocol(H11Protocol):
    """uvicorn's, which waits for ever for the first request of a connection, or the rest of one (measured)."""

    _timer: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None
    _address: str | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        _room.enter(self._address)
        if _room.by_address[self._address] > MOST_PER_ADDRESS and not is_trusted(self._address, self.config):
            self.leave()
            return
        self._arm()

    def leave(self) -> None:
        """Give up the connection and its place, at once and without a word."""
        self._disarm()
        if self._address is not None:
            _room.leave(self._address)
            self._address = None
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unstick()
        self.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._disarm()  # a request is being answered
        elif self._timer is None:
            self._arm()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # What was sent ahead of time may be half a request: uvicorn's own timer was ended by it.
        if self._timer is None and not self.transport.is_closing():
            self._arm()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = asyncio.get_running_loop().call_later(SEND_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unstick()

    def _unstick(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(HEADER_S, self._give_up)
        _room.waiting[self] = None

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        _room.waiting.pop(self, None)

    def _give_up(self) -> None:
        self._disarm()
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def is_trusted(address: str, config: Any) -> bool:
    """Whether an address is a proxy's, behind which many people may be; so is whoever comes by a file."""
    if not address:
        return True
    allowed = config.forwarded_allow_ips
    return bool(allowed) and address in (allowed.split(",") if isinstance(allowed, str) else allowed)
