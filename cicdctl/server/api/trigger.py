"""`POST /trigger/{pipeline}`: queue a run of a commit."""

from __future__ import annotations

from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from cicdctl.errors import UsageError
from cicdctl.model import TriggerKind
from cicdctl.orchestrator.intake import queue_run
from cicdctl.reports.document import run_fields
from cicdctl.runner import RunRequest
from cicdctl.server.answers import answer
from cicdctl.server.api.body import read_body
from cicdctl.server.route import TRIGGER, Route


class TriggerBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be said of the run that is wanted; nothing has to be."""

    rev: str = "HEAD"
    params: dict[str, str] = {}
    wait: Literal["none", "start", "end"] = "none"


async def trigger(request: Request) -> Response:
    """Queue the run; 202 once it is durable."""
    from starlette.concurrency import run_in_threadpool

    pipeline = request.path_params["pipeline"]
    request.state.who.require(f"trigger:{pipeline}")
    body = await read_body(request, TriggerBody)
    return await run_in_threadpool(_queue, request, pipeline, body)


def _queue(request: Request, pipeline: str, body: TriggerBody) -> Response:
    if not body.rev or body.rev.startswith("-"):
        raise UsageError(f'"{body.rev}" is no revision')
    wanted = RunRequest(pipeline=pipeline, revision=body.rev, params=body.params, trigger=TriggerKind.API)
    with request.state.site.open() as project:
        run = queue_run(project, wanted)
    return answer({"run": run_fields(run), "url": f"/r/{run.number}"}, status=202)


ROUTES = (Route("POST", "/trigger/{pipeline}", trigger, scope=TRIGGER),)
