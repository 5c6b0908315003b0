"""Runs, as `cicdctl history` and `cicdctl show` have them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from cicdctl.model import RunFilter, RunSummary, Verdict
from cicdctl.reports.document import run_fields
from cicdctl.reports.runs import whole_document
from cicdctl.server.answers import Refusal, answer
from cicdctl.server.api.query import number_of, read_query, word_of
from cicdctl.server.route import Route
from cicdctl.server.site import Site

MOST_RUNS = 200
_FILTERS = ("pipeline", "verdict", "ref", "commit", "active", "fixes", "before", "limit")
_WORDS = {"true": True, "false": False}


def list_runs(request: Request) -> Response:
    """List runs, newest first, without those that try a fix; `next` is the address of the page behind."""
    values = read_query(request, *_FILTERS)
    limit = number_of(values, "limit", 20, least=1, most=MOST_RUNS)
    verdict, active = word_of(values, "verdict", list(Verdict)), word_of(values, "active", list(_WORDS))
    fixes = word_of(values, "fixes", list(_WORDS))
    assert limit is not None
    wanted = RunFilter(
        pipeline=values.get("pipeline"),
        verdict=None if verdict is None else Verdict(verdict),
        ref=full_ref(values["ref"]) if "ref" in values else None,
        commit=_commit(values),
        active=None if active is None else _WORDS[active],
        before=number_of(values, "before"),
        fixes=_WORDS[fixes or "false"],
        limit=limit + 1,
    )
    runs = request.state.site.project.state.runs(wanted)
    following = None
    if len(runs) > limit:
        following = "/api/runs?" + urlencode({**values, "before": str(runs[limit - 1].number)})
    return answer({"runs": [run_fields(run) for run in runs[:limit]], "next": following})


def show_run(request: Request) -> Response:
    """One run with its stages."""
    read_query(request)
    site: Site = request.state.site
    return answer(whole_document(site.project, find_run(site, request.path_params["number"])))


def find_run(site: Site, number: int) -> RunSummary:
    """Return a run. Raises Refusal 404 when there is none."""
    summary = site.project.state.load(number)
    if summary is None:
        raise Refusal(404, "no_such_run", f"there is no run #{number}", hint="GET /api/runs lists them")
    return summary


def full_ref(text: str) -> str:
    """Return the full name of a ref; a short one is a branch."""
    return text if text.startswith("refs/") else f"refs/heads/{text}"


def _commit(values: Mapping[str, str]) -> str | None:
    text = values.get("commit")
    if text is not None and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text) is None:
        raise Refusal(400, "query", '"commit" is a whole object id: 40 or 64 digits')
    return text


ROUTES = (
    Route("GET", "/api/runs", list_runs),
    Route("GET", "/api/runs/{number:int}", show_run),
)
