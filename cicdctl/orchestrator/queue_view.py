"""What runs and what waits, and for what it waits."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Literal

from cicdctl.model import Run, RunState, Value
from cicdctl.orchestrator.pausing import since_words
from cicdctl.project import Project
from cicdctl.runner.environments import is_closed
from cicdctl.store.queue_rules import is_fresh
from cicdctl.store.queued import Slot, Waiting

Why = Literal["approval", "paused", "starting", "lock", "environment", "group", "slot", "next"]


class WaitingRun(Value, frozen=True, kw_only=True):
    """A run that waits: for what, in a word for programs and a sentence for people. `behind` are the runs it is for."""

    run: Run
    waiting: Waiting
    why: Why
    text: str
    behind: tuple[int, ...] = ()


class QueueView(Value, frozen=True, kw_only=True):
    """The queue at one look, of `total` runs that wait the first ones.

    `paused` are pipelines, the empty name all; `at_once` runs may go on beside each other.
    """

    running: tuple[Run, ...] = ()
    waiting: tuple[WaitingRun, ...] = ()
    total: int = 0
    paused: tuple[str, ...] = ()
    at_once: int = 1


def look_at_queue(project: Project, *, limit: int = 200) -> QueueView:
    """Return what goes on, and the first `limit` of what waits, in the order it is taken. Raises StoreError."""
    queue = project.state.queue
    waiting, slots, paused = queue.waiting(), queue.slots(), queue.paused()
    ground = _Ground(project, slots, waiting, paused)
    found = []
    for one in waiting[:limit]:
        summary = project.state.load(one.run)
        if summary is not None and summary.run.verdict is None:
            found.append(ground.explain(summary.run, one))
    return QueueView(
        running=tuple(queue.held()),
        waiting=tuple(found),
        total=len(waiting),
        paused=tuple(sorted(paused)),
        at_once=project.settings.orchestrator.max_parallel_pipelines,
    )


class _Ground:
    """Who keeps what busy: runs that go on, those that are about to, and those that come first."""

    def __init__(
        self, project: Project, slots: Sequence[Slot], waiting: Sequence[Waiting], paused: frozenset[str]
    ) -> None:
        self._project = project
        self._paused = paused
        self._now = time.time()
        self._since: dict[str, str] = {}
        self._groups: dict[str, list[int]] = {}
        self._environments: dict[str, list[int]] = {}
        self._closed: dict[str, bool] = {}
        self._busy = [slot.run for slot in slots]
        for slot in slots:
            self._take(slot.run, slot.group, slot.environment)
        for one in waiting:
            if is_fresh(one, self._now):
                self._busy.append(one.run)
                self._take(one.run, one.group, one.environment)

    def explain(self, run: Run, waiting: Waiting) -> WaitingRun:
        why, text, behind = self._why(run, waiting)
        if why == "next":
            # What is behind it in a group waits for it.
            self._busy.append(run.number)
            self._take(run.number, waiting.group, waiting.environment)
        return WaitingRun(run=run, waiting=waiting, why=why, text=text, behind=behind)

    def _why(self, run: Run, waiting: Waiting) -> tuple[Why, str, tuple[int, ...]]:
        if run.state is RunState.BLOCKED:
            return "approval", "an approval", ()
        for name in ("", run.pipeline):
            if name in self._paused:
                what = f'pipeline "{name}"' if name else "the queue"
                return "paused", f"{what} is paused{self._since_words(name)}", ()
        if is_fresh(waiting, self._now):
            return "starting", "its runner is being started", ()
        held = self._others(self._environments, waiting.environment, run.number)
        if held:
            return "environment", f'environment "{waiting.environment}": {_numbers(held)}', held
        held = self._others(self._groups, waiting.group, run.number)
        if held:
            return "group", f'group "{(waiting.group or "").partition(" ")[2]}": {_numbers(held)}', held
        if waiting.environment is not None and self._is_closed(waiting.environment):
            return "lock", f'the lock of environment "{waiting.environment}"', ()
        at_once = self._project.settings.orchestrator.max_parallel_pipelines
        if len(self._busy) >= at_once:
            return "slot", f"one of {at_once} that may run at once", tuple(self._busy)
        return "next", "it is next", ()

    def _take(self, run: int, group: str | None, environment: str | None) -> None:
        if group is not None:
            self._groups.setdefault(group, []).append(run)
        if environment is not None:
            self._environments.setdefault(environment, []).append(run)

    @staticmethod
    def _others(holders: Mapping[str, list[int]], name: str | None, run: int) -> tuple[int, ...]:
        return tuple(number for number in holders.get(name, ()) if number != run) if name is not None else ()

    def _is_closed(self, name: str) -> bool:
        if name not in self._closed:
            self._closed[name] = is_closed(self._project, name)
        return self._closed[name]

    def _since_words(self, name: str) -> str:
        if name not in self._since:
            self._since[name] = since_words(self._project, name)
        return self._since[name]


def _numbers(runs: Sequence[int]) -> str:
    return ", ".join(f"#{number}" for number in runs)
