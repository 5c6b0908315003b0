"""`GET /api/events`: one stream for everything a page shows."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from cicdctl.server.answers import Refusal
from cicdctl.server.api.logs import find_log
from cicdctl.server.api.query import number_of, read_query
from cicdctl.server.api.runs import find_run
from cicdctl.server.guard.admission import while_admitted
from cicdctl.server.live.follow import finder, last_seen, offset_after, tell_events, tell_events_and_log
from cicdctl.server.live.stream import Stream, event_stream
from cicdctl.server.route import READ, Route
from cicdctl.server.site import Site


async def stream_events(request: Request) -> Stream:
    """Events of all runs or of one, as they happen; with `stage` also what its newest attempt prints.

    Without `after` a run's events come from its first on, those of all from now on.
    """
    values = read_query(request, "run", "after", "stage", "offset")
    site: Site = request.state.site
    run, after, stage = number_of(values, "run", least=1), number_of(values, "after"), values.get("stage")
    offset = number_of(values, "offset", 0)
    assert offset is not None
    if run is None and (stage is not None or "offset" in values):
        raise Refusal(400, "query", '"stage" and "offset" are of one run', hint="name it: run=N")
    seen = last_seen(request.headers.get("last-event-id"))
    if seen is not None:
        after, offset = seen[0], offset if seen[1] is None else seen[1]
    if run is not None:
        await run_in_threadpool(find_run, site, run)
    newest = await site.feed.newest()
    # An id that is to come yet is none of this history: it was restored meanwhile.
    position = min(newest, (newest if run is None else 0) if after is None else after)
    if run is None or stage is None:
        return event_stream(while_admitted(request, READ, tell_events(site.feed, run, position)))
    log = await run_in_threadpool(find_log, site, run, stage)
    found_at = await site.feed.newest()
    if after is not None:
        offset = await run_in_threadpool(offset_after, site.project, run, stage, position, offset)
    find = finder(lambda: site.project, run, stage)
    parts = tell_events_and_log(site.feed, find, run, position, log, offset, found_at=found_at)
    return event_stream(while_admitted(request, READ, parts))


ROUTES = (Route("GET", "/api/events", stream_events),)
