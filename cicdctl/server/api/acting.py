"""Endpoints that change something: a strict body, then work in a thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cicdctl.server.api.body import read_body
from cicdctl.server.api.query import read_query

_T = TypeVar("_T")


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body that says nothing."""


def acting(shape: type[_T], work: Callable[[Request, _T], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint that reads a body of this shape and hands it to `work`, which may block."""

    async def endpoint(request: Request) -> Response:
        read_query(request)
        return await run_in_threadpool(work, request, await read_body(request, shape))

    endpoint.__doc__ = work.__doc__
    return endpoint
