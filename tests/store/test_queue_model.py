"""Every queue against one model of it: what arrives, waits, is taken, superseded, approved and followed."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cicdctl.errors import StoreError
from cicdctl.model import Deploy, Run, RunState, TriggerKind, Verdict
from cicdctl.store import RunChanged, StateStore
from cicdctl.store.queued import Arrival, Outdated, Placing

GROUPS = ("g", "h")
PIPELINES = ("a", "b")
MOST = 12


class Expected:
    """One run as the model sees it."""

    def __init__(self, pipeline: str, placing: Placing, state: str) -> None:
        self.pipeline = pipeline
        self.group = placing.group
        self.environment = placing.run.deploy and placing.run.deploy.environment
        self.priority = placing.priority
        self.state = state
        self.verdict: str | None = None
        self.place = "queue"
        self.claimed_at: float | None = None
        self.tries = 0
        self.cancel: str | None = None
        self.chain = "waits" if placing.leads else ""

    def end(self, verdict: str) -> None:
        self.state, self.verdict, self.place = "done", verdict, ""
        self.chain = "due" if self.chain and verdict == "passed" else ""


def make_machine(factory: Callable[[Path], StateStore]) -> type[RuleBasedStateMachine]:
    numbers = st.integers(1, MOST)
    groups = st.sampled_from([None, *GROUPS])

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.folder = Path(tempfile.mkdtemp(prefix="queue-model-"))
            self.store = factory(self.folder)
            self.runs: dict[int, Expected] = {}
            self.seen: dict[str, str] = {}
            self.fired: dict[str, float] = {}
            self.deliveries: dict[str, tuple[int, str | None]] = {}
            self.paused: set[str] = set()
            self.now = 1_000.0

        def teardown(self) -> None:
            self.store.close()
            shutil.rmtree(self.folder)

        def placings(
            self, pipeline: str, group: str | None, how: str, priority: int, leads: bool, env: bool, blocked: bool
        ):
            run = Run(
                number=0, pipeline=pipeline, commit="c", tree="t", trigger=TriggerKind.COMMIT,
                state=RunState.BLOCKED if blocked else RunState.QUEUED,
                deploy=Deploy(environment="live") if env else None,
            )  # fmt: skip
            return Placing(run=run, group=group, on_superseded=how, priority=priority, leads=leads)

        def record(self, placing: Placing) -> list[int]:
            """Take a placing into the model; give what it superseded."""
            number, gone = len(self.runs) + 1, []
            for other, run in self.runs.items():
                if placing.group is None or run.group != placing.group or placing.on_superseded == "queue":
                    continue
                if run.place == "queue":
                    run.end("cancelled")
                    gone.append(other)
                elif run.place == "slot" and placing.on_superseded == "cancel" and run.environment is None:
                    run.cancel = run.cancel or f"superseded by #{number}"
            self.runs[number] = Expected(placing.run.pipeline, placing, str(placing.run.state))
            return gone

        @precondition(lambda self: len(self.runs) < MOST)
        @rule(pipeline=st.sampled_from(PIPELINES), group=groups, how=st.sampled_from(["queue", "cancel", "cancel-pending"]),
              priority=st.integers(0, 2), leads=st.booleans(), env=st.booleans(), blocked=st.booleans(),
              delivery=st.sampled_from([None, "1", "2", "3"]), detail=st.sampled_from([None, "x"]))  # fmt: skip
        def arrive(self, pipeline, group, how, priority, leads, env, blocked, delivery, detail):
            placing = self.placings(pipeline, group, how, priority, leads, env, blocked)
            arrival = Arrival(placings=[placing], delivery=None if delivery is None else ("hook", delivery), detail=detail)
            recorded = self.store.queue.accept(arrival)
            if delivery in self.deliveries:
                assert recorded is None
                return
            if delivery is not None:
                self.deliveries[delivery] = (len(self.runs) + 1, detail)
            gone = self.record(placing)
            assert [run.number for run in recorded.runs] == [len(self.runs)]
            assert [run.number for run in recorded.superseded] == gone

        @rule(
            ref=st.sampled_from(["x", "y"]),
            known=st.sampled_from([None, "1", "2"]),
            now=st.sampled_from([None, "1", "2"]),
        )
        def see(self, ref, known, now):
            arrival = Arrival(seen={("here", ref): (known, now)})
            if self.seen.get(ref) != known:
                with pytest.raises(Outdated):
                    self.store.queue.accept(arrival)
                return
            assert self.store.queue.accept(arrival).runs == ()
            if now is None:
                self.seen.pop(ref, None)
            else:
                self.seen[ref] = now

        @rule(pipeline=st.sampled_from(PIPELINES), is_known=st.booleans())
        def fire(self, pipeline, is_known):
            before = self.fired.get(pipeline) if is_known else 0.5
            arrival = Arrival(fired={pipeline: (before, self.now + 0.25)})
            if not is_known:
                with pytest.raises(Outdated):
                    self.store.queue.accept(arrival)
                return
            self.store.queue.accept(arrival)
            self.fired[pipeline] = self.now + 0.25

        @precondition(lambda self: len(self.runs) < MOST)
        @rule(number=numbers)
        def follow(self, number):
            placing = self.placings("b", None, "queue", 0, False, False, False)
            recorded = self.store.queue.accept(Arrival(placings=[placing], after=number))
            if number not in self.runs or self.runs[number].chain != "due":
                assert recorded is None
                return
            self.runs[number].chain = ""
            self.record(placing)
            assert [run.number for run in recorded.runs] == [len(self.runs)]

        @rule(at_once=st.integers(1, 4), is_closed=st.booleans(), later=st.sampled_from([0.0, 1.0, 40.0]))
        def claim(self, at_once, is_closed, later):
            self.now += later
            closed = ["live"] if is_closed else []
            claimed = self.store.queue.claim(at_once=at_once, now=self.now, closed=closed)
            expected = self.choose(at_once, closed)
            assert [waiting.run for waiting in claimed] == expected
            for number in expected:
                self.runs[number].claimed_at = self.now

        def choose(self, at_once: int, closed: list[str]) -> list[int]:
            if "" in self.paused:
                return []
            fresh = {n for n, run in self.runs.items() if run.place == "queue" and run.claimed_at is not None
                     and -30 <= self.now - run.claimed_at < 30}  # fmt: skip
            taken = [run for n, run in self.runs.items() if run.place == "slot" or n in fresh]
            groups = {run.group for run in taken} - {None}
            environments = {run.environment for run in taken} - {None} | set(closed)
            waits = [
                (-run.priority, n) for n, run in self.runs.items() if run.place == "queue" and run.state == "queued"
            ]
            chosen = []
            for _, number in sorted(waits):
                run = self.runs[number]
                if len(chosen) >= at_once - len(taken):
                    break
                if (
                    number in fresh
                    or run.group in groups
                    or run.environment in environments
                    or run.pipeline in self.paused
                ):
                    continue
                groups |= {run.group} - {None}
                environments |= {run.environment} - {None}
                chosen.append(number)
            return chosen

        @rule(number=numbers, what=st.sampled_from(["started", "unclaim", "give_back"]))
        def move(self, number, what):
            run = self.runs.get(number)
            waits = run is not None and run.place == "queue"
            if what == "started":
                self.store.queue.started(number, 4711)
            elif what == "unclaim":
                self.store.queue.unclaim(number)
            else:
                assert self.store.queue.give_back(number) is waits
            if waits:
                run.tries += {"started": 1, "unclaim": 0, "give_back": -1}[what]
                if what != "started":
                    run.claimed_at = None

        @rule(
            number=numbers,
            state=st.sampled_from(["starting", "running", "done"]),
            verdict=st.sampled_from(["passed", "failed"]),
        )
        def go_on(self, number, state, verdict):
            run = self.runs.get(number)
            after = {"queued": {"starting", "done"}, "blocked": {"starting", "done"}, "starting": {"running", "done"},
                     "running": {"done"}, "done": set()}  # fmt: skip
            if run is None or state not in after[run.state]:
                return
            change = RunChanged(state=RunState(state), verdict=Verdict(verdict) if state == "done" else None)
            self.store.apply([change], run=number, epoch=1)
            if state == "done":
                run.end(verdict)
            else:
                run.state, run.place = state, "slot"

        @rule(number=numbers)
        def approve(self, number):
            run = self.runs.get(number)
            approved = self.store.queue.approve(number, "ada")
            if run is None or run.state != "blocked":
                assert approved is None
                return
            assert approved.reason == "approved by ada"
            run.state = "queued"

        @rule(pipeline=st.sampled_from(["", *PIPELINES]), holds=st.booleans())
        def pause(self, pipeline, holds):
            changes = (pipeline in self.paused) is not holds
            act = self.store.queue.pause if holds else self.store.queue.resume
            assert act(pipeline) is changes
            self.paused ^= {pipeline} if changes else set()

        @rule()
        def open_again(self):
            self.store.close()
            self.store = factory(self.folder)

        @invariant()
        def all_agrees(self):
            queue = self.store.queue
            places = {n: run for n, run in self.runs.items() if run.place == "queue"}
            order = sorted(places, key=lambda n: (-places[n].priority, n))
            assert [
                (one.run, one.priority, one.group, one.claimed_at, one.tries, one.environment)
                for one in queue.waiting()
            ] == [
                (n, run.priority, run.group, run.claimed_at, run.tries, run.environment)
                for n, run in ((n, places[n]) for n in order)
            ]
            assert {one.run for one in queue.claims()} == {n for n, run in places.items() if run.claimed_at is not None}
            assert queue.environments() == (["live"] if any(run.environment for run in places.values()) else [])
            assert [(slot.run, slot.group, slot.environment) for slot in queue.slots()] == [
                (n, run.group, run.environment) for n, run in self.runs.items() if run.place == "slot"
            ]
            assert queue.going_on() == sum(run.place == "slot" for run in self.runs.values())
            due = [n for n, run in self.runs.items() if run.chain == "due"]
            assert queue.due_chains() == due
            assert queue.is_idle() is (not places and not due)
            held = [n for n, run in self.runs.items() if run.place == "slot"]
            assert [run.number for run in queue.held()] == sorted(held, reverse=True)
            assert queue.paused() == self.paused
            assert queue.seen("here") == self.seen and queue.seen("there") == {}
            assert queue.last_fired() == self.fired
            assert {id for id in "123" if queue.delivered("hook", id) is not None} == set(self.deliveries)
            kept = {id: queue.delivered("hook", id) for id in "123"}
            assert {id: (one.run, one.detail) for id, one in kept.items() if one is not None} == self.deliveries
            for number, run in self.runs.items():
                seen = self.store.load(number).run
                assert (str(seen.state), seen.verdict, seen.cancel_requested) == (
                    run.state,
                    run.verdict,
                    run.cancel is not None,
                )
                assert self.store.cancel_reason(number) == run.cancel

    return Machine


def check(factory: Callable[[Path], StateStore], *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        make_machine(factory),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_queue_agrees_with_the_model(open_store):
    check(open_store, examples=8, steps=30)


@pytest.mark.campaign
@pytest.mark.timeout(1800)
def test_queue_agrees_with_the_model_for_long(open_store):
    check(open_store, examples=300, steps=60)


def test_a_full_queue_takes_nothing(open_store, tmp_path, a_run):
    """An arrival is recorded whole or not at all: the first that does not fit takes the others with it."""
    from cicdctl.store.queue_rules import MOST_WAITING

    with contextlib.closing(open_store(tmp_path / "state")) as store:
        placings = [Placing(run=a_run(state=RunState.QUEUED))] * (MOST_WAITING + 1)
        with pytest.raises(StoreError, match="the queue is full"):
            store.queue.accept(Arrival(placings=placings))
        assert store.queue.is_idle() and store.load(1) is None
