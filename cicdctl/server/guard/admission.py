"""Whether somebody who was let in still may be here: for streams, which outlive a token that is revoked."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import monotonic

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from cicdctl.errors import CicdError
from cicdctl.server.answers import Refusal
from cicdctl.server.guard.who import identify
from cicdctl.server.site import Site

# How long a stream goes on at most after a token was revoked, and with a heartbeat more when nothing happens in it.
CHECK_S = 2.0


def is_admitted(request: Request, scope: str) -> bool:
    """Ask once more what the door asked. Blocks. A store that cannot be read lets nobody out: it let them in."""
    site: Site = request.state.site
    try:
        identify(request, site).require(scope, anonymous=site.anonymous)
    except Refusal:
        return False
    except CicdError:
        return True
    return True


async def while_admitted(request: Request, scope: str, parts: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Yield parts of a stream, and end it before the first that whoever asked for it may not have any more."""
    checked_at = monotonic()
    async with aclosing(parts):
        async for part in parts:
            if monotonic() - checked_at >= CHECK_S:
                if not await run_in_threadpool(is_admitted, request, scope):
                    return
                checked_at = monotonic()
            yield part
