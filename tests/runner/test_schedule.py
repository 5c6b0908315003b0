"""The order of stages, as a model: random graphs and random endings, checked against the rules in words."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cicdctl.model import Pipeline, Plan, PlannedStage, Stage, StageResult, Verdict, When
from cicdctl.runner.schedule import Schedule

ENDINGS = (Verdict.PASSED, Verdict.FAILED, Verdict.SKIPPED, Verdict.TIMED_OUT, Verdict.ERROR)


@st.composite
def plans(draw) -> Plan:
    count = draw(st.integers(1, 12))
    stages = []
    for number in range(count):
        needs = tuple(f"s{i}" for i in range(number) if draw(st.integers(0, 3)) == 0)
        always = draw(st.integers(0, 5)) == 0
        stage = Stage(name=f"s{number}", run=("true",), needs=needs, when=When(always=always))
        stages.append(PlannedStage(id=stage.name, stage=stage, needs=needs))
    pipeline = Pipeline(name="build", stages=tuple(planned.stage for planned in stages))
    return Plan(pipeline=pipeline, stages=tuple(stages))


@settings(max_examples=200, deadline=None)
@given(plan=plans(), keep_going=st.booleans(), seed=st.randoms(use_true_random=False))
def test_every_stage_ends_once_and_only_after_what_it_needs(plan, keep_going, seed):
    """Whatever fails: each stage gets exactly one result, none starts before its needs, none on red ground."""
    schedule = Schedule(plan, keep_going=keep_going)
    ended: dict[str, StageResult] = {}
    started: list[PlannedStage] = []
    ran: set[str] = set()
    blocked: set[str] = set()
    while True:
        while (planned := schedule.take()) is not None:
            assert planned.id not in ended and all(need in ended for need in planned.needs)
            refusal = schedule.refusal(planned)
            if refusal is None:
                assert planned.stage.when.always or all(ended[n].is_green and n not in blocked for n in planned.needs)
                started.append(planned)
                ran.add(planned.id)
            else:
                schedule.put(refusal[0], blocks=refusal[1])
                ended[planned.id] = refusal[0]
                if refusal[1]:
                    blocked.add(planned.id)
        if not started:
            break
        planned = started.pop(seed.randrange(len(started)))
        result = StageResult(stage=planned.id, verdict=seed.choice(ENDINGS))
        ended[planned.id] = result
        schedule.put(result)
    assert set(ended) == {planned.id for planned in plan.stages}
    assert [result.stage for result in schedule.in_order()] == [planned.id for planned in plan.stages]
    verdict, _ = schedule.verdict()
    broke = any(ended[name].verdict in (Verdict.FAILED, Verdict.TIMED_OUT, Verdict.ERROR) for name in ran)
    assert (verdict in (Verdict.PASSED, Verdict.SKIPPED)) == (not broke)


def test_cancelling_ends_what_has_not_started():
    """After a cancel nothing starts any more, not even what always runs."""
    stage = Stage(name="last", run=("true",), when=When(always=True))
    plan = Plan(pipeline=Pipeline(name="build", stages=(stage,)), stages=(PlannedStage(id="last", stage=stage),))
    schedule = Schedule(plan, keep_going=False)
    schedule.cancelled = "by hand"
    planned = schedule.take()
    assert planned is not None
    refusal = schedule.refusal(planned)
    assert refusal is not None and refusal[0].verdict is Verdict.CANCELLED
    schedule.put(refusal[0], blocks=refusal[1])
    assert schedule.verdict() == (Verdict.CANCELLED, "by hand")
