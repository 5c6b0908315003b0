"""Waits for a run that other processes start and carry out."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from cicdctl.errors import CicdError, Paused, StoreError
from cicdctl.model import Run, RunState, RunSummary
from cicdctl.orchestrator.drain import drain
from cicdctl.orchestrator.pausing import is_held, refuse_held, since_words
from cicdctl.project import Project
from cicdctl.runner.recovery import recover
from cicdctl.units import count

POLL_S = 0.05
RECOVER_EVERY_S = 1.0


def wait_for_run(project: Project, number: int, *, timeout_s: float | None = None) -> RunSummary:
    """Return a run when it has ended, also when its runner died.

    Raises TimeoutError while it goes on, StoreError when there is no such run, Paused.
    """
    return _wait(project, number, lambda run: run.state is RunState.DONE, timeout_s)


def wait_for_start(project: Project, number: int, *, timeout_s: float | None = None) -> RunSummary:
    """Return a run when it no longer waits. Raises as `wait_for_run`."""
    return _wait(project, number, lambda run: run.state not in (RunState.QUEUED, RunState.BLOCKED), timeout_s)


def _wait(project: Project, number: int, is_over: Callable[[Run], bool], timeout_s: float | None) -> RunSummary:
    began = time.monotonic()
    next_look = began
    while True:
        summary = project.state.load(number)
        if summary is None:
            raise StoreError(f"there is no run #{number}", hint="cicdctl history lists them")
        if is_over(summary.run):
            return summary
        now = time.monotonic()
        if timeout_s is not None and now - began >= timeout_s:
            raise TimeoutError(f"run #{number} has not ended after {timeout_s:g} s")
        if now >= next_look:
            next_look = now + RECOVER_EVERY_S
            refuse_held(summary.run, project.state.queue.paused(), partial(since_words, project))
            recover(project)
            drain(project)
        time.sleep(POLL_S)


def work_off(project: Project, *, timeout_s: float | None = None, on_end: Callable[[Run], object]) -> None:
    """Start what waits until nothing does, and wait for the end of each run; `on_end` is told of every one.

    Raises CicdError after `timeout_s`, Paused when only paused runs are left.
    """
    queue = project.state.queue
    began = time.monotonic()
    known: dict[int, None] = {}
    while True:
        drain(project)
        recover(project)
        waiting = queue.waiting()
        known |= dict.fromkeys([*(one.run for one in waiting), *(run.number for run in queue.held())])
        for number in list(known):
            summary = project.state.load(number)
            if summary is None or summary.run.state is RunState.DONE:
                del known[number]
                if summary is not None:
                    on_end(summary.run)
        if not known and queue.is_idle():
            return
        paused = queue.paused()
        left = [project.state.load(number) for number in known]
        are_held = bool(left) and all(one is not None and is_held(one.run, paused) for one in left)
        if are_held and not queue.due_chains():  # what comes after one that has just ended is not known yet
            what = f"{count(len(left), 'run')} waiting: paused, or without the approval that is needed"
            raise Paused(what, hint="cicdctl resume and cicdctl approve let them go on")
        if timeout_s is not None and time.monotonic() - began >= timeout_s:
            what = f"{count(len(known), 'run')} not ended after {timeout_s:g} s"
            raise CicdError(what, hint="they go on; cicdctl status shows them")
        time.sleep(POLL_S)
