"""`/triggers`: how changes are noticed, what forges have told, what is scheduled, and whether all of that works."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from cicdctl.server.catalog import catalog_of, trigger_words
from cicdctl.server.pages.forms import Fields, back_to, form
from cicdctl.server.pages.render import render
from cicdctl.server.route import ADMIN, Route
from cicdctl.server.site import Site
from cicdctl.server.webhooks.overview import read_triggers

MOST_REFS = 100
# Beside the refs of a source the store keeps a mark that it was looked at.
_NO_REF = ""


def show_triggers(request: Request) -> Response:
    """Monitors, webhooks and schedules."""
    site: Site = request.state.site
    state = site.project.state
    newest_event = state.newest_event()
    found = read_triggers(site)
    fired = state.queue.last_fired()
    sources = dict.fromkeys(one.state.source for one in found.monitors)
    refs = [
        (source, ref, oid)
        for source in sources
        for ref, oid in sorted(state.queue.seen(source).items())
        if ref != _NO_REF
    ]
    pipelines = catalog_of(site).pipelines
    return render(
        request,
        "triggers.html",
        title="Triggers",
        live=f"/api/events?after={newest_event}",
        light="warn" if any(one.state.error for one in found.monitors) else "idle",
        monitors=found.monitors,
        forges=found.forges,
        deliveries=found.deliveries,
        waiting=found.waiting,
        pipelines=[(one.name, trigger_words(one.trigger), fired.get(one.name)) for one in pipelines],
        refs=refs[:MOST_REFS],
        refs_total=len(refs),
        has_sources=len(sources) > 1,
    )


def _look(request: Request, fields: Fields) -> Response:
    """Look at the repository now: what a delivery told of is taken again, too."""
    request.state.site.look_now()
    return back_to(fields, "/triggers")


ROUTES = (
    Route("GET", "/triggers", show_triggers, is_page=True),
    Route("POST", "/triggers/look", form(_look), scope=ADMIN, is_page=True),
)
