"""The search for a culprit in the background: one at a time, with the rights of the run that failed, behind all
that waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from cicdctl.errors import ConfigError, GitError, UsageError
from cicdctl.model import Run
from cicdctl.orchestrator.culprit import name_culprit, note_unknown, searches_begun, start_search
from cicdctl.project import Project
from cicdctl.runner import RunRequest
from cicdctl.runner.bisect import BisectRequest, Ending, Outcome, find_culprit
from cicdctl.runner.bisect.values import Event
from cicdctl.store import is_locked, lock
from cicdctl.units import count

MOST_TRIES = 3
ROOM_POLL_S = 1.0
_WHY_NOT = {
    Ending.NARROWED: "several are left that cannot be judged",
    Ending.GOOD_IS_BAD: "the stage fails now where it had passed",
    Ending.BAD_IS_GOOD: "the stage passed when it was tried again",
    Ending.CANNOT_JUDGE: "an end of the range cannot be judged",
}


def search_for_run(
    project: Project, number: int, request: BisectRequest, tell: Callable[[Event], None]
) -> Outcome | None:
    """Search for the culprit of a run, and write down what comes out; None when there is nothing left to do.

    Raises what `find_culprit` raises. Killed, it leaves no word, and the orchestrator starts another.
    """
    held = lock(_search_lock(project, number), blocking=False)
    if held is None:
        return None
    with held:
        project.close_state()  # while we wait nobody needs us to hold it
        turn = lock(project.state_folder / "locks" / "culprit", blocking=True)
        assert turn is not None
        with turn:
            summary = project.state.load(number)
            if summary is None or not searches_begun(project, number):
                return None
            run = summary.run
            try:
                outcome = find_culprit(
                    project, _as_run(request, run), tell, wait_for_room=lambda: _wait_for_room(project)
                )
            except (UsageError, ConfigError, GitError) as error:
                note_unknown(project, run, request.stage, error.message)
                raise
            if outcome.ending is Ending.FOUND:
                why = f"found by bisect among {count(len(outcome.span.parents), 'commit')}"
                name_culprit(project, run, request.stage, outcome.culprits[0], why)
            else:
                note_unknown(project, run, request.stage, _WHY_NOT[outcome.ending])
            return outcome


def search_again(project: Project, run: Run) -> None:
    """Start the search for a run once more whose process is gone, as often as makes sense."""
    begun = searches_begun(project, run.number)
    if not begun or is_locked(_search_lock(project, run.number)) is not None:
        return
    stage, span = begun[-1].stage or "", str(begun[-1].detail.get("span"))
    if len(begun) < MOST_TRIES:
        start_search(project, run, stage, span)
    else:
        note_unknown(project, run, stage, f"the search was broken off {MOST_TRIES} times")


def _as_run(request: BisectRequest, run: Run) -> BisectRequest:
    """What the commits get is what the run got: nobody gets more because a branch of theirs has turned red."""
    asked = RunRequest.of(run)
    return replace(
        request, ref=run.ref, trust=run.trust, config_text=asked.config_text, operator_file=asked.operator_file
    )


def _wait_for_room(project: Project) -> None:
    """Wait while as many runs of the queue go on as may: they come first."""
    at_once = project.settings.orchestrator.max_parallel_pipelines
    while project.state.queue.going_on() + len(project.state.queue.claims()) >= at_once:
        project.close_state()
        time.sleep(ROOM_POLL_S)


def _search_lock(project: Project, number: int) -> Path:
    return project.state_folder / "locks" / f"culprit-{number}.lock"
