"""Begins fixes, finds those that a dead process left, and sees each through under its lock."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cicdctl.errors import CicdError
from cicdctl.fixing.bundle import capture_failure
from cicdctl.fixing.checker import Checker
from cicdctl.fixing.engine import heal
from cicdctl.fixing.escalation import escalate
from cicdctl.fixing.evidence import has_bundle, save_bundle
from cicdctl.fixing.going_out import digest_of_url, origin_of
from cicdctl.fixing.work import FixOptions, OpenFixer, Tell, Work
from cicdctl.model import Run, RunSummary, StageResult
from cicdctl.model.fix_record import FixRecord, FixState
from cicdctl.project import Project
from cicdctl.store import Lock, is_locked, lock

WAIT_S = 0.2


def start_fix(
    project: Project,
    summary: RunSummary,
    result: StageResult,
    *,
    checker: Checker,
    open_fixers: Callable[[Run], Sequence[OpenFixer]],
    options: FixOptions,
    tell: Tell,
    cancelled: Callable[[], bool],
) -> FixRecord:
    """Fix a failed stage, or go on with a fix of it that a dead process left; return how it ended.

    One fix of a branch at a time: waits for the one that goes on. A fix that has ended stands; `options.again`
    begins another. Raises CicdError when it cannot be carried through.
    """
    with _lock_of(project, summary.run, tell, cancelled):
        earlier = project.fixes.of_run(summary.run.number, result.stage)
        if earlier and earlier[0].state is FixState.DONE and not options.again:
            return earlier[0]
        if earlier and earlier[0].state is not FixState.DONE:
            record = project.fixes.take_over(earlier[0].id)
            tell(f"going on with fix {record.id} ({record.state})")
            if not has_bundle(project.fixes, record.id):
                save_bundle(project.fixes, record.id, capture_failure(project, summary, result))
        else:
            record = _begin(project, summary, result)
        work = Work(
            project,
            record,
            summary=summary,
            result=result,
            checker=checker,
            fixers=open_fixers(summary.run),
            options=options,
            tell=tell,
            cancelled=cancelled,
        )
        try:
            return heal(work)
        finally:
            escalate(work)


def _begin(project: Project, summary: RunSummary, result: StageResult) -> FixRecord:
    run = summary.run
    bundle = capture_failure(project, summary, result)
    project.repository.keep(run.commit)
    record = project.fixes.open(
        FixRecord(
            id="",
            run=run.number,
            stage=result.stage,
            state=FixState.CAPTURED,
            created_at=time.time(),
            pipeline=run.pipeline,
            ref=run.ref,
            base=run.commit,
            base_tree=run.tree,
            signature=bundle.signature,
            category=bundle.category,
            push_url=digest_of_url(origin_of(project)),
        )
    )
    save_bundle(project.fixes, record.id, bundle)
    return record


def close_dead(project: Project) -> Iterator[FixRecord]:
    """Yield the fixes without an outcome whose process is gone: each is to be gone on with."""
    for record in project.fixes.unfinished():
        if is_locked(_lock_path(project, record.ref, record.base)) is None:
            yield record


def is_worked_on(project: Project, run: Run) -> bool:
    """Whether some process works on a fix of the branch of this run."""
    return is_locked(_lock_path(project, run.ref, run.commit)) is not None


@contextmanager
def _lock_of(project: Project, run: Run, tell: Tell, cancelled: Callable[[], bool]) -> Iterator[Lock]:
    path = _lock_path(project, run.ref, run.commit)
    held = lock(path, blocking=False)
    if held is None:
        tell(f"waiting for another fix of this branch ({is_locked(path) or 'it ends'})")
        while (held := lock(path, blocking=False)) is None:
            if cancelled():
                raise CicdError("cancelled while another fix of this branch goes on")
            time.sleep(WAIT_S)
    with held:
        yield held


def _lock_path(project: Project, ref: str | None, commit: str) -> Path:
    name = hashlib.sha256((ref or commit).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return project.state_folder / "locks" / f"fix-{name}.lock"
