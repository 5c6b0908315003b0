"""Forms of pages: what was filled in, then what it does, then back to a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cicdctl.server.answers import Refusal
from cicdctl.server.api.body import MOST_BYTES, read_bytes
from cicdctl.server.pages.login import safe_next

_MOST_FIELDS = 200
Fields = Mapping[str, str]


def form(work: Callable[[Request, Fields], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Make an endpoint of what is done with the fields of a form; `work` runs in a thread and may block.

    A field that comes more than once has its last value. Raises Refusal 400, 413 and 415.
    """

    async def endpoint(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        raw = await read_bytes(request, MOST_BYTES)
        if raw and kind != "application/x-www-form-urlencoded":
            raise Refusal(415, "content_type", "this address takes what a form sends")
        try:
            text = raw.decode("utf-8", "replace")
            fields = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
        except ValueError as error:
            raise Refusal(400, "body", "the form has too many fields") from error
        return await run_in_threadpool(work, request, fields)

    endpoint.__doc__ = work.__doc__
    return endpoint


def back_to(fields: Fields, otherwise: str) -> Response:
    """Return to the page that the form was on, when it says so and is one of ours."""
    return RedirectResponse(safe_next(fields["back"]) if "back" in fields else otherwise, 303)
