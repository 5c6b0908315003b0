"""Keep refs of runs: a commit stays as long as a run that has not ended needs it."""

from __future__ import annotations

from cicdctl.model import RunFilter
from cicdctl.project import Project


def let_go(project: Project, commit: str) -> None:
    """Release a commit's pin unless a run that has not ended needs it.

    A run that is recorded right after this looked pins its commit once more (`begin`), so none is left without.
    """
    if not (project.repository.state_dir / "state.db").exists() or not _is_needed(project, commit):
        project.repository.release(commit)


def _is_needed(project: Project, commit: str) -> bool:
    return any(run.commit == commit for run in project.state.runs(RunFilter(active=True, limit=10_000)))
