"""Bodies of requests: bounded, JSON, and of exactly the shape that is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cicdctl.server.answers import Refusal
from cicdctl.server.api.query import read_query

MOST_BYTES = 64 * 1024
BODY_S = 10.0
_CLOSE = {"Connection": "close"}  # what is still to come of the body is not read
_T = TypeVar("_T")


async def read_body(request: Request, shape: type[_T]) -> _T:
    """Return the body as `shape`; an empty one as its defaults. Raises Refusal 400, 413 and 415."""
    raw = await read_bytes(request, MOST_BYTES)
    if not raw.strip():
        raw = b"{}"
    elif request.headers.get("content-type", "").partition(";")[0].strip().lower() not in ("application/json", ""):
        raise Refusal(415, "content_type", "the body must be JSON", hint="Content-Type: application/json")
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise Refusal(400, "body", f"the body is not what is wanted: {error}") from error


async def read_bytes(
    request: Request, most: int, *, make_room: Callable[[int], Awaitable[None]] | None = None
) -> bytes:
    """Return the raw body, which has `BODY_S` seconds to come. `make_room(size)` may delay what would fill the memory.

    Raises Refusal 413 as soon as it is, or says that it will be, larger than `most` bytes, and 408.
    """
    size = 0
    parts = []
    said = request.headers.get("content-length", "")
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                size += len(part)
                if size > most or (said.isdigit() and int(said[:16]) > most):
                    raise Refusal(413, "too_large", f"the body is larger than {most} bytes", headers=_CLOSE)
                if make_room is not None:
                    await make_room(size)
                parts.append(part)
    except TimeoutError:
        raise Refusal(408, "too_slow", "the body did not come", headers=_CLOSE) from None
    return b"".join(parts)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body that says nothing."""


def with_body(shape: type[_T], work: Callable[[Request, _T], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint that reads a body of this shape and hands it to `work`, which may block."""

    async def endpoint(request: Request) -> Response:
        read_query(request)
        return await run_in_threadpool(work, request, await read_body(request, shape))

    endpoint.__doc__ = work.__doc__
    return endpoint
