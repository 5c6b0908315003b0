"""The buttons of a run's page: plain forms that do what the API and the command line do, and lead back."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cicdctl.fixing.decisions import approve_finding, reject_fix
from cicdctl.model.fix_record import FixRecord
from cicdctl.project import Project
from cicdctl.server import changes
from cicdctl.server.answers import Refusal
from cicdctl.server.api.runs import find_run
from cicdctl.server.pages.forms import Fields, back_to, form
from cicdctl.server.route import ADMIN, CANCEL, TRIGGER, Route

_MOST_REASON = 200


def _cancel(request: Request, fields: Fields) -> Response:
    """End a run; whoever looks at its page sees it end."""
    number = request.path_params["number"]
    changes.cancel(request.state.site, request.state.who, number)
    return back_to(fields, f"/r/{number}")


def _approve(request: Request, fields: Fields) -> Response:
    """Let a run start that waits for an approval."""
    number = request.path_params["number"]
    changes.approve(request.state.site, request.state.who, number)
    return back_to(fields, f"/r/{number}")


def _rerun(request: Request, fields: Fields) -> Response:
    """Run the same again, as a new run; with `failed` what passed is kept."""
    is_failed = fields.get("failed") == "true"
    again = changes.rerun(request.state.site, request.state.who, request.path_params["number"], failed=is_failed)
    return RedirectResponse(f"/r/{again.number}", 303)


def _resume(request: Request, fields: Fields) -> Response:
    """Queue a run again that was interrupted, with what passed in it."""
    again = changes.resume(request.state.site, request.state.who, request.path_params["number"])
    return RedirectResponse(f"/r/{again.number}", 303)


def _approve_finding(request: Request, fields: Fields) -> Response:
    """Lift the findings of one rule that keep a fix from being applied."""
    number = find_run(request.state.site, request.path_params["number"]).run.number
    with request.state.site.open() as project:
        record = _find_fix(project, number, fields)
        approve_finding(project, record, fields.get("finding", ""), who=request.state.who.name)
    return RedirectResponse(f"/r/{number}#fixes", 303)


def _reject_fix(request: Request, fields: Fields) -> Response:
    """Refuse a fix."""
    number = find_run(request.state.site, request.path_params["number"]).run.number
    with request.state.site.open() as project:
        reject_fix(project, _find_fix(project, number, fields), fields.get("reason", "").strip()[:_MOST_REASON])
    return RedirectResponse(f"/r/{number}#fixes", 303)


def _find_fix(project: Project, run: int, fields: Fields) -> FixRecord:
    record = next((one for one in project.fixes.of_run(run) if one.id == fields.get("fix")), None)
    if record is None:
        raise Refusal(404, "no_such_fix", f"run #{run} has no such fix")
    return record


ROUTES = (
    Route("POST", "/r/{number:int}/cancel", form(_cancel), scope=CANCEL, is_page=True),
    Route("POST", "/r/{number:int}/approve", form(_approve), scope=ADMIN, is_page=True),
    Route("POST", "/r/{number:int}/rerun", form(_rerun), scope=TRIGGER, is_page=True),
    Route("POST", "/r/{number:int}/resume", form(_resume), scope=TRIGGER, is_page=True),
    Route("POST", "/r/{number:int}/fixes/approve", form(_approve_finding), scope=ADMIN, is_page=True),
    Route("POST", "/r/{number:int}/fixes/reject", form(_reject_fix), scope=ADMIN, is_page=True),
)
