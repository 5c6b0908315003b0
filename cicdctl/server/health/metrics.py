"""`/metrics`: OpenMetrics text, as https://prometheus.io/docs/specs/om/open_metrics_spec has it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping

from starlette.requests import Request
from starlette.responses import Response

from cicdctl.model import RunFilter
from cicdctl.server.counters import Labels
from cicdctl.server.route import LOCAL, Route
from cicdctl.server.site import Site

_KIND = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_HELP = {
    "runs_created": "Runs that were recorded, by what triggered them.",
    "runs_finished": "Runs that ended.",
    "stages_finished": "Stages that ended; cached ones were not executed.",
    "stage_seconds": "Time that stages took, all together.",
    "http_answers": "Answers by class of status.",
    "webhook_answers": "Answers to deliveries of forges.",
    "webhooks_waiting": "Deliveries that git has not been asked about yet.",
    "webhook_last_seconds": "When a forge last told something that was proved, within 7 days.",
    "watchers": "Streams that are open.",
    "poll_lag_seconds": "How old is what a monitor knows.",
    "poll_failures": "Looks of a monitor that failed, in a row.",
    "runs_active": "Runs that go on.",
    "queue_length": "Runs that wait.",
    "queue_age_seconds": "How long the oldest of them waits.",
    "outbox_length": "Notices that wait to be sent.",
    "outbox_age_seconds": "How long the oldest of them is due.",
    "disk_free_bytes": "Free space where state and cache lie.",
    "start_time_seconds": "When the server started.",
}


def metrics(request: Request) -> Response:
    """Give every number."""
    site: Site = request.state.site
    site.tally.update(site.project.state)
    return Response("".join(_lines(site)), headers={"Content-Type": _KIND})


def _lines(site: Site) -> Iterator[str]:
    for name, series in sorted(site.counters.counts().items()):
        yield from _family(name, "counter", series)
    for name, series in sorted({**site.counters.gauges(), **_now(site)}.items()):
        yield from _family(name, "gauge", series)
    yield "# EOF\n"


def _now(site: Site) -> Mapping[str, Mapping[Labels, float]]:
    """Return what is to be seen at this moment."""
    project, now = site.project, time.time()
    waiting = project.state.queue.waiting()
    letters = project.state.outbox.letters()
    ages = [max(0.0, now - letter.due_at) for letter in letters if letter.due_at is not None]
    active = project.state.runs(RunFilter(active=True, limit=10_000))
    queued = {one.run for one in waiting}
    return {
        "runs_active": {(): sum(run.number not in queued for run in active)},
        "queue_length": {(): len(waiting)},
        "queue_age_seconds": {(): max((now - one.queued_at for one in waiting), default=0.0)},
        "outbox_length": {(): len(letters)},
        "outbox_age_seconds": {(): max(ages, default=0.0)},
        "disk_free_bytes": {
            (("of", name),): shutil.disk_usage(folder).free
            for name, folder in (("state", project.state_folder), ("cache", project.cache_folder))
        },
        **_polls(site, now),
        "webhooks_waiting": {(): site.webhooks.store.waiting()},
        "webhook_last_seconds": {(("forge", forge),): at for forge, at in site.webhooks.store.last_by_forge().items()},
        "start_time_seconds": {(): site.started_at},
    }


def _polls(site: Site, now: float) -> Mapping[str, Mapping[Labels, float]]:
    """Return how monitors fare. One that has not looked yet knows nothing that could be old."""
    states = site.monitors()
    return {
        "poll_lag_seconds": {
            (("monitor", one.name),): max(0.0, now - one.looked_at) for one in states if one.looked_at is not None
        },
        "poll_failures": {(("monitor", one.name),): one.failures for one in states},
    }


def _family(name: str, kind: str, series: Mapping[Labels, float]) -> Iterator[str]:
    full = f"cicdctl_{name}"
    yield f"# TYPE {full} {kind}\n"
    if full.endswith(("_seconds", "_bytes")):
        yield f"# UNIT {full} {full.rpartition('_')[2]}\n"
    yield f"# HELP {full} {_HELP.get(name, name)}\n"
    suffix = "_total" if kind == "counter" else ""
    for labels, value in sorted(series.items()):
        shown = ",".join(f'{label}="{_escape(text)}"' for label, text in labels)
        yield f"{full}{suffix}{'{' + shown + '}' if shown else ''} {value:.15g}\n"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


ROUTES = (Route("GET", "/metrics", metrics, scope=LOCAL),)
