"""A refusal as a page."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cicdctl.errors import CicdError
from cicdctl.server.answers import Refusal
from cicdctl.server.guard.who import identify
from cicdctl.server.pages.render import render


def render_problem(request: Request, refusal: Refusal) -> Response:
    """Return what went wrong in HTML; who may only read after a login is sent there, and back."""
    if refusal.status == 401 and request.method in ("GET", "HEAD") and request.url.path != "/login":
        back = quote(request.url.path + (f"?{request.url.query}" if request.url.query else ""), safe="/")
        return RedirectResponse(f"/login?next={back}", 303)
    if getattr(request.state, "who", None) is None and getattr(request.state, "is_our_host", False):
        # Nobody was asked who they are for a page that does not exist; the bar around it says it all the same.
        # Under another name we say nothing of ourselves: a foreign page may be what reads it.
        with suppress(Refusal, CicdError):
            request.state.who = identify(request, request.state.site)
    response = render(
        request, "problem.html", title=refusal.message, light="warn", status=refusal.status, refusal=refusal
    )
    response.headers.update(refusal.headers)
    return response
