"""Bodies of requests: bounded, JSON, and of exactly the shape that is wanted."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.requests import Request

from cicdctl.server.answers import Refusal

MOST_BYTES = 64 * 1024
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


async def read_bytes(request: Request, most: int) -> bytes:
    """Return the raw body. Raises Refusal 413 as soon as it is larger than `most` bytes, whatever it says of itself."""
    size = 0
    parts = []
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise Refusal(413, "too_large", f"the body is larger than {most} bytes", headers={"Connection": "close"})
        parts.append(part)
    return b"".join(parts)
