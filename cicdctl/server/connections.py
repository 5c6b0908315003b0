"""Connections that take their time: a header must come whole within seconds, and one address may not hold them all."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_S = 5.0
# Who takes nothing of an answer for so long is cut off: nobody keeps bytes for them.
SEND_S = 30.0
MOST_PER_ADDRESS = 256
_open: Counter[str] = Counter()


class PatientProtocol(H11Protocol):
    """uvicorn's, which waits for ever for the first request of a connection, or the rest of one (measured)."""

    _timer: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None
    _address = ""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        _open[self._address] += 1
        if _open[self._address] > MOST_PER_ADDRESS and not is_trusted(self._address, self.config):
            transport.abort()
            return
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._unstick()
        _open[self._address] -= 1
        if _open[self._address] <= 0:
            del _open[self._address]
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

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def is_trusted(address: str, config: Any) -> bool:
    """Whether an address is a proxy's, behind which many people may be; so is whoever comes by a file."""
    if not address:
        return True
    allowed = config.forwarded_allow_ips
    return bool(allowed) and address in (allowed.split(",") if isinstance(allowed, str) else allowed)
