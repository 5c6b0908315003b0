"""The time line tells what waited, what ran, and what the run waited for."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cicdctl.server.charts.waterfall import Timing, measure


def ran(id: str, start: float, end: float, *needs: str) -> Timing:
    return Timing(id=id, needs=needs, attempts=((start, end),), start=start, end=end)


def test_wait_run_and_critical_path():
    """A stage waits from the end of what it needs to its start; the slowest way through is critical."""
    chart = measure(
        [
            ran("lint", 100, 102),
            ran(
                "build",
                100,
                105,
            ),
            ran("unit", 106, 110, "lint", "build"),
            ran("docs", 102, 103, "lint"),
        ],
        begin=100,
        end=110,
    )
    bars = {row.id: [(bar.kind, bar.left, bar.width) for bar in row.bars] for row in chart.rows}
    assert bars["lint"] == [("run", 0, 20)]
    assert bars["unit"] == [("wait", 50, 10), ("run", 60, 40)]
    assert bars["docs"] == [("run", 20, 10)]
    assert {row.id for row in chart.rows if row.is_critical} == {"build", "unit"}
    assert chart.critical == ("build", "unit")
    assert [(tick.left, tick.says) for tick in chart.ticks] == [
        (0, "0s"),
        (20, "2s"),
        (40, "4s"),
        (60, "6s"),
        (80, "8s"),
    ]


def test_attempts_stand_apart_and_cached_is_a_mark():
    flaky = Timing(id="flaky", attempts=((0, 1), (3, 4)), start=0, end=4)
    cached = Timing(id="cached", start=2, end=2, is_cached=True)
    waiting = Timing(id="later", needs=("flaky",))
    chart = measure([flaky, cached, waiting], begin=0, end=4)
    assert [(bar.kind, bar.left, bar.width) for bar in chart.rows[0].bars] == [("run", 0, 25), ("run", 75, 25)]
    kinds = [bar.kind for bar in chart.rows[1].bars]
    assert kinds == ["wait", "cache"] and chart.rows[1].bars[1].width > 0
    assert chart.rows[2].bars == ()


def test_scale_is_as_fine_as_the_run_is_short():
    """A run that took all from the cache has a scale, too."""
    ticks = measure([Timing(id="cached", start=0.02, end=0.02, is_cached=True)], begin=0, end=0.05).ticks
    assert [tick.says for tick in ticks] == ["0s", "0.01s", "0.02s", "0.03s", "0.04s"]


def test_one_stage_has_no_critical_path():
    """Bold for everything would say nothing."""
    assert not measure([ran("only", 0, 1)], begin=0, end=1).rows[0].is_critical


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e5), st.booleans(), st.booleans()), max_size=30),
    st.floats(0, 1e6),
)
def test_bars_stay_in_the_picture(rows, length):
    """Whatever clocks say: nothing is negative, nothing leaves the picture, ticks rise."""
    stages = [
        Timing(
            id=str(at),
            needs=tuple(str(need) for need in range(max(0, at - 2), at)),
            attempts=() if is_cached else ((start, start + took),),
            start=start,
            end=None if goes_on else start + took,
            is_cached=is_cached,
        )
        for at, (start, took, is_cached, goes_on) in enumerate(rows)
    ]
    chart = measure(stages, begin=0.0, end=length)
    assert [row.id for row in chart.rows] == [stage.id for stage in stages]
    for bar in (bar for row in chart.rows for bar in row.bars):
        assert bar.left >= 0 and bar.width >= 0 and bar.left + bar.width <= 100.011
    lefts = [tick.left for tick in chart.ticks]
    assert lefts == sorted(set(lefts)) and len(lefts) <= 7
