"""Finds runs whose runner died, ends what they left and records them as interrupted."""

from __future__ import annotations

import os
import stat
import time
from contextlib import nullcontext
from pathlib import Path

from cicdctl.errors import StoreError
from cicdctl.model import Attempt, Run, RunState, RunSummary, StageResult, Verdict
from cicdctl.project import Project
from cicdctl.runner.pins import let_go, release_strays
from cicdctl.runner.places import remove_scratch
from cicdctl.store import AttemptEnded, RunChanged, StageChanged, lock
from cicdctl.store.state import StaleRunner

# A run is queued before its runner holds the lock; younger ones are not orphans.
QUEUED_GRACE_S = 60.0
REASON = "its runner died"


def recover(project: Project) -> tuple[Run, ...]:
    """End every run whose lock is free although it has no verdict; return them as they are now.

    Liveness is the kernel's flock alone. Processes that bear the run's mark are killed first.
    """
    if not project.has_state:
        return ()
    ended = []
    for run in project.state.queue.held():  # what waits in the queue is no orphan, however long it waits
        waiting = run.state in (RunState.QUEUED, RunState.BLOCKED)
        if waiting and time.time() - run.created_at < QUEUED_GRACE_S:
            continue
        held = lock(run_lock(project, run.number), blocking=False)
        if held is None:
            continue
        with held:
            try:
                ended.append(close_books(project, run, Verdict.INTERRUPTED, REASON))
            except (StaleRunner, StoreError):
                continue
    return tuple(ended)


def recover_and_tell(project: Project) -> None:
    """Close the books on runs whose runner died, and say so; release what was pinned for runs that never were.

    What a server elsewhere keeps is in its own care.
    """
    if not project.is_here:
        return
    for run in recover(project):
        project.warn(f"run #{run.number} ({run.pipeline}) was interrupted: its runner died")
    release_strays(project)


def run_lock(project: Project, number: int) -> Path:
    """Return the path of a run's lock file."""
    return project.state_folder / "locks" / f"run-{number}.lock"


def end_unstarted(project: Project, run: Run, reason: str, *, verdict: Verdict = Verdict.ERROR) -> Run:
    """Record the end of a queued run that no runner takes up any more."""
    epoch = project.state.take_over(run.number)
    change = RunChanged(state=RunState.DONE, verdict=verdict, reason=reason, finished_at=time.time())
    project.state.apply([change], run=run.number, epoch=epoch)
    let_go(project, run.commit)
    summary = project.state.load(run.number)
    assert summary is not None
    return summary.run


def settle(project: Project, run: Run, reason: str, *, interrupted: bool = False) -> RunSummary:
    """Return how a run ended whose runner is gone; one that was never taken up is recorded as an error.

    `interrupted`: we ended the runner ourselves, so that what it did not record is cancelled.
    """
    summary = project.state.load(run.number)
    assert summary is not None
    if summary.run.verdict is None:
        if interrupted:
            with lock(run_lock(project, run.number), blocking=True) or nullcontext():
                close_books(project, summary.run, Verdict.CANCELLED, reason)
        elif summary.run.state is RunState.QUEUED:
            end_unstarted(project, summary.run, reason)
        else:
            recover(project)
        summary = project.state.load(run.number)
        assert summary is not None
    return summary


def close_books(project: Project, run: Run, verdict: Verdict, reason: str) -> Run:
    """End whatever is left of a run and record it with this verdict; the caller holds its lock.

    Raises StoreError when it has ended already, StaleRunner when somebody else took it over meanwhile.
    """
    from cicdctl.process import sweep

    fresh = project.state.load(run.number)
    if fresh is None or fresh.run.state is RunState.DONE:
        raise StoreError(f"run #{run.number} has ended meanwhile")
    killed = sweep(f"{project.repository.id}/{run.number}/")
    epoch = project.state.take_over(run.number)
    done = {result.stage for result in fresh.stages}
    now = time.time()
    changes: list[AttemptEnded | StageChanged | RunChanged] = []
    for opened in project.state.open_attempts(run.number):
        attempt = Attempt(
            number=opened.number,
            verdict=verdict,
            reason=reason,
            started_at=opened.started_at,
            seconds=max(0.0, now - opened.started_at),
            leftover_processes=killed,
            log=opened.log,
        )
        changes.append(AttemptEnded(stage=opened.stage, attempt=attempt))
        if opened.stage not in done:
            done.add(opened.stage)
            result = StageResult(stage=opened.stage, verdict=verdict, reason=reason, log=opened.log)
            changes.append(StageChanged(result=result))
        _mark_log(project, opened.log, reason)
    if fresh.run.state in (RunState.QUEUED, RunState.BLOCKED):
        changes.append(RunChanged(state=RunState.STARTING))
    changes.append(RunChanged(state=RunState.DONE, verdict=verdict, reason=reason, finished_at=now))
    project.state.apply(changes, run=run.number, epoch=epoch)
    let_go(project, run.commit)
    for folder in (project.cache_folder / "scratch").glob(f"{run.number}-*"):
        remove_scratch(folder)
    summary = project.state.load(run.number)
    assert summary is not None
    return summary.run


def _mark_log(project: Project, log: str | None, reason: str) -> None:
    if log is None:
        return
    try:
        # The stage may have put a link or a pipe in its place.
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(project.state_folder / log, flags)
    except OSError:
        return
    with os.fdopen(descriptor, "ab") as file:
        facts = os.fstat(descriptor)
        # A log that is a blob too was whole before the runner died; the blob must stay what its name says.
        if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1:
            file.write(f"\ncicdctl: the log ends here: {reason}\n".encode("utf-8", "replace"))
