"""Who the one orchestrator of a repository is."""

from __future__ import annotations

from pathlib import Path

from cicdctl.errors import StoreError
from cicdctl.project import Project
from cicdctl.store import Lock, is_locked, lock


def orchestrator_lock(project: Project) -> Path:
    """Return the lock that the one orchestrator of a repository holds."""
    return project.state_folder / "locks" / "orchestrator"


def take_the_lead(project: Project) -> Lock:
    """Become the one orchestrator. Raises StoreError naming who is it already."""
    path = orchestrator_lock(project)
    held = lock(path, blocking=False)
    if held is None:
        who = is_locked(path) or "another process"
        raise StoreError(f"an orchestrator watches this repository already: {who}", hint="cicdctl stop ends it")
    return held
