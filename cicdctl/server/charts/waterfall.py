"""The time line of a run: a row for each stage, with its wait and its attempts as shares of the whole. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cicdctl.model import Value
from cicdctl.units import format_duration

_STEPS_S = (
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    20,
    30,
    60,
    120,
    300,
    600,
    1200,
    1800,
    3600,
    7200,
    14400,
    43200,
    86400,
)
_MOST_TICKS = 6
_LEAST_PERCENT = 0.4  # below that a bar would not be seen


class Timing(Value, frozen=True, kw_only=True):
    """When a stage did what, in Unix seconds. `needs` are ids of stages. `end` is None while it goes on, or waits.

    `attempts` are (start, end) of each try; none of a stage that never started or came from the cache.
    """

    id: str
    needs: tuple[str, ...] = ()
    attempts: tuple[tuple[float, float], ...] = ()
    start: float | None = None
    end: float | None = None
    is_cached: bool = False


class Bar(Value, frozen=True, kw_only=True):
    """A stretch of a row, in percent of the width; `kind` is `wait`, `cache` or `run`."""

    kind: str
    left: float
    width: float


class Row(Value, frozen=True, kw_only=True):
    """The bars of one stage; `is_critical`: had it been faster, so had the run. `end` is where they end, in percent."""

    id: str
    bars: tuple[Bar, ...] = ()
    end: float = 0.0
    is_critical: bool = False


class Tick(Value, frozen=True, kw_only=True):
    """A mark of the scale, in percent of the width."""

    left: float
    says: str


class Chart(Value, frozen=True, kw_only=True):
    """Rows in the order of the stages, and the scale below them. `critical` are the ids along the critical path."""

    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    critical: tuple[str, ...] = ()


def measure(stages: Sequence[Timing], *, begin: float, end: float) -> Chart:
    """Return the chart of a run from `begin` to `end`, which is now while it goes on."""
    begin = min([begin, *(stage.start for stage in stages if stage.start is not None)])
    span = max(end - begin, 0.001)
    by_id = {stage.id: stage for stage in stages}
    critical = _critical(by_id)

    def share(at: float) -> float:
        return round(min(100.0, max(0.0, 100 * (at - begin) / span)), 2)

    rows = []
    for stage in stages:
        bars: list[Bar] = []
        ready = max([begin, *_ends(stage, by_id)])
        first = stage.attempts[0][0] if stage.attempts else stage.start
        if first is not None and first > ready:
            bars.append(Bar(kind="wait", left=share(ready), width=share(first) - share(ready)))
        if stage.is_cached and stage.end is not None:
            bars.append(_bar("cache", share(stage.end if first is None else first), share(stage.end)))
        bars += [_bar("run", share(since), share(until)) for since, until in stage.attempts]
        rows.append(
            Row(
                id=stage.id,
                bars=tuple(bars),
                end=max((bar.left + bar.width for bar in bars), default=0.0),
                is_critical=stage.id in critical,
            )
        )
    return Chart(rows=tuple(rows), ticks=_ticks(span), critical=critical)


def _bar(kind: str, left: float, right: float) -> Bar:
    width = max(_LEAST_PERCENT, round(right - left, 2))
    return Bar(kind=kind, left=min(left, 100 - width), width=width)


def _ends(stage: Timing, by_id: Mapping[str, Timing]) -> list[float]:
    found = (by_id[need].end for need in stage.needs if need in by_id)
    return [end for end in found if end is not None]


def _critical(by_id: Mapping[str, Timing]) -> tuple[str, ...]:
    """Go back from the stage that ended last, each time to the need that ended last."""
    ended = {stage.id: stage.end for stage in by_id.values() if stage.end is not None and stage.attempts}
    found: list[str] = []
    at = max(ended, key=lambda id: ended[id], default=None)
    while at is not None and at not in found:
        found.append(at)
        at = max((need for need in by_id[at].needs if need in ended), key=lambda id: ended[id], default=None)
    return tuple(reversed(found)) if len(ended) > 1 else ()


def _ticks(span: float) -> tuple[Tick, ...]:
    step = next((step for step in _STEPS_S if span / step <= _MOST_TICKS), span)
    marks = [step * at for at in range(int(span / step) + 1)]
    # The last one's words would leave the picture.
    return tuple(Tick(left=round(100 * at / span, 2), says=_short(at)) for at in marks if at <= 0.94 * span)


def _short(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g}s"
    return format_duration(seconds).replace("m00s", "m").replace("h00m", "h")
