"""Waits for a run on a server: patiently while that is started anew, and not for what waits for people."""

from __future__ import annotations

import time
from collections.abc import Callable

from cicdctl.errors import StoreError
from cicdctl.model import Run, RunState, RunSummary
from cicdctl.orchestrator.pausing import refuse_held, words_since
from cicdctl.project import Project
from cicdctl.remote.client import Unreachable
from cicdctl.remote.project import RemoteProject

POLL_S = 0.25
ASK_S = 1.0  # how often it is asked whether what is waited for is paused
PATIENCE_S = 120.0  # with a server that does not answer
_AGAIN_S = 1.0


def load_there(project: Project, number: int) -> RunSummary:
    """Return a run; a server that is started anew meanwhile is waited for. Raises StoreError."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            summary = project.state.load(number)
        except Unreachable:
            if time.monotonic() > end:
                raise
            time.sleep(_AGAIN_S)
            continue
        if summary is None:
            raise StoreError(f"run #{number} is gone", hint="cicdctl history lists them")
        return summary


def paused_there(project: Project) -> dict[str, str]:
    """Return what is paused on the server and since when, as `since_words` says it."""
    assert isinstance(project, RemoteProject)
    return {name: words_since(number) for name, number in project.remote_state.queue.paused_by().items()}


def wait_for_end(project: Project, number: int, *, timeout_s: float | None = None) -> RunSummary:
    """Return a run when it has ended. Raises TimeoutError while it goes on, StoreError, Paused."""
    return _wait(project, number, lambda run: run.verdict is not None, timeout_s)


def wait_for_start(project: Project, number: int) -> RunSummary:
    """Return a run when it no longer waits. Raises as `wait_for_end`."""
    return _wait(project, number, lambda run: run.state not in (RunState.QUEUED, RunState.BLOCKED), None)


def _wait(project: Project, number: int, is_over: Callable[[Run], bool], timeout_s: float | None) -> RunSummary:
    began = ask_at = time.monotonic()
    while not is_over((summary := load_there(project, number)).run):
        now = time.monotonic()
        if timeout_s is not None and now - began >= timeout_s:
            raise TimeoutError(f"run #{number} has not ended after {timeout_s:g} s")
        if now >= ask_at:
            ask_at = now + ASK_S
            since = paused_there(project)
            refuse_held(summary.run, since, since.__getitem__)
        time.sleep(POLL_S)
    return summary
