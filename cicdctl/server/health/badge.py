"""`/badge/{pipeline}.svg`: how a branch is, as a small picture."""

from __future__ import annotations

import hashlib
from html import escape

from starlette.requests import Request
from starlette.responses import Response

from cicdctl.model import Run, RunFilter, Verdict
from cicdctl.server.route import PUBLIC, Route
from cicdctl.server.site import Site

_COLORS = {
    Verdict.PASSED: "#2e7d32",
    Verdict.FAILED: "#c62828",
    Verdict.TIMED_OUT: "#c62828",
    Verdict.ERROR: "#c62828",
}
_GREY = "#616161"
_LOOK_AT = 200
# Average width of a character of Verdana at 11 px, as badges everywhere have it.
_PER_CHARACTER = 6.7


def badge(request: Request) -> Response:
    """Draw the last verdict of a pipeline, of `?branch=` or of whatever branch; "unknown" where there is none.

    Anybody may see it: an unknown name and one that may not be seen look alike.
    """
    pipeline, branch = request.path_params["pipeline"], request.query_params.get("branch")
    run = find_last(request.state.site, pipeline, branch)
    verdict = run.verdict if run else None
    text = verdict.value.replace("_", " ") if verdict else "unknown"
    color = _COLORS.get(verdict, _GREY) if verdict else _GREY
    picture = draw(pipeline[:64], text, color).encode()
    mark = f'"{hashlib.sha256(picture).hexdigest()[:16]}"'
    headers = {"ETag": mark, "Cache-Control": "no-cache", "Content-Type": "image/svg+xml"}
    headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # it is for pages elsewhere
    if request.headers.get("if-none-match") == mark:
        return Response(status_code=304, headers=headers)
    return Response(picture, headers=headers)


def find_last(site: Site, pipeline: str, branch: str | None) -> Run | None:
    """Return the newest whole run with a verdict; trials, snapshots and skipped ones say nothing of a branch."""
    wanted = RunFilter(pipeline=pipeline, active=False, trials=False, limit=_LOOK_AT)
    ref = None if branch is None else f"refs/heads/{branch}"
    for run in site.project.state.runs(wanted):
        if run.snapshot or run.is_partial or run.verdict in (Verdict.SKIPPED, Verdict.CANCELLED):
            continue
        if ref is None or run.ref == ref:
            return run
    return None


def draw(left: str, right: str, color: str) -> str:
    """Return a badge as SVG; both texts are escaped."""
    first, second = (round(len(text) * _PER_CHARACTER) + 12 for text in (left, right))
    width = first + second
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" '
        f'aria-label="{escape(left)}: {escape(right)}"><title>{escape(left)}: {escape(right)}</title>'
        f'<clipPath id="r"><rect width="{width}" height="20" rx="3"/></clipPath><g clip-path="url(#r)">'
        f'<rect width="{first}" height="20" fill="#424242"/>'
        f'<rect x="{first}" width="{second}" height="20" fill="{color}"/></g>'
        f'<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{first / 2}" y="14">{escape(left)}</text>'
        f'<text x="{first + second / 2}" y="14">{escape(right)}</text></g></svg>'
    )


ROUTES = (Route("GET", "/badge/{pipeline}.svg", badge, scope=PUBLIC),)
