"""What the state of a repository needs from time to time, whoever finds the time: a backup, and ballast."""

from __future__ import annotations

from pathlib import Path

from cicdctl.errors import StoreError
from cicdctl.store.backup import back_up_when
from cicdctl.store.ballast import keep_ballast
from cicdctl.store.database import FILE
from cicdctl.store.database_open import last_backup

BACKUP_EVERY_S = 3600.0


def keep_state(folder: Path, now: float) -> Path | None:
    """Hold the ballast, and make a backup when one is due: an hour after the last, if anything was saved since.

    `now` is the time in seconds since 1970. Gives the backup that was made. Costs a few looks at files when
    nothing is due; else the copy of state.db (0.2 s for 30 MB), during which others may write. Raises
    DamagedState, and StoreError when something cannot be written.
    """
    if not (folder / FILE).exists():
        return None
    try:
        keep_ballast(folder)
    except OSError as error:
        raise StoreError(f"cannot hold back space in '{folder}': {error.strerror}") from error
    return back_up_when(folder, lambda: _is_due(folder, now)) if _is_due(folder, now) else None


def _is_due(folder: Path, now: float) -> bool:
    newest = last_backup(folder)
    if newest is None:
        return True
    made = newest.stat().st_mtime
    # A clock that was set back must not put backups off for years.
    return abs(now - made) >= BACKUP_EVERY_S and _last_change(folder) > made


def _last_change(folder: Path) -> float:
    found = [path.stat().st_mtime for path in (folder / FILE, folder / f"{FILE}-wal") if path.exists()]
    return max(found, default=0.0)
