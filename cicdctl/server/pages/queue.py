"""`/queue`: what runs, what waits and for what."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from cicdctl.orchestrator.queue_view import look_at_queue
from cicdctl.server import changes
from cicdctl.server.pages.forms import Fields, back_to, form
from cicdctl.server.pages.render import render
from cicdctl.server.route import ADMIN, Route
from cicdctl.server.site import Site


def show_queue(request: Request) -> Response:
    """What runs and what waits."""
    site: Site = request.state.site
    newest_event = site.project.state.newest_event()
    view = look_at_queue(site.project)
    return render(
        request,
        "queue.html",
        title="Queue",
        live=f"/api/events?after={newest_event}",
        light="live" if view.running or view.waiting else "idle",
        view=view,
    )


def _pause(request: Request, fields: Fields) -> Response:
    """Start nothing any more that waits."""
    changes.pause(request.state.site)
    return back_to(fields, "/queue")


def _resume(request: Request, fields: Fields) -> Response:
    """Start what waits."""
    changes.unpause(request.state.site)
    return back_to(fields, "/queue")


ROUTES = (
    Route("GET", "/queue", show_queue, is_page=True),
    Route("POST", "/pause", form(_pause), scope=ADMIN, is_page=True),
    Route("POST", "/resume", form(_resume), scope=ADMIN, is_page=True),
)
