"""What changes a run or the queue: `POST` with a small body, 202 when it is durable."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from cicdctl.reports.document import run_fields
from cicdctl.server import changes
from cicdctl.server.answers import answer
from cicdctl.server.api.body import Nothing, with_body
from cicdctl.server.api.query import MOST_NUMBER
from cicdctl.server.route import ADMIN, CANCEL, TRIGGER, Route


class CancelBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why; shown with the run."""

    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""


class RerunBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`failed`: keep what passed. `no_cache`: run every stage."""

    failed: bool = False
    no_cache: bool = False


class PipelineBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One pipeline; empty: all."""

    pipeline: str = ""


class RollbackBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The run whose deployment is wanted; by default the last good one before the current."""

    to: Annotated[int, msgspec.Meta(ge=1, le=MOST_NUMBER)] | None = None


def cancel(request: Request, body: CancelBody) -> Response:
    """Ask a run to end."""
    summary = changes.cancel(request.state.site, request.state.who, request.path_params["number"], body.reason)
    return answer({"run": run_fields(summary.run)}, status=202)


def rerun(request: Request, body: RerunBody) -> Response:
    """Run the same pipeline on the same commit again, as a new run."""
    number = request.path_params["number"]
    run = changes.rerun(request.state.site, request.state.who, number, failed=body.failed, no_cache=body.no_cache)
    return answer({"run": run_fields(run), "url": f"/r/{run.number}"}, status=202)


def resume(request: Request, body: Nothing) -> Response:
    """Queue a run again whose runner died, with what passed in it."""
    run = changes.resume(request.state.site, request.state.who, request.path_params["number"])
    return answer({"run": run_fields(run), "url": f"/r/{run.number}"}, status=202)


def approve(request: Request, body: Nothing) -> Response:
    """Let a run start that waits for an approval."""
    summary = changes.approve(request.state.site, request.state.who, request.path_params["number"])
    return answer({"run": run_fields(summary.run)}, status=202)


def pause(request: Request, body: PipelineBody) -> Response:
    """Start nothing any more that waits."""
    changed = changes.pause(request.state.site, body.pipeline)
    return answer({"pipeline": body.pipeline, "paused": True, "changed": changed}, status=202)


def unpause(request: Request, body: PipelineBody) -> Response:
    """Let go on what is paused."""
    done = changes.unpause(request.state.site, body.pipeline)
    told = {"pipeline": body.pipeline, "paused": False, "changed": done.changed, "started": list(done.started)}
    return answer(told, status=202)


def drain(request: Request, body: Nothing) -> Response:
    """Start what may start."""
    return answer({"started": changes.drain_now(request.state.site)}, status=202)


def roll_back(request: Request, body: RollbackBody) -> Response:
    """Deploy again what an environment had before."""
    run = changes.roll_back(request.state.site, request.state.who, request.path_params["name"], to=body.to)
    return answer({"run": run_fields(run), "url": f"/r/{run.number}"}, status=202)


ROUTES = (
    Route("POST", "/api/runs/{number:int}/cancel", with_body(CancelBody, cancel), scope=CANCEL),
    Route("POST", "/api/runs/{number:int}/rerun", with_body(RerunBody, rerun), scope=TRIGGER),
    Route("POST", "/api/runs/{number:int}/resume", with_body(Nothing, resume), scope=TRIGGER),
    Route("POST", "/api/runs/{number:int}/approve", with_body(Nothing, approve), scope=ADMIN),
    Route("POST", "/api/pause", with_body(PipelineBody, pause), scope=ADMIN),
    Route("POST", "/api/unpause", with_body(PipelineBody, unpause), scope=ADMIN),
    Route("POST", "/api/drain", with_body(Nothing, drain), scope=ADMIN),
    Route("POST", "/api/environments/{name}/rollback", with_body(RollbackBody, roll_back), scope=TRIGGER),
)
