"""The stages of a run as a page shows them: how each stands, when it did what, and in which pictures it belongs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from cicdctl.model import Event, Run, RunSummary, StageResult, Value
from cicdctl.reports.text import quoted
from cicdctl.server.charts.cards import Cell, Node
from cicdctl.server.charts.graph import Picture, lay_out
from cicdctl.server.charts.waterfall import Chart, Timing, measure
from cicdctl.server.pages.words import LOOKS, spoken, word
from cicdctl.server.stage_names import slug
from cicdctl.store import OpenAttempt
from cicdctl.units import format_duration

_NEVER = float("inf")


class StageView(Value, frozen=True, kw_only=True):
    """One stage. `result` is None while it has none, `attempt` the number of the try that goes on.

    `label` is its name, of a cell of a matrix its values only. `href` shows its log in the page. `started_at` and
    `ended_at` are Unix seconds, of the stage with all its attempts.
    """

    id: str
    slug: str
    label: str
    href: str
    look: str
    icon: str
    says: str
    note: str = ""
    result: StageResult | None = None
    attempt: int | None = None
    attempts: tuple[tuple[float, float], ...] = ()
    started_at: float | None = None
    ended_at: float | None = None
    peak_bytes: int = 0

    @property
    def is_cell(self) -> bool:
        """Whether it is one of a matrix."""
        return self.label != quoted(self.id)

    @property
    def is_running(self) -> bool:
        """Whether a try of it goes on."""
        return self.attempt is not None


def view_stages(
    summary: RunSummary, opened: Sequence[OpenAttempt], events: Sequence[Event], *, now: float | None = None
) -> tuple[StageView, ...]:
    """Return the stages of a run in the order of its plan. `opened` are the attempts that go on."""
    now = time.time() if now is None else now
    results = {result.stage: result for result in summary.stages}
    going = {one.stage: one for one in opened} if summary.run.verdict is None else {}
    # Of a run that was taken over the last word counts.
    started = {event.stage: event.at for event in events if event.kind == "stage_started"}
    ended = {event.stage: event.at for event in events if event.kind == "stage_finished"}
    names = dict.fromkeys((*summary.run.stage_names, *results, *going))
    return tuple(
        _view(
            summary.run,
            name,
            results.get(name),
            going.get(name),
            now=now,
            started_at=started.get(name),
            ended_at=ended.get(name) if name in results else None,
        )
        for name in names
    )


def _view(
    run: Run,
    name: str,
    result: StageResult | None,
    opened: OpenAttempt | None,
    *,
    now: float,
    started_at: float | None,
    ended_at: float | None,
) -> StageView:
    look, icon, says = _stands(run, result, is_running=opened is not None, has_started=started_at is not None)
    attempts = [(one.started_at, one.started_at + one.seconds) for one in result.attempts] if result else []
    if opened is not None and result is None:
        attempts.append((opened.started_at, now))
    note = ""
    if result is not None and result.cached:
        note = f"#{result.origin_run}" if result.origin_run else ""
    elif attempts:
        note = format_duration(result.seconds if result else attempts[-1][1] - attempts[-1][0])
    return StageView(
        id=name,
        slug=slug(name),
        label=_label(run, name),
        href=f"/r/{run.number}?stage={slug(name)}#log-card",
        look=look,
        icon=icon,
        says=says,
        note=note,
        result=result,
        attempt=opened.number if opened is not None and result is None else None,
        attempts=tuple(attempts),
        started_at=started_at,
        ended_at=ended_at,
        peak_bytes=max((one.peak_memory_bytes for one in result.attempts), default=0) if result else 0,
    )


def _stands(run: Run, result: StageResult | None, *, is_running: bool, has_started: bool) -> tuple[str, str, str]:
    if result is None:
        if is_running or (has_started and run.verdict is None):
            return (*LOOKS["running"], "running" if is_running else "starting")
        return (*LOOKS["queued"], "waiting") if run.verdict is None else (*LOOKS["skipped"], "not run")
    name = word(result)
    if result.allowed_failure:
        return "warn", LOOKS[name][1], f"{spoken(name)}, allowed to fail"
    return (*LOOKS["flaky"], "passed, flaky") if result.flaky else (*LOOKS[name], spoken(name))


def draw_graph(run: Run, stages: Sequence[StageView], critical: Sequence[str] = ()) -> Picture:
    """Return the graph: a node for each stage of the pipeline, with the cells of its matrix.

    `critical` are the ids of the stages on the critical path, in its order.
    """
    cells: dict[str, list[StageView]] = {}
    for stage in stages:
        cells.setdefault(_name(run, stage.id), []).append(stage)
    return lay_out(
        [
            Node(name=name, needs=run.needs.get(name, ()), cells=tuple(_cell(stage) for stage in found))
            for name, found in cells.items()
        ],
        [_name(run, id) for id in critical],
    )


def _cell(stage: StageView) -> Cell:
    return Cell(
        id=stage.id,
        label=stage.label,
        look=stage.look,
        icon=stage.icon,
        says=stage.says,
        note=stage.note,
        href=stage.href,
    )


def draw_waterfall(run: Run, stages: Sequence[StageView], *, now: float | None = None) -> Chart | None:
    """Return the time line, in the order in which stages began; None for a run that never began."""
    if run.started_at is None:
        return None
    now = time.time() if now is None else now
    last = max((stage.ended_at or 0.0 for stage in stages), default=0.0)
    end = max(run.finished_at, last) if run.finished_at is not None else now
    cells: dict[str, list[str]] = {}
    for stage in stages:
        cells.setdefault(_name(run, stage.id), []).append(stage.id)
    timings = [
        Timing(
            id=stage.id,
            needs=_needs(run.needs, cells, _name(run, stage.id)),
            attempts=stage.attempts,
            # A stage that is skipped has done nothing, however long that took.
            start=stage.started_at if stage.attempts or _is_cached(stage) or stage.result is None else None,
            end=stage.ended_at,
            is_cached=_is_cached(stage),
        )
        for stage in stages
    ]
    timings.sort(key=lambda one: _NEVER if one.start is None else one.start)
    return measure(timings, begin=run.started_at, end=end)


def _is_cached(stage: StageView) -> bool:
    return stage.result is not None and stage.result.cached


def _needs(needs: Mapping[str, Sequence[str]], cells: Mapping[str, Sequence[str]], name: str) -> tuple[str, ...]:
    return tuple(id for need in needs.get(name, ()) for id in cells.get(need, ()))


def _name(run: Run, id: str) -> str:
    name = id.partition("[")[0]
    return name if id.endswith("]") and name in run.needs else id


def _label(run: Run, id: str) -> str:
    """`unit[python=3.11,os=linux]` → `3.11 · linux`: the axes are the same in all cells."""
    name = _name(run, id)
    if name == id:
        return quoted(id)
    return quoted(" · ".join(part.partition("=")[2] or part for part in id[len(name) + 1 : -1].split(",")))
