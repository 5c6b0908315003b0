"""Fixes: what was offered, on which grounds."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from cicdctl.errors import CicdError
from cicdctl.fixing.candidate import candidate_diff
from cicdctl.fixing.evidence import PROOF
from cicdctl.model.fix_record import FixRecord
from cicdctl.project import Project
from cicdctl.reports.fixes import fix_document, fix_story
from cicdctl.server.answers import Refusal, answer
from cicdctl.server.api.query import number_of, read_query
from cicdctl.server.route import Route
from cicdctl.server.site import Site

MOST_FIXES = 100
MOST_DIFF = 1_000_000  # characters


def list_fixes(request: Request) -> Response:
    """List fixes, newest first, of all runs or of one."""
    values = read_query(request, "run", "limit")
    limit = number_of(values, "limit", 20, least=1, most=MOST_FIXES)
    run = number_of(values, "run", least=1)
    assert limit is not None
    with request.state.site.open() as project:
        records = project.fixes.latest(limit) if run is None else project.fixes.of_run(run)[:limit]
    return answer({"fixes": [fix_document(record) for record in records]})


def show_fix(request: Request) -> Response:
    """One fix: what was tried and found, its diff and its proof."""
    read_query(request)
    number, stage = request.path_params["number"], request.path_params["stage"]
    return answer({"fix": fix_with_evidence(request.state.site, f"{number}/{stage}")})


def fix_with_evidence(site: Site, id: str) -> dict[str, Any]:
    """Return a fix with its events, `diff` and `proof`, null where there is none. Raises Refusal 404."""
    with site.open() as project:
        record = project.fixes.load(id)
        if record is None:
            raise Refusal(404, "no_such_fix", f'there is no fix "{id[:80]}"', hint="GET /api/fixes lists them")
        proof = project.fixes.document(id, PROOF)
        return fix_story(project, record) | {
            "diff": diff_of(project, record),
            "evidence": None if proof is None else msgspec.json.decode(proof),
        }


def diff_of(project: Project, record: FixRecord) -> str | None:
    """Return the patch; None when there is none, or git has let go of it. What is no UTF-8 in it shows as U+FFFD."""
    if record.candidate is None:
        return None
    try:
        diff = candidate_diff(project.repository, record.candidate)
    except CicdError:
        return None
    return diff.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:MOST_DIFF]


ROUTES = (
    Route("GET", "/api/fixes", list_fixes),
    Route("GET", "/api/fixes/{number:int}/{stage:path}", show_fix),
)
