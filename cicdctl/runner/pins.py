"""Keep refs of runs: a commit stays as long as a run that has not ended, or a rollback, needs it."""

from __future__ import annotations

import time
from pathlib import Path

from cicdctl.errors import StoreError
from cicdctl.git.refs import KEEP_PREFIX, RefLocked
from cicdctl.model import Run, RunFilter
from cicdctl.project import Project

# A pin comes before its run is recorded; younger ones may belong to one that is about to begin.
STRAY_AGE_S = 60.0


def let_go(project: Project, commit: str) -> bool:
    """Release a commit's pin unless a run that has not ended needs it, or a rollback can go back to it.

    `begin` pins, records and pins again: whichever of the two comes last finds the run and leaves a pin. False while
    somebody holds git's lock: the pin stays, for `release_strays` of a later command.
    """
    if _is_needed(project, commit):
        return True
    try:
        project.repository.release(commit)
    except RefLocked as error:
        # The lock of a git that was killed, maybe: it is not for us to judge, and the run has ended all the same.
        project.warn(f"{error.message}; until it is gone ({error.hint}) pins of commits stay")
        return False
    if _is_needed(project, commit):
        project.repository.keep(commit)
    return True


def release_strays(project: Project) -> None:
    """Release pins that no run will ever release: their process was killed before it had recorded one."""
    repository = project.repository
    for name, commit in repository.ref_store.all(KEEP_PREFIX).items():
        if time.time() - _pinned_at(repository.common_dir, name) > STRAY_AGE_S and not let_go(project, commit):
            return


def _pinned_at(common_dir: Path, name: str) -> float:
    for path in (common_dir / name, common_dir / "packed-refs"):
        try:
            return path.lstat().st_mtime
        except OSError:
            continue
    return time.time()  # somebody releases it at this moment


def _is_needed(project: Project, commit: str) -> bool:
    if not project.has_state:
        return False
    try:
        is_awaited = bool(project.state.runs(RunFilter(commit=commit, active=True, limit=1)))
        return is_awaited or project.state.deployments.keeps(commit)
    except StoreError:
        return True  # nobody knows: it is let go as a stray, one day


def check_commit(project: Project, run: Run) -> None:
    """Raise StoreError when the commit of a run that has ended is gone: git may collect what no branch holds."""
    from cicdctl.git import MissingObject

    try:
        project.repository.commit(run.commit)
    except MissingObject as error:
        what = "the snapshot" if run.snapshot else "commit"
        raise StoreError(
            f"{what} {run.commit[:10]} of run #{run.number} is gone from the repository",
            hint=f"cicdctl run {run.pipeline} runs it on the working tree as it is now",
        ) from error
