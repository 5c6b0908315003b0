"""An answer without an end: given part by part until the client goes, or the server does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

HEARTBEAT_S = 15.0
HEARTBEAT = b": \n\n"


class Stream(Response):
    """Sends what a generator yields. The generator is closed as soon as the client is gone.

    Nothing is queued: the next part is made when the one before has left. Who takes none for 30 s is cut off, see
    `connections.PatientProtocol`.
    """

    def __init__(
        self,
        parts: AsyncGenerator[bytes],
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> None:
        super().__init__(status_code=status, headers=headers, media_type=media_type)
        if "Content-Length" not in (headers or {}):
            del self.headers["content-length"]
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        streaming = asyncio.current_task()
        assert streaming is not None
        gone = asyncio.create_task(_wait_until_gone(receive))
        gone.add_done_callback(lambda _: gone.cancelled() or streaming.cancel())
        try:
            async with contextlib.aclosing(self._parts) as parts:
                if scope["method"] != "HEAD":
                    async for part in parts:
                        await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if not gone.done() or gone.cancelled():
                raise
            streaming.uncancel()
        finally:
            gone.cancel()


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def event_stream(parts: AsyncGenerator[bytes]) -> Stream:
    """Return server-sent events."""
    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return Stream(parts, media_type="text/event-stream", headers=headers)


async def woken(waker: asyncio.Event, timeout_s: float = HEARTBEAT_S) -> bool:
    """Wait until there may be news; False after `timeout_s` seconds without."""
    try:
        async with asyncio.timeout(timeout_s):
            await waker.wait()
    except TimeoutError:
        return False
    waker.clear()
    return True
