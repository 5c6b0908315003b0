"""`/p/{pipeline}`: how it has been lately, which stages are flaky, every run of it, and starting one."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cicdctl.model import Run, RunFilter, RunState, RunSummary, StageResult, Value, Verdict
from cicdctl.server import changes
from cicdctl.server.answers import Refusal
from cicdctl.server.catalog import absent_words, catalog_of, trigger_words
from cicdctl.server.pages.forms import Fields, back_to, form
from cicdctl.server.pages.overview import status_of
from cicdctl.server.pages.render import render
from cicdctl.server.pages.trends import percentile, trend_of
from cicdctl.server.pages.words import is_red
from cicdctl.server.route import ADMIN, TRIGGER, Route

PAGE_RUNS = 30
TREND_RUNS = 100
STAGE_RUNS = 40
PARAM = "param."
_LIGHTS = {"failed": "bad", "running": "live", "waiting": "live", "passed": "ok"}


class StageFacts(Value, frozen=True, kw_only=True):
    """What one stage did in the last runs that ended."""

    name: str
    runs: int
    red: int
    flaky: int
    cached: int
    p50_s: float

    @property
    def is_troubled(self) -> bool:
        """Whether it needed a second try now and then, or fails now and then."""
        return self.flaky > 0 or self.red > 0


def show_pipeline(request: Request) -> Response:
    """One pipeline."""
    site, name = request.state.site, request.path_params["pipeline"]
    state = site.project.state
    newest_event = state.newest_event()
    catalog = catalog_of(site)
    pipeline = catalog.find(name)
    asked = request.query_params.get("status", "")
    verdict = Verdict(asked) if asked in list(Verdict) else None
    before = request.query_params.get("before", "")
    page = state.runs(
        RunFilter(
            pipeline=name,
            verdict=verdict,
            before=int(before) if before.isascii() and before.isdigit() and len(before) < 16 else None,
            limit=PAGE_RUNS + 1,
        )
    )
    recent = state.runs(RunFilter(pipeline=name, trials=False, limit=TREND_RUNS))
    if pipeline is None and not recent and not state.runs(RunFilter(pipeline=name, limit=1)):
        raise Refusal(404, "no_such_pipeline", "there is no such pipeline")
    ended = [run for run in recent if run.state is RunState.DONE]
    loaded = [summary for run in ended[:STAGE_RUNS] if (summary := state.load(run.number)) is not None]
    status = status_of(recent[0] if recent else None)
    return render(
        request,
        "pipeline.html",
        title=name,
        live=f"/api/events?after={newest_event}",
        light=_LIGHTS.get(status, "idle"),
        name=name,
        pipeline=pipeline,
        trigger=trigger_words(pipeline.trigger) if pipeline else absent_words(name, catalog),
        newest=recent[0] if recent else None,
        facts=_facts(ended),
        trend=trend_of(recent),
        stages=stage_facts(loaded),
        stage_runs=len(loaded),
        runs=page[:PAGE_RUNS],
        next_before=page[PAGE_RUNS - 1].number if len(page) > PAGE_RUNS else None,
        is_first=not before,
        asked=verdict.value if verdict else "",
        verdicts=[one.value for one in Verdict],
        is_paused=name in state.queue.paused(),
        wants_run="run" in request.query_params,
        param_prefix=PARAM,
        badge_url=_badge_url(request, name),
    )


def _facts(ended: Sequence[Run]) -> dict[str, object]:
    told = [run for run in ended if run.verdict is Verdict.PASSED or is_red(run)]
    passed = [run for run in told if run.verdict is Verdict.PASSED]
    lengths = [run.seconds for run in passed if run.started_at is not None]
    waits = [run.started_at - run.created_at for run in told if run.started_at is not None]
    return {
        "told": len(told),
        "passed_percent": 100 * len(passed) / len(told) if told else None,
        "p50_s": percentile(lengths, 50) if lengths else None,
        "p95_s": percentile(lengths, 95) if lengths else None,
        "wait_s": max(0.0, percentile(waits, 50)) if waits else None,
        "last_pass": passed[0] if passed else None,
    }


def stage_facts(summaries: Sequence[RunSummary]) -> list[StageFacts]:
    """Add up what each stage did, in the order of the newest run; those that are gone come last."""
    found: dict[str, list[StageResult]] = {}
    for summary in summaries:
        for result in summary.stages:
            found.setdefault(result.stage, []).append(result)
    return [
        StageFacts(
            name=name,
            runs=len(results),
            red=sum(not one.is_green and one.verdict is not Verdict.CANCELLED for one in results),
            flaky=sum(one.flaky for one in results),
            cached=sum(one.cached for one in results),
            p50_s=percentile([one.seconds for one in results if not one.cached], 50),
        )
        for name, results in found.items()
    ]


def _badge_url(request: Request, name: str) -> str:
    base = request.state.site.project.settings.server.url or str(request.base_url)
    return f"{base.rstrip('/')}/badge/{name}.svg"


def _run(request: Request, fields: Fields) -> Response:
    """Queue a run of what the form says, and go to it."""
    name = request.path_params["pipeline"]
    params = {key.removeprefix(PARAM): value for key, value in fields.items() if key.startswith(PARAM) and value}
    rev = fields.get("rev", "").strip() or "HEAD"
    started = changes.trigger(request.state.site, request.state.who, name, rev=rev, params=params)
    return RedirectResponse(f"/r/{started.run.number}", 303)


def _pause(request: Request, fields: Fields) -> Response:
    """Start no run of it that waits."""
    name = request.path_params["pipeline"]
    changes.pause(request.state.site, name)
    return back_to(fields, f"/p/{name}")


def _resume(request: Request, fields: Fields) -> Response:
    """Start what waits of it."""
    name = request.path_params["pipeline"]
    changes.unpause(request.state.site, name)
    return back_to(fields, f"/p/{name}")


ROUTES = (
    Route("GET", "/p/{pipeline}", show_pipeline, is_page=True),
    Route("POST", "/p/{pipeline}/run", form(_run), scope=TRIGGER, is_page=True),
    Route("POST", "/p/{pipeline}/pause", form(_pause), scope=ADMIN, is_page=True),
    Route("POST", "/p/{pipeline}/resume", form(_resume), scope=ADMIN, is_page=True),
)
