"""Who the one orchestrator of a repository is, and how one that others depend on is asked to let go of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from cicdctl.errors import StoreError
from cicdctl.orchestrator.mirrors import data_folder
from cicdctl.project import Project
from cicdctl.store import Lock, is_locked, lock

SHARED = ", with more to do than this"


def orchestrator_lock(project: Project) -> Path:
    """Return the lock that the one orchestrator of a repository holds."""
    return project.state_folder / "locks" / "orchestrator"


def stop_file(project: Project) -> Path:
    """Return the file that asks an orchestrator which is not alone in its process to let go of this repository."""
    return project.state_folder / "locks" / "orchestrator.stop"


def file_lock(environ: Mapping[str, str], path: Path) -> Path:
    """Return the lock that the process which watches the several projects of a file holds."""
    digest = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    return data_folder(environ) / "locks" / f"watch-{digest}"


def take_the_file(environ: Mapping[str, str], path: Path) -> Lock:
    """Become the one process for a file of several projects. Raises StoreError naming who is it already."""
    held = lock(file_lock(environ, path), blocking=False)
    if held is None:
        who = is_locked(file_lock(environ, path)) or "another process"
        raise StoreError(f'the projects of "{path}" are watched already: {who}', hint=f"cicdctl stop --config {path}")
    return held


def refuse_second(project: Project, *, name: str | None = None) -> None:
    """Raise StoreError naming who the orchestrator is already; `name`: what to call one that is gone by now."""
    who = is_locked(orchestrator_lock(project)) or name
    if who is not None:
        raise StoreError(
            f"an orchestrator watches this repository already: {who.removesuffix(SHARED)}",
            hint="cicdctl stop ends it",
        )


def take_the_lead(project: Project, *, is_shared: bool = False) -> Lock:
    """Become the one orchestrator. `is_shared`: a signal to our process would end more than that.

    Raises StoreError naming who is it already.
    """
    path = orchestrator_lock(project)
    held = lock(path, blocking=False)
    if held is None:
        refuse_second(project, name="another process")
    assert held is not None
    if is_shared:
        path.write_text(path.read_text().rstrip("\n") + SHARED + "\n")
    return held
