"""The words of a run, and text that is cut and painted."""

from __future__ import annotations

from cicdctl.model import Attempt, Run, RunState, RunSummary, StageResult, TestReport, TriggerKind, Verdict
from cicdctl.reports import lines
from cicdctl.reports.document import every_field
from cicdctl.reports.text import MAX_LINE_BYTES, LineSplitter


def a_run(**facts) -> Run:
    fixed = {"number": 1, "pipeline": "build", "commit": "c" * 40, "tree": "t" * 40, "trigger": TriggerKind.MANUAL}
    return Run(**{**fixed, "state": RunState.DONE, "verdict": Verdict.PASSED, **facts})


def results() -> tuple[StageResult, ...]:
    return (
        StageResult(stage="a", verdict=Verdict.PASSED),
        StageResult(stage="b", verdict=Verdict.FAILED, allowed_failure=True, exit_code=9),
        StageResult(stage="c", verdict=Verdict.FAILED),
        StageResult(stage="d", verdict=Verdict.PASSED, cached=True),
    )


def test_allowed_failures_are_counted_apart():
    end = lines.run_end(RunSummary(run=a_run(started_at=1.0, finished_at=3.0), stages=results()))
    assert end == "#1 build passed in 2.0s: 1 passed, 1 cached, 1 failed, 1 allowed to fail"
    assert [lines.style_of(result) for result in results()] == ["green", "yellow", "red", "cyan"]


def test_a_run_that_goes_on_is_not_told_as_ended():
    run = a_run(state=RunState.QUEUED, verdict=None, stage_names=("a", "b", "c", "d", "e", "f"))
    assert lines.run_end(RunSummary(run=run)) == "#1 build is queued: 6 waiting"
    told = lines.run_end(RunSummary(run=run, stages=results()), running=["e", "a"])
    assert told == "#1 build is queued: 1 passed, 1 cached, 1 failed, 1 allowed to fail, 1 running, 1 waiting"


def test_plurals():
    def words(count: int) -> str:
        return lines.stage_note(
            StageResult(stage="a", verdict=Verdict.PASSED, artifact_count=count, tests=TestReport(passed=count))
        )

    assert words(1) == "1 test  1 artifact, 0 B" and words(2) == "2 tests  2 artifacts, 0 B"


def test_failed_tests_that_are_not_listed_are_counted():
    """A report holds at most so many failures; the rest is counted all the same."""
    result = StageResult(stage="a", verdict=Verdict.FAILED, tests=TestReport(passed=1, failed=301))
    assert "  and 301 more failed tests" in lines.failure_lines(result, a_run(), tail=(), log="")


def test_lines_are_cut_from_chunks():
    splitter = LineSplitter()
    assert splitter.feed(b"on") == [] and splitter.feed(b"e\n\ntw") == [b"one", b""]
    assert splitter.rest() == b"tw" and splitter.rest() == b""
    assert splitter.feed(b"x" * MAX_LINE_BYTES) == [] and splitter.feed(b"y") == [b"x" * MAX_LINE_BYTES + b"y"]


def test_documents_hold_every_field():
    assert every_field(Attempt(number=1, verdict=Verdict.PASSED))["exit_code"] is None
    assert every_field({"files": (b"a\xff", b"b")}) == {"files": ["a\\udcff", "b"]}


def test_hostile_names_stay_in_their_line(make_project):
    """A cell may hold anything; no terminal gets to act on it, wherever a stage is named."""
    project = make_project(
        '[pipelines.build.stages.a]\nrun = "exit 1"\nmatrix = { x = ["\\u001b[31mred\\n"] }\n[pipelines.build.stages.b]\nrun = "true"\n'
    )
    name = "a[x=\\x1b[31mred\\n]"
    shown = project.cicdctl("-v", "run", "build").fails(1)
    assert f"\n  {name}  failed" in shown.stdout and f"\n── {name} failed: " in shown.stdout
    assert f"{name} | $ exit 1\n" in shown.stderr
    for argv in (["show", "1"], ["plan", "build"], ["plan", "build", "--graph"], ["explain", "build", "b"]):
        told = project.cicdctl(*argv).passes().stdout
        assert name in told and "\x1b" not in told, argv
