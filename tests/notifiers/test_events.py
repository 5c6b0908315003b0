"""What the end of a run is called, and who is told: pure values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicdctl.config import NotifierSettings
from cicdctl.model import Run, RunState, RunSummary, StageResult, TriggerKind, Verdict
from cicdctl.notifiers.events import BAD_NEWS, RED, choose, events_of, wants
from cicdctl.notifiers.notices import make_notice

VERDICTS = st.sampled_from(Verdict)
PREVIOUS = st.sampled_from([None, *Verdict])


def a_run(**fields) -> Run:
    given = dict(
        number=7, pipeline="build", commit="c" * 40, tree="d" * 40, trigger=TriggerKind.PUSH, state=RunState.DONE
    )
    return Run(**{**given, "verdict": Verdict.PASSED, "ref": "refs/heads/main", **fields})


@pytest.mark.parametrize(
    ("previous", "verdict", "first"),
    [
        (None, "failed", "broken"),
        ("passed", "failed", "broken"),
        ("passed", "timed_out", "broken"),
        ("failed", "error", "still_failing"),
        ("error", "passed", "fixed"),
        ("passed", "passed", "passed"),
        (None, "passed", "passed"),
    ],
)
def test_event_of_two_runs(previous, verdict, first):
    """The run before decides what the end of this one means."""
    events = events_of(Verdict(verdict), previous and Verdict(previous), is_flaky=False, is_followed=True)
    assert events[0] == first


@given(verdict=VERDICTS, previous=PREVIOUS, is_flaky=st.booleans(), is_followed=st.booleans())
def test_events_never_contradict_each_other(verdict, previous, is_flaky, is_followed):
    """Good news only of a pass, bad news only of a failure, and no news of what says nothing of the code."""
    events = events_of(verdict, previous, is_flaky=is_flaky, is_followed=is_followed)
    assert len(set(events)) == len(events)
    assert bool(events) == (verdict in RED or verdict is Verdict.PASSED)
    assert ("passed" in events) == (verdict is Verdict.PASSED)
    assert bool(BAD_NEWS & {*events}) == (verdict in RED)
    assert ("fixed" in events) == (verdict is Verdict.PASSED and previous in RED and is_followed)
    assert ("flaky" in events) == (verdict is Verdict.PASSED and is_flaky)
    assert len({"broken", "still_failing"} & {*events}) == (verdict in RED and is_followed)


@given(verdicts=st.lists(st.sampled_from(["passed", "failed", "timed_out", "error"]), min_size=1, max_size=30))
def test_broken_and_fixed_alternate(verdicts):
    """Whatever the history of a branch, each break is followed by its repair before the next break."""
    told, previous = [], None
    for verdict in map(Verdict, verdicts):
        events = events_of(verdict, previous, is_flaky=False, is_followed=True)
        told += [event for event in events if event in ("broken", "fixed")]
        previous = verdict
    assert all(one != two for one, two in zip(told, told[1:], strict=False))
    assert not told or told[0] == "broken"


@given(
    events=st.lists(st.sampled_from(["fixed", "flaky", "passed", "broken", "failed"]), unique=True),
    on=st.sets(st.sampled_from(["fixed", "passed", "failed"])),
)
def test_one_run_is_told_once(events, on):
    """Of several wanted events the first is told; what nobody wants is not."""
    told = choose(tuple(events), frozenset(on))
    assert told == next((event for event in events if event in on), None)


@pytest.mark.parametrize(
    ("keys", "run", "is_meant"),
    [
        ({}, {}, True),
        ({"pipelines": ("test", "build")}, {}, True),
        ({"pipelines": ("test",)}, {}, False),
        ({"branches": ("main", "release/*")}, {}, True),
        ({"branches": ("main", "release/*")}, {"ref": "refs/heads/release/1"}, True),
        ({"branches": ("main",)}, {"ref": "refs/heads/feature/main"}, False),
        ({"branches": ("main",)}, {"ref": "refs/tags/main"}, False),
        ({"branches": ("main",)}, {"ref": None}, False),
        ({"branches": ("!wip/*",)}, {"ref": "refs/heads/wip/x"}, False),
    ],
)
def test_pipelines_and_branches_select(keys, run, is_meant):
    settings = NotifierSettings(name="team", uses="slack", **keys)
    wanted = wants(settings.on, settings.pipelines, settings.branches, a_run(**run))
    assert wanted == (frozenset({"broken", "fixed"}) if is_meant else frozenset())


def test_failures_can_be_kept_silent():
    """`notify_on_failure = false` leaves the good news."""
    events = events_of(Verdict.FAILED, None, is_flaky=False, is_followed=True)
    assert choose(events, frozenset({"broken", "failed"}), tells_failures=False) is None
    assert choose(("fixed", "passed"), frozenset({"fixed"}), tells_failures=False) == "fixed"


HOSTILE = "\x1b]52;c;aGk=\x07\u202e<!channel>\r\nBcc: x@y"


@given(text=st.text(max_size=300), secret=st.sampled_from(["hunter2-correct", "s3cr3t\nline"]))
def test_notice_is_masked_and_of_printable_lines(text, secret):
    """Whatever a commit or stage says: no secret, no control character, one subject line."""
    from cicdctl.masking import Masker

    foreign = text + secret + HOSTILE
    run = a_run(
        verdict=Verdict.FAILED,
        message=foreign,
        author=foreign + " <a@b>",
        ref=f"refs/heads/{foreign}",
        pipeline=foreign,
    )
    result = StageResult(stage=foreign, verdict=Verdict.FAILED, reason=foreign)
    mask = Masker([secret]).text
    notice = make_notice(
        RunSummary(run=run, stages=(result,)), "broken", id="1", at=0.0, project=foreign, text=foreign, mask=mask
    )
    shown = [notice.title, notice.project, *notice.failed, *notice.text.split("\n")]
    assert all(line.isprintable() for line in shown)
    assert secret not in "\n".join(shown) and "hunter2" not in "\n".join(shown)
    assert len(notice.title) < 700 and len(notice.text) < 3000


def test_words_of_a_notice():
    """Title and text say what happened, where, because of what, and where to look."""
    run = a_run(
        verdict=Verdict.FAILED, message="Break it\n\nmore", author="Ada <a@b>", started_at=1.0, finished_at=63.0
    )
    stages = (
        StageResult(stage="lint", verdict=Verdict.PASSED),
        StageResult(stage="unit", verdict=Verdict.FAILED, reason="exit status 1"),
    )
    notice = make_notice(RunSummary(run=run, stages=stages), "broken", id="1", at=0.0, project="app", mask=str)
    assert notice.title == "app: build is broken on main (#7)"
    assert notice.text == "unit: failed, exit status 1\ncccccccccc Break it (Ada)\ntook 1m02s; cicdctl show 7"
    assert (notice.verdict, notice.failed, notice.seconds) == ("failed", ("unit",), 62.0)
