"""Starts the process that tells people and forges; whoever ends a run does not wait for it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from cicdctl.store import StateStore, is_locked


def lock_path(state_folder: Path) -> Path:
    """Return the lock that the one process holds which sends."""
    return state_folder / "locks" / "notify.lock"


def start_sender(
    state: StateStore, state_folder: Path, *, directory: Path, config_file: Path | None, environ: Mapping[str, str]
) -> bool:
    """Start the sender when something is due and nobody sends it yet. Raises StoreError."""
    due_at = state.outbox.next_due_at()
    if due_at is None or due_at > time.time() or is_locked(lock_path(state_folder)):
        return False
    from cicdctl.process import own_argv, own_environ, start_detached

    start_detached(
        own_argv(directory, "_notify", config_file=config_file),
        cwd=state_folder,
        env=own_environ(environ),
        log=state_folder / "notify.log",
    )
    return True
