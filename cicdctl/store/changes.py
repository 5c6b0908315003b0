"""What may change in a run, as values, and which changes are possible at all."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeAlias

from cicdctl.model import Attempt, Deploy, Run, RunState, StageResult, Value, Verdict


class StageState(StrEnum):
    """Where a stage stands. Saved to disk: add, never rename. A stage without a record waits."""

    RUNNING = "running"
    DONE = "done"


class RunChanged(Value, frozen=True, kw_only=True):
    """The run went on. None leaves a field as it is; `verdict` comes with state `done` and only then."""

    state: RunState | None = None
    verdict: Verdict | None = None
    reason: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    stage_names: tuple[str, ...] | None = None
    deploy: Deploy | None = None

    def __post_init__(self) -> None:
        if (self.state is RunState.DONE) != (self.verdict is not None):
            raise ValueError("a run has a verdict when it is done, and only then")


class StageChanged(Value, frozen=True, kw_only=True):
    """A stage started (`stage` and state `running`) or ended (`result` and state `done`)."""

    result: StageResult | None = None
    state: StageState = StageState.DONE
    stage: str = ""

    def __post_init__(self) -> None:
        if (self.state is StageState.DONE) != (self.result is not None):
            raise ValueError("a stage has a result when it is done, and only then")
        if self.result is None and not self.stage:
            raise ValueError("a stage that starts needs its name")
        if self.result is not None and self.stage not in ("", self.result.stage):
            raise ValueError(f"result of stage '{self.result.stage}' offered as that of '{self.stage}'")

    @property
    def name(self) -> str:
        """The stage it is about."""
        return self.stage if self.result is None else self.result.stage


class AttemptStarted(Value, frozen=True, kw_only=True):
    """A stage is tried; the first try is `number` 1. `at` is Unix seconds; `log` relative to the state folder."""

    stage: str
    number: int
    at: float
    log: str | None = None


class AttemptEnded(Value, frozen=True, kw_only=True):
    """A started attempt ended; its number is in `attempt`."""

    stage: str
    attempt: Attempt


class Noted(Value, frozen=True, kw_only=True):
    """Something people may want to know; it changes no state. `detail` must fit into JSON."""

    kind: str
    stage: str | None = None
    detail: Mapping[str, Any] = {}


Change: TypeAlias = RunChanged | StageChanged | AttemptStarted | AttemptEnded | Noted

# reliability.md section 2. `queued` and `blocked` may end at once: cancelled, superseded or skipped.
_NEXT: Mapping[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.BLOCKED, RunState.STARTING, RunState.DONE}),
    RunState.BLOCKED: frozenset({RunState.QUEUED, RunState.STARTING, RunState.DONE}),
    RunState.STARTING: frozenset({RunState.RUNNING, RunState.FINISHING, RunState.DONE}),
    RunState.RUNNING: frozenset({RunState.FINISHING, RunState.DONE}),
    RunState.FINISHING: frozenset({RunState.DONE}),
    RunState.DONE: frozenset(),
}

# No results of a stage's commands: whoever takes the run over may execute those stages again.
UNFINISHED_VERDICTS = (Verdict.SKIPPED, Verdict.CANCELLED, Verdict.INTERRUPTED)


def is_possible(old: RunState, new: RunState) -> bool:
    """Say whether a run may go from `old` to `new`; staying is possible until it is done."""
    return new in _NEXT[old] or (new is old and old is not RunState.DONE)


def next_run(run: Run, change: RunChanged) -> Run:
    """Give the run as it is after the change; ValueError when the change is impossible."""
    import msgspec

    state = run.state if change.state is None else change.state
    if not is_possible(run.state, state):
        raise ValueError(f"run #{run.number} cannot go from '{run.state}' to '{state}'")
    fields = {name: value for name in change.__struct_fields__ if (value := getattr(change, name)) is not None}
    return msgspec.structs.replace(run, **fields)
