"""`POST /trigger/{pipeline}`: queue a run of a commit, and wait for it if so wished."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any, Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cicdctl.model import RunState, RunSummary
from cicdctl.orchestrator.pausing import is_held
from cicdctl.reports.document import run_document, run_fields
from cicdctl.server import changes
from cicdctl.server.answers import Refusal, answer
from cicdctl.server.api.body import read_body
from cicdctl.server.api.query import read_query
from cicdctl.server.guard.admission import is_admitted
from cicdctl.server.guard.who import Who
from cicdctl.server.live.stream import Stream, woken
from cicdctl.server.route import TRIGGER, Route
from cicdctl.server.site import Site

# Only spaces come until the answer does: JSON allows them, and proxies see that somebody is still there.
_STILL_THERE = b" "
Wait = Literal["none", "start", "end"]


class TriggerBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be said of the run that is wanted; nothing has to be."""

    rev: str = "HEAD"
    params: dict[str, str] = {}
    wait: Wait = "none"


async def trigger(request: Request) -> Response:
    """Queue the run; 202 once it is durable."""
    read_query(request)
    site, who, pipeline = request.state.site, request.state.who, request.path_params["pipeline"]
    who.require(f"trigger:{pipeline}")
    body = await read_body(request, TriggerBody)
    key = _key(request, who)
    asked = msgspec.json.encode([pipeline, body.rev, sorted(body.params.items()), body.wait]).decode()
    triggered = await run_in_threadpool(
        lambda: changes.trigger(site, who, pipeline, rev=body.rev, params=body.params, key=key, asked=asked)
    )
    number = triggered.run.number
    headers = {"Location": f"/api/runs/{number}"}
    if triggered.is_repeated:
        headers["Idempotent-Replayed"] = "true"
    if body.wait == "none":
        return answer({"run": run_fields(triggered.run), **_where(number)}, status=202, headers=headers)
    parts = _wait_for(request, number, body.wait, scope=f"trigger:{pipeline}")
    return Stream(parts, media_type="application/json", headers=headers, status=202)


async def _wait_for(request: Request, number: int, wait: Wait, *, scope: str) -> AsyncGenerator[bytes]:
    """Yield the answer when the run has started or ended, or waits for people; no thread is held meanwhile.

    Whoever may not have asked any more by then, because the token was revoked, is told of no run.
    """
    site: Site = request.state.site
    waker = asyncio.Event()
    with site.feed.listening(waker, number):
        while True:
            summary, is_held = await site.feed.in_thread(lambda: _look(site, number))
            if summary is None or is_held or site.feed.has_ended or _is_over(summary, wait):
                break
            if not await woken(waker):
                if not await run_in_threadpool(is_admitted, request, scope):
                    break
                yield _STILL_THERE
    if not await run_in_threadpool(is_admitted, request, scope):
        summary = None
    body: dict[str, Any] = {"run": None, "stages": []} if summary is None else run_document(summary)
    yield msgspec.json.encode(body | _where(number))


def _look(site: Site, number: int) -> tuple[RunSummary | None, bool]:
    summary = site.project.state.load(number)
    return summary, summary is not None and is_held(summary.run, site.project.state.queue.paused())


def _is_over(summary: RunSummary, wait: Wait) -> bool:
    if wait == "end":
        return summary.run.state is RunState.DONE
    return summary.run.state not in (RunState.QUEUED, RunState.BLOCKED)


def _where(number: int) -> dict[str, str]:
    return {"url": f"/r/{number}"}


def _key(request: Request, who: Who) -> tuple[str, str] | None:
    """Return the name under which a request is only carried out once: whoever asks has keys of their own."""
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    if len(given) > 1 or re.fullmatch(r"[\x21-\x7e]{1,255}", given[0]) is None:
        hint = "one of 1 to 255 letters, digits and signs, such as a UUID"
        raise Refusal(400, "key", "this Idempotency-Key has not the form of one", hint=hint)
    return f"api {who.token}", given[0]


ROUTES = (Route("POST", "/trigger/{pipeline}", trigger, scope=TRIGGER),)
