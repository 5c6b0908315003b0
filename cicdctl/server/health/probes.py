"""`/healthz` and `/readyz`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from cicdctl.errors import CicdError
from cicdctl.runner.begin import check_free_space
from cicdctl.server.route import PUBLIC, Route
from cicdctl.server.site import Site


async def healthz(request: Request) -> Response:
    """Answer as long as the process does."""
    return PlainTextResponse("ok\n")


def readyz(request: Request) -> Response:
    """Say whether runs can be taken in: the state is writable, there is room on the disk, and we are not ending.

    Whoever asks is anybody, so the answer names no folder.
    """
    site: Site = request.state.site
    problem = "ending" if site.is_ending else _problem(site)
    return PlainTextResponse("ready\n" if problem is None else f"{problem}\n", 200 if problem is None else 503)


def _problem(site: Site) -> str | None:
    try:
        site.tokens.check_writable()
    except CicdError:
        return "the state cannot be written"
    try:
        check_free_space(site.project)
    except CicdError:
        return "the disk is nearly full: less is free than orchestrator.min_free"
    return None


ROUTES = (
    Route("GET", "/healthz", healthz, scope=PUBLIC),
    Route("GET", "/readyz", readyz, scope=PUBLIC),
)
