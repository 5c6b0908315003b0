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


@settings(max_examples=300, deadline=None)
@given(plan=plans(), seed=st.randoms(use_true_random=False))
def test_lost_artifacts_are_made_again_before_what_needs_them(plan, seed):
    """Whatever is lost and whenever it is noticed: no stage is left out, and none counts twice."""
    schedule = Schedule(plan, keep_going=True)
    recorded: list[str] = []
    remade: set[str] = set()
    flying: list[PlannedStage] = []
    while True:
        while (planned := schedule.take()) is not None:
            refusal = schedule.refusal(planned)
            if refusal is not None:
                if planned.id not in schedule.remaking:
                    recorded.append(planned.id)
                schedule.put(refusal[0], blocks=refusal[1])
                continue
            before = schedule.ancestors(planned)
            assert all(name in schedule.results for name in before)
            lost = [name for name in before if seed.random() < 0.3 and schedule.results[name].is_green]
            problem = schedule.why_not_remade(lost, before=remade)
            if lost and problem is None:
                remade.update(lost)
                schedule.remake(lost, planned)
            elif lost:
                if planned.id not in schedule.remaking:
                    recorded.append(planned.id)
                schedule.put(StageResult(stage=planned.id, verdict=Verdict.ERROR, reason=problem))
            else:
                flying.append(planned)
        if not flying:
            break
        planned = flying.pop(seed.randrange(len(flying)))
        if planned.id not in schedule.remaking:
            recorded.append(planned.id)
        schedule.put(StageResult(stage=planned.id, verdict=seed.choice((Verdict.PASSED, Verdict.FAILED))))
    assert sorted(recorded) == sorted(planned.id for planned in plan.stages)
    assert not schedule.remaking and len(schedule.results) == len(plan.stages)


def test_a_run_with_a_stage_that_never_ended_is_no_pass():
    """Whatever fault of ours leaves a stage out: the run is an error."""
    stage = Stage(name="one", run=("true",))
    plan = Plan(pipeline=Pipeline(name="build", stages=(stage,)), stages=(PlannedStage(id="one", stage=stage),))
    assert Schedule(plan, keep_going=False).verdict() == (Verdict.ERROR, "not every stage has ended")
