"""A refusal as a page."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cicdctl.server.answers import Refusal
from cicdctl.server.pages.render import render


def render_problem(request: Request, refusal: Refusal) -> Response:
    """Return what went wrong in HTML; who may only read after a login is sent there, and back."""
    if refusal.status == 401 and request.method in ("GET", "HEAD") and request.url.path != "/login":
        back = quote(request.url.path + (f"?{request.url.query}" if request.url.query else ""), safe="/")
        return RedirectResponse(f"/login?next={back}", 303)
    response = render(request, "problem.html", refusal=refusal, title=refusal.message)
    response.status_code = refusal.status
    response.headers.update(refusal.headers)
    return response
