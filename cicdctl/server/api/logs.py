"""Logs of stages: windows, search, whole, and as they grow."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cicdctl.errors import StoreError, UsageError
from cicdctl.reports.text import clean_line
from cicdctl.runner.places import file_name, open_plain
from cicdctl.runner.stage_logs import StageLog, find_stage_log
from cicdctl.server.answers import Refusal, answer
from cicdctl.server.api.query import MOST_NUMBER, number_of, read_query
from cicdctl.server.api.runs import find_run
from cicdctl.server.download import Download
from cicdctl.server.guard.admission import while_admitted
from cicdctl.server.live.follow import finder, last_seen, tell_log
from cicdctl.server.live.stream import Stream, event_stream
from cicdctl.server.route import READ, Route
from cicdctl.server.site import Site
from cicdctl.server.stage_names import find_name
from cicdctl.store import LogReader, read_times

MOST_LINES = 2000
# A line may have 16 KB: many of them would fill the memory, most of all for many who ask at once.
MOST_LINE_BYTES = 4 * 2**20
MOST_MATCHES = 1000
SEARCH_S = 1.0
MOST_NEEDLE = 1000


def show_log(request: Request) -> Response:
    """A window of lines; with `q` the numbers of the lines that hold a text."""
    values = read_query(request, "from_line", "lines", "attempt", "q")
    site, number, stage = request.state.site, request.path_params["number"], request.path_params["stage"]
    attempt = number_of(values, "attempt")
    first = number_of(values, "from_line", 0, least=-MOST_NUMBER)
    lines = number_of(values, "lines", 200, least=0, most=MOST_LINES)
    assert first is not None and lines is not None
    if "q" in values:
        return answer(search_log(site, number, stage, values["q"], attempt=attempt))
    return answer(log_window(site, number, stage, first, lines, attempt=attempt))


def log_window(
    site: Site, number: int, stage: str, first: int, count: int, *, attempt: int | None = None
) -> dict[str, Any]:
    """Return `count` lines from `first` on; a negative one counts from the end. `size` is where a stream goes on.

    There are fewer where they are so long that they have more than 4 MB.
    `open_line`: the last line has no end yet. `times` are seconds after `opened_at`; both None where nobody noted them.
    Raises Refusal 404 for a stage, an attempt or a log that is not there.
    """
    log = find_log(site, number, stage, attempt)
    shown: list[str] = []
    total = size = 0
    is_open = False
    times = None
    if log.path is not None and log.path.exists():
        window = LogReader(log.path).look(first, count, most_bytes=MOST_LINE_BYTES)
        first, total, size = window.first, window.total, window.size
        shown = [clean_line(line, keep_colors=True).removesuffix("\n") for line in window.lines]
        times = read_times(log.path, window.start, window.lines)
        is_last = first + len(window.lines) >= total
        is_open = is_last and bool(window.lines) and not window.lines[-1].endswith(b"\n")
    return {
        "stage": log.stage,
        "attempt": log.attempt,
        "attempts": log.attempts,
        "from_line": max(0, first),
        "total_lines": total,
        "size": size,
        "is_complete": log.is_complete,
        "open_line": is_open,
        "lines": shown,
        "opened_at": times.opened_at if times else None,
        "times": times.since_s if times else None,
    }


def search_log(site: Site, number: int, stage: str, needle: str, *, attempt: int | None = None) -> dict[str, Any]:
    """Return the numbers of the lines that hold a text, counted from 0; what is found within a second."""
    if len(needle) > MOST_NEEDLE or "\n" in needle:
        raise Refusal(400, "query", f'"q" is one line, of {MOST_NEEDLE} characters at most')
    log = find_log(site, number, stage, attempt)
    if log.path is None or not log.path.exists():
        return {"matches": [], "is_complete": True}
    raw = needle.encode("utf-8", "surrogateescape")
    found = LogReader(log.path).find(raw, limit=MOST_MATCHES, budget_s=SEARCH_S)
    return {"matches": [match.line for match in found.matches], "is_complete": found.is_complete}


def find_log(site: Site, number: int, stage: str, attempt: int | None = None) -> StageLog:
    """Return where a stage's log is. Raises Refusal 404."""
    summary = find_run(site, number)
    try:
        # Pages write names that no address can hold as the names of files are written.
        return find_stage_log(site.project, summary, find_name(summary.run.stage_names, stage) or stage, attempt)
    except UsageError as error:
        raise Refusal(404, "no_such_stage", error.message, hint=error.hint) from error
    except StoreError as error:
        raise Refusal(404, "log_gone", error.message, hint=error.hint) from error


def raw_log(request: Request) -> Response:
    """The bytes as the stage wrote them, secrets masked, as an attachment."""
    values = read_query(request, "attempt")
    number, stage = request.path_params["number"], request.path_params["stage"]
    log = find_log(request.state.site, number, stage, number_of(values, "attempt"))
    missing = Refusal(404, "log_gone", f'stage "{stage}" of run #{number} has no log')
    if log.path is None:
        raise missing
    try:
        file = open_plain(log.path)
    except OSError as error:
        raise missing from error
    name = f"run-{number}-{file_name(stage)}.{log.attempt}.log"
    return Download(request, file, name=name, media_type="text/plain; charset=utf-8")


async def stream_log(request: Request) -> Stream:
    """The log as it grows, as server-sent events whose ids are offsets in bytes; ends with the attempt."""
    values = read_query(request, "offset", "attempt")
    site, number, stage = request.state.site, request.path_params["number"], request.path_params["stage"]
    offset, attempt = number_of(values, "offset", 0), number_of(values, "attempt")
    seen = last_seen(request.headers.get("last-event-id"))
    log = await run_in_threadpool(find_log, site, number, stage, attempt)
    assert offset is not None
    find = finder(lambda: site.project, number, stage)
    parts = tell_log(site.feed, find, number, log, offset if seen is None else seen[0])
    return event_stream(while_admitted(request, READ, parts))


_LOG = "/api/runs/{number:int}/stages/{stage:path}/log"
ROUTES = (
    Route("GET", _LOG, show_log),
    Route("GET", f"{_LOG}/raw", raw_log),
    Route("GET", f"{_LOG}/stream", stream_log),
)
