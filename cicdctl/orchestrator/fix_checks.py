"""Runs that find out whether a fix is good: ordinary runs with the trigger `fix`, each with a runner of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec.structs import replace

from cicdctl.errors import CicdError, StoreError
from cicdctl.model import Run, RunState, RunSummary, TriggerKind, Trust
from cicdctl.project import Project
from cicdctl.runner.begin import check, record
from cicdctl.runner.cancel import cancel_run
from cicdctl.runner.detach import start_runner
from cicdctl.runner.prepare import prepare
from cicdctl.runner.recovery import recover
from cicdctl.runner.request import RunRequest

POLL_S = 0.03
RECOVER_EVERY_S = 1.0


class RunChecker:
    """The `Checker` of one failed run."""

    def __init__(self, project: Project, failed: Run) -> None:
        self._project = project
        self._failed = failed
        self._begun: set[int] = set()

    def record(self, commit: str, *, stages: tuple[str, ...], confined: bool, may_reuse: bool) -> int:
        """See `Checker.record`."""
        failed = self._failed
        request = replace(
            RunRequest.of(failed),
            revision=commit,
            only=stages,
            start=None,
            until=None,
            reuse_run=None,
            keep_going=False,
            fail_on_cache_miss=False,
            no_cache=not may_reuse,
            trigger=TriggerKind.FIX,
            trust=Trust.UNTRUSTED if confined else failed.trust,
            confined=confined,
            parent=failed.number,
        )
        prepared = prepare(self._project, request)
        check(self._project, prepared)
        return record(self._project, prepared).number

    def finish(self, number: int, *, deadline: float, cancelled: Callable[[], bool]) -> RunSummary:
        """See `Checker.finish`."""
        asked = False
        next_look = 0.0
        while True:
            summary = self._project.state.load(number)
            if summary is None:
                raise StoreError(f"there is no run #{number}", hint="cicdctl history --all lists them")
            if summary.run.state is RunState.DONE:
                return summary
            now = time.monotonic()
            if summary.run.state is RunState.QUEUED and number not in self._begun:
                self._begun.add(number)
                start_runner(self._project, summary.run)
            if not asked and (now >= deadline or cancelled()):
                asked = True
                reason = "the fix is cancelled" if now < deadline else "the time of the fix is up (fix.timeout)"
                try:
                    cancel_run(self._project, number, reason, wait=False)
                except CicdError:
                    continue  # it has just ended
            if now >= next_look:
                next_look = now + RECOVER_EVERY_S
                recover(self._project)
            time.sleep(POLL_S)
