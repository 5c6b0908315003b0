"""Charts as geometry: where each mark is. Templates draw them as SVG, classes give them their colours."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from cicdctl.model import Run, RunState, Value, Verdict
from cicdctl.server.pages.words import duration, lasted_s, look, spoken, word
from cicdctl.units import count

BAR_RUNS = 10
BAR_W, BAR_GAP, BAR_H = 9, 3, 28
_LEAST_H = 4.0
_FLAT = f"h{BAR_W}"
_NOTCHED = f"l{BAR_W / 2:g} {_LEAST_H - 0.5:g}l{BAR_W / 2:g}-{_LEAST_H - 0.5:g}"
_TOPS = {"bad": _NOTCHED, "warn": _NOTCHED}

TREND_W, TREND_H = 720, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 10, 22
WINDOW = 20
_LEAST_TOLD = 5  # a percentile of fewer says nothing
_MARK = 3  # half as wide, and nearly as high
_TELLING = (Verdict.PASSED, Verdict.FAILED, Verdict.TIMED_OUT, Verdict.ERROR)


class Bar(Value, frozen=True, kw_only=True):
    """One run: its place in the picture, the class of its colour, and what it says."""

    x: float
    y: float
    height: float
    width: float
    look: str
    title: str
    run: int


class Bars(Value, frozen=True, kw_only=True):
    """The last runs of a pipeline, the newest on the right; `label` says the same in words.

    `paths` are looks, each with the outline of all its bars: a page may show hundreds of these pictures. A bar that is
    wrong has a notch, so that it is told without its colour.
    """

    paths: tuple[tuple[str, str], ...]
    label: str
    width: int = BAR_RUNS * (BAR_W + BAR_GAP) - BAR_GAP
    height: int = BAR_H


def run_bars(runs: Sequence[Run], now: float) -> Bars:
    """Draw at most ten runs, given newest first; the longest is as high as the picture."""
    return _draw(tuple((word(run), round(lasted_s(run, now) or 0.0, 1)) for run in reversed(runs[:BAR_RUNS])))


@lru_cache(4096)
def _draw(runs: tuple[tuple[str, float], ...]) -> Bars:
    """Draw runs, each a word and seconds: most pipelines look as they did a moment ago."""
    longest = max((seconds for _, seconds in runs), default=0.0) or 1.0
    outlines: dict[str, list[str]] = {}
    for at, (name, seconds) in enumerate(runs, BAR_RUNS - len(runs)):
        height = round(max(_LEAST_H, BAR_H * seconds / longest), 1)
        bar = f"M{at * (BAR_W + BAR_GAP)} {BAR_H}v-{height:g}{_TOPS.get(look(name), _FLAT)}v{height:g}z"
        outlines.setdefault(look(name), []).append(bar)
    paths = tuple((name, "".join(bars)) for name, bars in outlines.items())
    return Bars(paths=paths, label=_label([name for name, _ in runs]))


def _label(names: Sequence[str]) -> str:
    if not names:
        return "no runs yet"
    words = ", ".join(f"{number} {spoken(name)}" for name, number in Counter(names).most_common())
    return f"last {count(len(names), 'run')}: {words}"


class Tick(Value, frozen=True, kw_only=True):
    """A line of the grid and what it says."""

    y: float
    text: str


class Trend(Value, frozen=True, kw_only=True):
    """How long runs took, the oldest on the left, with median and 95th percentile of twenty runs each.

    `p50_line` and `p95_line` are points of a polyline; `p50_s` and `p95_s` are those of the newest twenty. `marks` is
    the outline of a triangle below each run that did not pass, so that it is told without its colour.
    """

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    p50_line: str
    p95_line: str
    marks: str
    p50_s: float
    p95_s: float
    label: str
    first: int
    last: int
    width: int = TREND_W
    height: int = TREND_H
    left: int = _LEFT
    right: int = TREND_W - _RIGHT
    floor: int = TREND_H - _BOTTOM


def trend_of(runs: Sequence[Run]) -> Trend | None:
    """Draw runs that are given newest first; None when fewer than two of them have executed and ended."""
    told = [run for run in reversed(runs) if run.state is RunState.DONE and run.verdict in _TELLING and run.started_at]
    if len(told) < 2:
        return None
    lengths = [run.seconds for run in told]
    top = nice_top(max(lengths))
    inner_w, inner_h = TREND_W - _LEFT - _RIGHT, TREND_H - _TOP - _BOTTOM
    step = inner_w / len(told)
    floor = TREND_H - _BOTTOM

    def y_of(seconds: float) -> float:
        return round(floor - inner_h * seconds / top, 1)

    bars = tuple(
        Bar(
            x=round(_LEFT + at * step + step * 0.15, 1),
            width=round(min(step * 0.7, 24.0), 1),
            y=min(y_of(seconds), floor - 1.5),
            height=max(round(floor - y_of(seconds), 1), 1.5),
            look=look(word(run)),
            title=f"#{run.number} {spoken(word(run))}, {duration(seconds)}",
            run=run.number,
        )
        for at, (run, seconds) in enumerate(zip(told, lengths, strict=True))
    )
    newest = lengths[-WINDOW:]
    p50_s, p95_s = percentile(newest, 50), percentile(newest, 95)

    def line(percent: float) -> str:
        ends = range(min(_LEAST_TOLD, len(lengths)) - 1, len(lengths))
        points = [(bars[end], percentile(lengths[max(0, end - WINDOW + 1) : end + 1], percent)) for end in ends]
        return " ".join(f"{round(bar.x + bar.width / 2, 1)},{y_of(seconds)}" for bar, seconds in points)

    red = [bar for bar, run in zip(bars, told, strict=True) if run.verdict is not Verdict.PASSED]
    words = f"{count(len(told), 'run')}: median {duration(p50_s)}, 95th percentile {duration(p95_s)}"
    return Trend(
        bars=bars,
        ticks=tuple(Tick(y=y_of(top * part), text=duration(top * part) if part else "0") for part in (0, 0.5, 1)),
        p50_line=line(50),
        p95_line=line(95),
        marks="".join(
            f"M{round(bar.x + bar.width / 2, 1):g} {floor + 1.5:g}l{_MARK} 5h-{2 * _MARK}z" for bar in red
        ),
        p50_s=p50_s,
        p95_s=p95_s,
        label=f"{words}, {len(red)} did not pass" if red else words,
        first=told[0].number,
        last=told[-1].number,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least so many per cent do not exceed; 0.0 for none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def nice_top(seconds: float) -> float:
    """Return a round duration that is not below this one, for the upper end of an axis."""
    if seconds <= 0:
        return 1.0
    steps = [size * factor for size in (0.01, 0.1, 1.0) for factor in (1, 2, 5)]
    steps += [10, 20, 30, 60, 120, 180, 300, 600, 900, 1200, 1800]
    steps += [3600.0 * factor for factor in (1, 2, 3, 6, 12, 24, 48)]
    return next((step for step in steps if step >= seconds), math.ceil(seconds / 86400) * 86400.0)
