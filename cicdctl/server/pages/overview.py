"""`/`: a row for each pipeline, and whether anything needs a person."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cicdctl.model import Run, RunState, Value
from cicdctl.server import changes
from cicdctl.server.catalog import Catalog, absent_words, catalog_of, trigger_words
from cicdctl.server.pages.forms import Fields, form
from cicdctl.server.pages.render import render
from cicdctl.server.pages.trends import BAR_RUNS, Bars, run_bars
from cicdctl.server.pages.words import is_red, ref_name, word
from cicdctl.server.route import TRIGGER, Route

# With a ref to look for, so many runs of each pipeline are searched for ten of it.
_SEARCHED_RUNS = 40
STATUSES = ("failed", "running", "waiting", "passed", "other", "never")


class Row(Value, frozen=True, kw_only=True):
    """One pipeline. `run` is its newest run, `before` how the newest one that ended did while that goes on."""

    name: str
    trigger: str
    bars: Bars
    run: Run | None = None
    before: str = ""
    status: str = "never"
    is_paused: bool = False
    can_run: bool = False
    needs_params: bool = False


def show_overview(request: Request) -> Response:
    """The pipelines and how their newest runs are."""
    site = request.state.site
    state = site.project.state
    newest_event = state.newest_event()
    asked = {name: request.query_params.get(name, "").strip()[:200] for name in ("name", "status", "ref")}
    catalog = catalog_of(site)
    every_s = site.project.settings.orchestrator.watch_interval_s
    next_at = min((one.next_at for one in site.monitors() if one.next_at is not None), default=None)
    rows = _rows(
        catalog,
        state.latest_per_pipeline(_SEARCHED_RUNS if asked["ref"] else BAR_RUNS),
        paused=state.queue.paused(),
        ref=asked["ref"].lower(),
    )
    counted = {status: sum(row.status == status for row in rows) for status in STATUSES}
    shown = [
        row
        for row in rows
        if asked["name"].lower() in row.name.lower()
        and asked["status"] in ("", row.status)
        and (not asked["ref"] or row.run is not None)
    ]
    return render(
        request,
        "overview.html",
        title="Pipelines",
        live=f"/api/events?after={newest_event}",
        light=_light(counted),
        rows=shown,
        total=len(rows),
        counted=counted,
        asked=asked,
        statuses=STATUSES,
        problem=catalog.problem,
        deployments=state.deployments.current(),
        # While forges tell of pushes, and after failures, it is looked at less often than that.
        looks_every_s=every_s if next_at is None or next_at - time.time() <= every_s + 1 else None,
        looks_next_at=next_at,
        looks_fail=any(one.error for one in site.monitors()),
    )


def _rows(catalog: Catalog, latest: Mapping[str, Sequence[Run]], *, paused: frozenset[str], ref: str) -> list[Row]:
    now = time.time()
    known = {pipeline.name: pipeline for pipeline in catalog.pipelines}
    rows = []
    for name in sorted(known.keys() | latest.keys(), key=lambda one: (one.lower(), one)):
        pipeline = known.get(name)
        runs = [run for run in latest.get(name, ()) if not ref or ref in ref_name(run.ref).lower()]
        newest = runs[0] if runs else None
        status = status_of(newest)
        ended = next((run for run in runs if run.state is RunState.DONE), None)
        rows.append(
            Row(
                name=name,
                trigger=trigger_words(pipeline.trigger) if pipeline else absent_words(name, catalog),
                bars=run_bars(runs, now),
                run=newest,
                before=word(ended) if ended is not None and ended is not newest else "",
                status=_left_behind(status) if pipeline is None and not catalog.problem else status,
                is_paused=name in paused,
                can_run=pipeline is not None,
                needs_params=pipeline is not None and any(param.default is None for param in pipeline.params),
            )
        )
    return rows


def status_of(run: Run | None) -> str:
    """Return which of `STATUSES` a pipeline with this newest run has."""
    if run is None:
        return "never"
    if run.state in (RunState.QUEUED, RunState.BLOCKED):
        return "waiting"
    if run.state is not RunState.DONE:
        return "running"
    if is_red(run):
        return "failed"
    return "passed" if word(run) == "passed" else "other"


def _left_behind(status: str) -> str:
    """Return the status of what is no pipeline any more: nobody can make it green, so its failure alarms nobody."""
    return "other" if status == "failed" else status


def _light(counted: Mapping[str, int]) -> str:
    if counted["failed"]:
        return "bad"
    if counted["running"] or counted["waiting"]:
        return "live"
    return "ok" if counted["passed"] else "idle"


def _roll_back(request: Request, fields: Fields) -> Response:
    """Deploy again what an environment had before, and go to the run that does it."""
    run = changes.roll_back(request.state.site, request.state.who, request.path_params["name"])
    return RedirectResponse(f"/r/{run.number}", 303)


ROUTES = (
    Route("GET", "/", show_overview, is_page=True),
    Route("POST", "/environments/{name}/rollback", form(_roll_back), scope=TRIGGER, is_page=True),
)
