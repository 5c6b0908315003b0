"""Begins fixes, finds those that a dead process left, and sees each through under its lock."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cicdctl.errors import CicdError, StoreError, UsageError
from cicdctl.fixing.bundle import capture_failure
from cicdctl.fixing.checker import Checker
from cicdctl.fixing.engine import heal
from cicdctl.fixing.escalation import escalate
from cicdctl.fixing.evidence import save_bundle
from cicdctl.fixing.work import FixOptions, OpenFixer, Tell, Work, stage_of
from cicdctl.model import Run, RunState, RunSummary, StageResult, Verdict
from cicdctl.model.fixing import FixRecord, FixState
from cicdctl.near_words import near_word
from cicdctl.project import Project
from cicdctl.store import Lock, is_locked, lock

WAIT_S = 0.2


def find_failure(project: Project, number: int, stage: str | None) -> tuple[RunSummary, StageResult]:
    """Return a run and the stage of it to repair: the one that is named, else the first that failed by itself.

    Raises UsageError when there is none.
    """
    summary = project.state.load(number)
    if summary is None:
        raise StoreError(f"there is no run #{number}", hint="cicdctl history lists them")
    if summary.run.state is not RunState.DONE:
        raise UsageError(f"run #{number} goes on", hint=f"cicdctl logs {number} -f follows it")
    if stage is not None:
        found = stage_of(summary, stage)
        if found is None:
            known = [one.stage for one in summary.stages]
            raise UsageError(f'run #{number} has no stage "{stage}"{near_word(stage, known)}')
    else:
        found = next((one for one in summary.stages if _is_red(one)), None)
        if found is None:
            raise UsageError(f"no stage of run #{number} failed: it is {summary.run.verdict}")
    if not _is_red(found):
        raise UsageError(f'stage "{found.stage}" of run #{number} did not fail: it is {found.verdict}')
    return summary, found


def _is_red(result: StageResult) -> bool:
    return result.verdict in (Verdict.FAILED, Verdict.TIMED_OUT) and not result.allowed_failure


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
            push_url=next(iter(project.repository.config.get("remote.origin.url") or []), None),
        )
    )
    save_bundle(project.fixes, record.id, bundle)
    return record


def close_dead(project: Project) -> Iterator[FixRecord]:
    """Yield the fixes without an outcome whose process is gone: each is to be gone on with."""
    for record in project.fixes.unfinished():
        if is_locked(_lock_path(project, record.ref, record.base)) is None:
            yield record


def is_alive(project: Project, record: FixRecord) -> bool:
    """Whether some process works on the branch of this fix."""
    return is_locked(_lock_path(project, record.ref, record.base)) is not None


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
