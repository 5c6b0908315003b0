"""Waits for the end of a run that another process carries out."""

from __future__ import annotations

import time

from cicdctl.errors import StoreError
from cicdctl.model import RunState, RunSummary
from cicdctl.project import Project
from cicdctl.runner.recovery import recover

POLL_S = 0.05
RECOVER_EVERY_S = 1.0


def wait_for_run(project: Project, number: int, *, timeout_s: float | None = None) -> RunSummary:
    """Return a run when it has ended, also when its runner died.

    Raises TimeoutError while it goes on, StoreError when there is no such run.
    """
    began = time.monotonic()
    next_look = began + RECOVER_EVERY_S
    while True:
        summary = project.state.load(number)
        if summary is None:
            raise StoreError(f"there is no run #{number}", hint="cicdctl history lists them")
        if summary.run.state is RunState.DONE:
            return summary
        now = time.monotonic()
        if timeout_s is not None and now - began >= timeout_s:
            raise TimeoutError(f"run #{number} has not ended after {timeout_s:g} s")
        if now >= next_look:
            next_look = now + RECOVER_EVERY_S
            recover(project)
        time.sleep(POLL_S)
