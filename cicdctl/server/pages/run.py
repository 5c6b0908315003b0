"""One run, and the log of one of its stages."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from cicdctl.errors import CicdError
from cicdctl.model import Run, RunState, RunSummary, TriggerKind, Verdict
from cicdctl.orchestrator.culprit import culprit_of, search_words
from cicdctl.orchestrator.places import RED
from cicdctl.project import Project
from cicdctl.reports.by_hand import run_again, shell_command
from cicdctl.reports.lines import broke
from cicdctl.reports.text import quoted
from cicdctl.server.answers import Refusal
from cicdctl.server.pages.artifact_list import list_artifacts
from cicdctl.server.pages.failure_cards import ended_words, failure_cards
from cicdctl.server.pages.fix_cards import fix_cards
from cicdctl.server.pages.forge import forge_of
from cicdctl.server.pages.log_part import LogPart, read_part
from cicdctl.server.pages.render import render
from cicdctl.server.pages.stages import StageView, draw_graph, draw_waterfall, view_stages
from cicdctl.server.pages.words import look
from cicdctl.server.route import Route
from cicdctl.server.stage_names import find_name

_MOST_EVENTS = 20_000
_MOST_LINE = 10**12
_MOST_TRIES = 50
# Fixes and the search for a culprit go on after the end of a run; a page that is opened much later stays as it is.
_STILL_LIVE_S = 3600.0
_LIGHTS = {"ok": "ok", "bad": "bad", "live": "live", "wait": "live", "warn": "warn", "ask": "warn"}


def show_run(request: Request) -> Response:
    """The page of a run: what is wrong first, then how it went, and the log of one stage."""
    project, newest, summary, stages = _load(request)
    run = summary.run
    name = _asked(request, stages)
    chosen = next((stage for stage in stages if stage.id == name), None) or _first_to_look_at(summary, stages)
    part = _part(request, project, summary, chosen) if chosen is not None else None
    forge = forge_of(project.repository.config)
    chart = draw_waterfall(run, stages)
    return render(
        request,
        "run.html",
        title=f"#{run.number} {run.pipeline}",
        light=_LIGHTS.get(look((run.verdict or run.state).value), "idle"),
        live=_live(run, newest, part),
        run=run,
        stages=stages,
        by_id={stage.id: stage for stage in stages},
        facts=_facts(project, summary, stages),
        commit_href="" if run.snapshot else forge.commit(run.commit),
        ref_href="" if run.snapshot else forge.ref(run.ref),
        failures=failure_cards(project, summary, stages, forge),
        fixes=_quietly(lambda: fix_cards(project, run.number), ()),
        picture=draw_graph(run, stages, chart.critical if chart is not None else ()),
        chart=chart,
        part=part,
        by_hand=run_again(run),
        artifacts=_quietly(lambda: list_artifacts(project, summary), ()),
        **_actions(run),
    )


def show_stage(request: Request) -> Response:
    """The log of a stage, as large as the window."""
    project, newest, summary, stages = _load(request)
    run = summary.run
    name = find_name([stage.id for stage in stages], request.path_params["stage"])
    stage = next((stage for stage in stages if stage.id == name), None)
    if stage is None:
        raise Refusal(404, "no_such_stage", f"run #{run.number} has no such stage", hint=f"/r/{run.number} lists them")
    part = _part(request, project, summary, stage)
    return render(
        request,
        "stage.html",
        title=f"{quoted(stage.id)} #{run.number}",
        light=_LIGHTS.get(stage.look, "idle"),
        live=_live(run, newest, part),
        run=run,
        stage=stage,
        stages=stages,
        ended=ended_words(stage.result) if stage.result is not None else [],
        part=part,
        by_hand=shell_command(run.number, stage.id),
    )


def _load(request: Request) -> tuple[Project, int, RunSummary, tuple[StageView, ...]]:
    project: Project = request.state.site.project
    number = request.path_params["number"]
    # Before anything is read: what comes later is told to the page.
    newest = project.state.newest_event()
    summary = project.state.load(number)
    if summary is None:
        raise Refusal(404, "no_such_run", f"there is no run #{number}")
    events = project.state.events(run=number, limit=_MOST_EVENTS)
    stages = view_stages(summary, project.state.open_attempts(number), events)
    return project, newest, summary, stages


def _asked(request: Request, stages: tuple[StageView, ...]) -> str | None:
    return find_name([stage.id for stage in stages], request.query_params.get("stage", ""))


def _first_to_look_at(summary: RunSummary, stages: tuple[StageView, ...]) -> StageView | None:
    """Return the first stage that failed; else the one that runs; else the last that has a log."""
    failed = {result.stage for result in broke(summary.stages)}
    for fits in (
        lambda stage: stage.id in failed,
        lambda stage: stage.is_running,
    ):
        found = next((stage for stage in stages if fits(stage)), None)
        if found is not None:
            return found
    logged = [stage for stage in stages if stage.result is not None and stage.result.log is not None]
    return logged[-1] if logged else next(iter(stages), None)


def _part(request: Request, project: Project, summary: RunSummary, stage: StageView) -> LogPart:
    return read_part(project, summary, stage, attempt=_number(request, "attempt"), from_line=_number(request, "line"))


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    return min(int(text), _MOST_LINE) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _live(run: Run, newest: int, part: LogPart | None) -> str:
    """Return the one stream of the page: what happens to the run, and the log of the stage from where it is shown."""
    if run.finished_at is not None and time.time() - run.finished_at > _STILL_LIVE_S:
        return ""
    address = f"/api/events?run={run.number}&after={newest}"
    if part is not None and part.is_growing:
        address += f"&stage={quote(part.stage.id, safe='')}&offset={part.size}"
    return address


def _facts(project: Project, summary: RunSummary, stages: tuple[StageView, ...]) -> dict[str, Any]:
    run = summary.run
    looked_into = run.verdict in RED
    return {
        "attempt": _attempt_number(project, run),
        "is_after": _is_after(project, run),
        "peak_bytes": max((stage.peak_bytes for stage in stages), default=0),
        "cached": sum(result.cached for result in summary.stages),
        "planned": len(stages),
        "culprit": culprit_of(project, run.number) if looked_into else None,
        "culprit_search": search_words(project, run.number) if looked_into else None,
    }


def _attempt_number(project: Project, run: Run) -> int:
    """Say how often this has been run, counting those before it that it is the same again of."""
    number = 1
    while run.parent is not None and run.trigger is not TriggerKind.ROLLBACK and number < _MOST_TRIES:
        before = project.state.load(run.parent)
        if before is None or (before.run.commit, before.run.pipeline) != (run.commit, run.pipeline):
            break
        run, number = before.run, number + 1
    return number


def _is_after(project: Project, run: Run) -> bool:
    """Whether its parent is a run of the pipeline that it comes after; one made again has itself for a parent."""
    if run.parent is None or run.trigger is not TriggerKind.AFTER:
        return False
    before = project.state.load(run.parent)
    return before is not None and before.run.pipeline != run.pipeline


def _actions(run: Run) -> dict[str, bool]:
    """Say what can be done with a run; whether somebody may is another question."""
    is_done = run.verdict is not None
    return {
        "can_cancel": not is_done and not run.cancel_requested,
        "can_rerun": is_done,
        "can_rerun_failed": is_done and run.verdict not in (Verdict.PASSED, Verdict.SKIPPED),
        "can_approve": run.state is RunState.BLOCKED,
        "can_resume": run.verdict is Verdict.INTERRUPTED,
    }


def _quietly(read: Any, otherwise: Any) -> Any:
    """Return what was read; a store beside the runs that cannot be read does not keep a run from being shown."""
    try:
        return read()
    except CicdError:
        return otherwise


ROUTES = (
    Route("GET", "/r/{number:int}", show_run, is_page=True),
    Route("GET", "/r/{number:int}/s/{stage}", show_stage, is_page=True),
)
