"""Runs, as `cicdctl history` and `cicdctl show` have them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from cicdctl.model import RunFilter
from cicdctl.reports.document import run_document, run_fields
from cicdctl.server.answers import Refusal, answer
from cicdctl.server.route import Route


def list_runs(request: Request) -> Response:
    """List runs, newest first."""
    runs = request.state.site.project.state.runs(RunFilter(limit=20))
    return answer({"runs": [run_fields(run) for run in runs]})


def show_run(request: Request) -> Response:
    """One run with its stages."""
    number = request.path_params["number"]
    summary = request.state.site.project.state.load(number)
    if summary is None:
        raise Refusal(404, "no_such_run", f"there is no run #{number}")
    return answer(run_document(summary))


ROUTES = (
    Route("GET", "/api/runs", list_runs),
    Route("GET", "/api/runs/{number:int}", show_run),
)
