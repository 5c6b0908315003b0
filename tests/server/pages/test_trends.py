"""Charts say what the runs did: which bar is how high, and where the percentiles are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cicdctl.model import Run, RunState, TriggerKind, Verdict
from cicdctl.server.pages.trends import BAR_H, nice_top, percentile, run_bars, trend_of


def run(number: int, seconds: float, verdict: Verdict = Verdict.PASSED) -> Run:
    return Run(
        number=number,
        pipeline="build",
        commit="c" * 40,
        tree="d" * 40,
        trigger=TriggerKind.COMMIT,
        state=RunState.DONE,
        verdict=verdict,
        created_at=1000.0,
        started_at=1000.0,
        finished_at=1000.0 + seconds,
    )


def test_bars_are_as_high_as_runs_were_long():
    """Newest on the right; the longest fills the height, half as long is half as high; what is wrong has a notch."""
    bars = run_bars([run(3, 10.0, Verdict.FAILED), run(2, 20.0), run(1, 5.0)], now=0.0)

    assert bars.label == "last 3 runs: 2 passed, 1 failed"
    assert dict(bars.paths) == {
        "ok": f"M84 {BAR_H}v-7h9v7zM96 {BAR_H}v-28h9v28z",
        "bad": f"M108 {BAR_H}v-14l4.5 3.5l4.5-3.5v14z",
    }


def test_only_ten_bars_and_one_that_took_no_time_is_seen():
    bars = run_bars([run(number, 0.0) for number in range(30, 0, -1)], now=0.0)
    assert bars.label == "last 10 runs: 10 passed"
    assert bars.paths[0][1].count("M") == 10
    assert "v-4h9v4z" in bars.paths[0][1]


def test_running_run_is_as_long_as_it_has_run():
    goes_on = Run(
        number=2,
        pipeline="build",
        commit="c",
        tree="d",
        trigger=TriggerKind.API,
        state=RunState.RUNNING,
        created_at=1.0,
        started_at=100.0,
    )
    bars = run_bars([goes_on, run(1, 60.0)], now=130.0)
    assert dict(bars.paths) == {"ok": f"M96 {BAR_H}v-28h9v28z", "live": f"M108 {BAR_H}v-14h9v14z"}


def test_trend_has_percentiles_of_twenty_runs():
    """Hundred runs of 1 to 100 s: of the newest twenty, median 90 s and 95th percentile 99 s."""
    chart = trend_of([run(number, float(number)) for number in range(100, 0, -1)])
    assert chart is not None
    assert (chart.first, chart.last, len(chart.bars)) == (1, 100, 100)
    assert (chart.p50_s, chart.p95_s) == (90.0, 99.0)
    assert chart.label == "100 runs: median 1m30s, 95th percentile 1m39s"
    heights = [bar.height for bar in chart.bars]
    assert heights == sorted(heights)
    assert chart.bars[-1].title == "#100 passed, 1m40s"
    assert len(chart.p50_line.split()) == len(chart.p95_line.split()) == 96


def test_trend_marks_what_did_not_pass():
    """By a triangle below its bar, and in words: nobody has to see red."""
    chart = trend_of([run(3, 2.0, Verdict.TIMED_OUT), run(2, 2.0), run(1, 2.0, Verdict.FAILED)])
    assert chart is not None
    middles = [f"M{round(bar.x + bar.width / 2, 1):g} " for bar in chart.bars]
    assert [middle in chart.marks for middle in middles] == [True, False, True]
    assert chart.label.endswith(", 2 did not pass")


def test_trend_leaves_out_what_says_nothing_of_a_duration():
    assert trend_of([run(2, 1.0, Verdict.CANCELLED), run(1, 1.0)]) is None
    assert trend_of([]) is None


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=50), st.integers(1, 100))
def test_percentile_is_one_of_the_values_and_enough_are_below(values, percent):
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values) - 1e-9


@given(st.floats(0, 1e8))
def test_axis_ends_above_every_bar(seconds):
    assert nice_top(seconds) >= seconds


@given(st.lists(st.floats(0, 1e7), min_size=2, max_size=100))
def test_marks_stay_in_the_picture(lengths):
    chart = trend_of([run(number, seconds) for number, seconds in enumerate(lengths, 1)])
    assert chart is not None
    for bar in chart.bars:
        assert chart.left <= bar.x <= bar.x + bar.width <= chart.right
        assert 0 <= bar.y <= chart.floor
        assert bar.y + bar.height <= chart.floor + 0.2
