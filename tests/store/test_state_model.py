"""Every state store against one model of it: whatever is called in whatever order, both say the same."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cicdctl.errors import StoreError
from cicdctl.model import Attempt, Run, RunFilter, RunState, StageResult, TriggerKind, Verdict
from cicdctl.store import (
    AttemptEnded,
    AttemptStarted,
    Noted,
    RunChanged,
    StageChanged,
    StageState,
    StaleRunner,
    StateStore,
)

STAGES = ("lint", "unit")
AFTER = {
    "queued": {"blocked", "starting", "done"},
    "blocked": {"queued", "starting", "done"},
    "starting": {"running", "finishing", "done"},
    "running": {"finishing", "done"},
    "finishing": {"done"},
    "done": set(),
}
OPEN_VERDICTS = {"skipped", "cancelled", "interrupted"}


class Remembered:
    """One run as the model sees it."""

    def __init__(self, pipeline: str, state: str, ref: str | None) -> None:
        self.pipeline = pipeline
        self.state = state
        self.ref = ref
        self.verdict: str | None = None
        self.epoch = 1
        self.cancel = False
        self.stages: dict[str, tuple[str, int]] = {}  # name: (verdict or "running", epoch)
        self.tries: dict[tuple[str, int], str] = {}  # (stage, number): verdict or "open"
        self.events = ["run_created"]


def make_machine(factory: Callable[[Path], StateStore]) -> type[RuleBasedStateMachine]:
    numbers = st.integers(1, 4)
    stages = st.sampled_from(STAGES)
    verdicts = st.sampled_from(list(Verdict))

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.folder = Path(tempfile.mkdtemp(prefix="state-model-"))
            self.store = factory(self.folder)
            self.model: dict[int, Remembered] = {}
            self.total_events = 0

        def teardown(self) -> None:
            self.store.close()
            shutil.rmtree(self.folder)

        @precondition(lambda self: len(self.model) < 4)
        @rule(pipeline=st.sampled_from(["a", "b"]), state=st.sampled_from(["queued", "starting"]),
              ref=st.sampled_from([None, "x", "y"]))  # fmt: skip
        def begin(self, pipeline: str, state: str, ref: str | None) -> None:
            run = Run(
                number=77, epoch=9, pipeline=pipeline, commit="c", tree="t", trigger=TriggerKind.MANUAL,
                state=RunState(state), stage_names=("unit", "lint"), ref=ref,
            )  # fmt: skip
            begun = self.store.begin(run)
            assert begun.epoch == 1
            assert begun.number == len(self.model) + 1
            self.model[begun.number] = Remembered(pipeline, state, ref)

        def attempt(self, number: int, change: object, *, possible: bool, late: bool) -> bool:
            """Apply to the store what the model finds possible or not; say whether it happened."""
            run = self.model.get(number)
            epoch = 1 if run is None else run.epoch - late
            if run is None or not possible:
                expected: type[Exception] | None = ValueError
            else:
                expected = None
            if run is not None and late:
                expected = StaleRunner
            batch = [Noted(kind="before"), change]
            if expected is None:
                self.store.apply(batch, run=number, epoch=epoch)
                run.events.append("before")
                return True
            with pytest.raises(expected):
                self.store.apply(batch, run=number, epoch=epoch)
            return False

        @rule(number=numbers, state=st.sampled_from(list(RunState)), verdict=verdicts, late=st.booleans())
        def change_run(self, number: int, state: RunState, verdict: Verdict, late: bool) -> None:
            run = self.model.get(number)
            given_verdict = verdict if state is RunState.DONE else None
            possible = run is not None and (state in AFTER[run.state] or (state == run.state != "done"))
            change = RunChanged(state=state, verdict=given_verdict)
            if self.attempt(number, change, possible=possible, late=late):
                names = {"running": "run_started", "done": "run_finished"}
                run.events.append("run_changed" if state == run.state else names.get(state, f"run_{state}"))
                run.state, run.verdict = str(state), given_verdict

        @rule(number=numbers, stage=stages, late=st.booleans())
        def start_stage(self, number: int, stage: str, late: bool) -> None:
            run = self.model.get(number)
            possible = run is not None and self.may_write(run, stage, ending=False)
            change = StageChanged(stage=stage, state=StageState.RUNNING)
            if self.attempt(number, change, possible=possible, late=late):
                run.stages[stage] = ("running", run.epoch)
                run.events.append("stage_started")

        @rule(number=numbers, stage=stages, verdict=verdicts, tries=st.sets(st.integers(1, 3), max_size=2))
        def end_stage(self, number: int, stage: str, verdict: Verdict, tries: set[int]) -> None:
            run = self.model.get(number)
            possible = run is not None and self.may_write(run, stage, ending=True)
            attempts = tuple(Attempt(number=item, verdict=verdict) for item in sorted(tries))
            change = StageChanged(result=StageResult(stage=stage, verdict=verdict, attempts=attempts))
            if self.attempt(number, change, possible=possible, late=False):
                run.stages[stage] = (str(verdict), run.epoch)
                run.events.append("stage_finished")
                for item in tries:
                    if run.tries.get((stage, item), "open") == "open":
                        run.tries[stage, item] = str(verdict)

        def may_write(self, run: Remembered, stage: str, *, ending: bool) -> bool:
            if stage not in run.stages:
                return True
            word, epoch = run.stages[stage]
            if epoch < run.epoch:
                return word == "running" or word in OPEN_VERDICTS
            return word == "running" and ending

        @rule(number=numbers, stage=stages, item=st.integers(0, 3), late=st.booleans())
        def start_attempt(self, number: int, stage: str, item: int, late: bool) -> None:
            run = self.model.get(number)
            possible = run is not None and item > 0 and (stage, item) not in run.tries
            if self.attempt(number, AttemptStarted(stage=stage, number=item, at=1.0), possible=possible, late=late):
                run.tries[stage, item] = "open"
                run.events.append("attempt_started")

        @rule(number=numbers, stage=stages, item=st.integers(1, 3), verdict=verdicts)
        def end_attempt(self, number: int, stage: str, item: int, verdict: Verdict) -> None:
            run = self.model.get(number)
            possible = run is not None and run.tries.get((stage, item)) == "open"
            change = AttemptEnded(stage=stage, attempt=Attempt(number=item, verdict=verdict))
            if self.attempt(number, change, possible=possible, late=False):
                run.tries[stage, item] = str(verdict)
                run.events.append("attempt_finished")

        @rule(number=numbers)
        def take_over(self, number: int) -> None:
            run = self.model.get(number)
            if run is None or (run.state == "done" and run.verdict != "interrupted"):
                with pytest.raises(StoreError):
                    self.store.take_over(number)
                return
            assert self.store.take_over(number) == run.epoch + 1
            run.epoch += 1
            run.events.append("run_taken_over")
            if run.state == "done":
                run.cancel = False
            if run.state not in ("queued", "blocked"):
                run.state, run.verdict = "starting", None

        @rule(number=numbers)
        def cancel(self, number: int) -> None:
            run = self.model.get(number)
            active = run is not None and run.state != "done"
            assert self.store.request_cancel(number, "why") is active
            if active:
                if not run.cancel:
                    run.events.append("cancel_requested")
                run.cancel = True

        @rule()
        def open_again(self) -> None:
            self.store.close()
            self.store = factory(self.folder)

        @rule(pipeline=st.sampled_from([None, "a", "b"]), active=st.sampled_from([None, True, False]),
              before=st.sampled_from([None, 1, 3]), limit=st.integers(0, 5), ref=st.sampled_from([None, "x", "y", "z"]))  # fmt: skip
        def listed(
            self, pipeline: str | None, active: bool | None, before: int | None, limit: int, ref: str | None
        ) -> None:
            wanted = RunFilter(pipeline=pipeline, active=active, before=before, limit=limit, ref=ref)
            expected = [
                number
                for number, run in sorted(self.model.items(), reverse=True)
                if pipeline in (None, run.pipeline)
                and ref in (None, run.ref)
                and (active is None or active == (run.state != "done"))
                and (before is None or number < before)
            ]
            assert [run.number for run in self.store.runs(wanted)] == expected[:limit]

        @invariant()
        def runs_agree(self) -> None:
            for number in range(1, len(self.model) + 2):
                summary, run = self.store.load(number), self.model.get(number)
                if run is None:
                    assert summary is None
                    continue
                seen = summary.run
                assert (seen.state, seen.verdict, seen.epoch, seen.cancel_requested) == (
                    run.state, run.verdict, run.epoch, run.cancel,
                )  # fmt: skip
                done = {name: word for name, (word, _) in run.stages.items() if word != "running"}
                assert {result.stage: str(result.verdict) for result in summary.stages} == done
                assert [result.stage for result in summary.stages] == sorted(done, reverse=True)
                for result in summary.stages:
                    assert [(item.number, str(item.verdict)) for item in result.attempts] == sorted(
                        (item, word)
                        for (stage, item), word in run.tries.items()
                        if stage == result.stage and word != "open"
                    )
                assert [event.kind for event in self.store.events(run=number)] == run.events

        @invariant()
        def events_only_grow(self) -> None:
            ids = [event.id for event in self.store.events()]
            assert ids == list(range(1, len(ids) + 1))
            assert len(ids) == sum(len(run.events) for run in self.model.values())
            assert [event.id for event in self.store.events(after=1, limit=2)] == ids[1:3]

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


def test_store_agrees_with_the_model(open_store):
    check(open_store, examples=8, steps=25)


@pytest.mark.campaign
@pytest.mark.timeout(1800)
def test_store_agrees_with_the_model_for_long(open_store):
    check(open_store, examples=400, steps=60)
