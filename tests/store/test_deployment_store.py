"""The history of environments, the same in every store."""

from __future__ import annotations

import pytest

from cicdctl.model import Deploy, RunState, TriggerKind, Verdict
from cicdctl.store import RunChanged, StageChanged, StageState
from cicdctl.store.deployment_rules import COMMITS_KEPT
from cicdctl.store.queued import Arrival, Placing


@pytest.fixture
def deploy(state, a_run):
    """Begin a run that deploys, and end it; give its number."""

    def make(verdict=Verdict.PASSED, *, to="live", commit="c", begins=True, rolls_back=False, **fields):
        run = state.begin(a_run(commit=commit, deploy=Deploy(environment=to, rolls_back=rolls_back), **fields))
        if begins:
            state.apply([StageChanged(stage="ship", state=StageState.RUNNING)], run=run.number, epoch=1)
        state.apply([RunChanged(state=RunState.DONE, verdict=verdict)], run=run.number, epoch=1)
        return run.number

    return make


def test_deploys_are_told_in_the_order_of_their_ends(state, deploy):
    first, red, second, other = deploy(), deploy(Verdict.FAILED), deploy(commit="d"), deploy(to="test")
    told = state.deployments.of("live")
    assert [(one.run, one.verdict, one.replaced) for one in told] == [
        (second, Verdict.PASSED, first),
        (red, Verdict.FAILED, first),
        (first, Verdict.PASSED, None),
    ]
    assert [one.run for one in state.deployments.of("live", limit=1)] == [second]
    assert state.deployments.of("nowhere") == [] == state.deployments.of("live", limit=0)
    assert {name: one.run for name, one in state.deployments.current().items()} == {"live": second, "test": other}
    assert state.deployments.of_run(red).environment == "live" and state.deployments.of_run(99) is None
    assert state.deployments.runs() == {first, red, second, other}


def test_what_has_not_begun_has_deployed_nothing(state, deploy):
    """All from the cache, or ended before its first stage."""
    deploy(begins=False)
    assert state.deployments.current() == {} and state.deployments.runs() == frozenset()


def test_only_a_failed_deploy_that_asks_for_it_is_rolled_back(state, deploy):
    deploy(rolls_back=True)
    deploy(Verdict.FAILED)
    deploy(Verdict.CANCELLED, rolls_back=True)
    deploy(Verdict.FAILED, rolls_back=True, options={"only": ["ship"]})
    due = [deploy(Verdict.FAILED, rolls_back=True), deploy(Verdict.TIMED_OUT, rolls_back=True)]
    assert state.deployments.due() == due
    assert not state.queue.is_idle()
    state.deployments.settle(due[0])
    assert state.deployments.due() == due[1:]


def test_a_rollback_is_queued_once_and_noted(state, deploy, a_run):
    number = deploy(Verdict.FAILED, rolls_back=True)
    run = a_run(state=RunState.QUEUED, trigger=TriggerKind.ROLLBACK, parent=number, deploy=Deploy(environment="live"))
    arrival = Arrival(placings=[Placing(run=run)], undoes=number)
    recorded = state.queue.accept(arrival)
    assert state.queue.accept(arrival) is None
    assert state.deployments.due() == []
    assert state.deployments.of_run(number).rolled_back_by == recorded.runs[0].number


def test_a_run_that_ends_again_is_recorded_anew(state, deploy):
    """It was interrupted and taken over: the newest end is what counts, once."""
    number, later = deploy(Verdict.INTERRUPTED, rolls_back=True), deploy()
    assert state.deployments.due() == [number]
    epoch = state.take_over(number)
    state.apply([RunChanged(state=RunState.DONE, verdict=Verdict.PASSED)], run=number, epoch=epoch)
    assert [(one.run, one.replaced) for one in state.deployments.of("live")] == [(number, later), (later, None)]
    assert state.deployments.due() == []


def test_commits_to_go_back_to_are_kept(state, deploy):
    """The newest ten that were good, each counted once; failed ones never."""
    deploy(commit="oldest")
    deploy(Verdict.FAILED, commit="red")
    for index in range(COMMITS_KEPT):
        assert state.deployments.keeps("oldest")
        deploy(commit=f"new{index}")
        deploy(commit=f"new{index}")
    assert not state.deployments.keeps("oldest") and not state.deployments.keeps("red")
    assert state.deployments.keeps("new0")
    deploy(commit="oldest", to="other")
    assert state.deployments.keeps("oldest")


def test_runs_of_deployments_are_not_forgotten(state, deploy, a_run, finish):
    number = deploy()
    for _ in range(3):
        finish(state.begin(a_run()).number, Verdict.FAILED)
    assert state.prune(0) == [2, 3, 4]
    assert state.load(number) is not None
