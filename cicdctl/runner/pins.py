"""Keep refs of runs: a commit stays as long as a run that has not ended needs it."""

from __future__ import annotations

from cicdctl.errors import StoreError
from cicdctl.model import Run, RunFilter
from cicdctl.project import Project


def let_go(project: Project, commit: str) -> None:
    """Release a commit's pin unless a run that has not ended needs it.

    A run that is recorded right after this looked pins its commit once more (`begin`), so none is left without.
    """
    if not (project.repository.state_dir / "state.db").exists() or not _is_needed(project, commit):
        project.repository.release(commit)


def _is_needed(project: Project, commit: str) -> bool:
    return any(run.commit == commit for run in project.state.runs(RunFilter(active=True, limit=10_000)))


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
