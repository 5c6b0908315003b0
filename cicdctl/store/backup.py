"""Copies of state.db: made while it is used, checked, and put back without losing the damaged one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from cicdctl.errors import StoreError
from cicdctl.store.database import FILE, LOCK_FILE
from cicdctl.store.database_errors import DamagedState, check_file, explain, quote_uri
from cicdctl.store.database_open import (
    BACKUP_FOLDER,
    highest_log_number,
    last_backup,
    never_give_again,
    open_reader,
    open_turn,
    share_folder,
)
from cicdctl.store.folders import create_private_file, make_private_folder, sync_folder
from cicdctl.store.locks import lock, take_turn
from cicdctl.store.schema import APPLICATION_ID

__all__ = ["back_up_state", "back_up_when", "check_state", "last_backup", "restore_state"]


def check_state(folder: Path) -> str:
    """Check the whole state database: "ok", or the first findings. StoreError when it cannot be opened at all."""
    open_reader(folder).close()
    return check_file(folder / FILE) if (folder / FILE).exists() else "ok"


def back_up_state(folder: Path, *, keep: int = 3) -> Path:
    """Copy state.db into `backups/` beside it, check the copy, and keep the newest `keep`.

    Others may read and write meanwhile; the copy is of one moment. Raises DamagedState, and removes
    the copy, when it does not pass its check: good backups are never pushed out by bad ones.
    """
    path = folder / FILE
    if not path.exists():
        raise StoreError(f"there is no '{path}' to copy", hint="it is made by the first run")
    made = back_up_when(folder, lambda: True, keep=keep, blocking=True)
    assert made is not None
    return made


def back_up_when(folder: Path, is_due: Callable[[], bool], *, keep: int = 3, blocking: bool = False) -> Path | None:
    """Make a backup as `back_up_state` does, if `is_due` says so while nobody else makes one.

    None when it does not, and, unless `blocking`, when somebody else is at it.
    """
    store = folder / BACKUP_FOLDER
    make_private_folder(store)
    held = lock(store / "lock", blocking=blocking)
    if held is None:
        return None
    try:
        with held:
            return _copy(folder, store, keep) if is_due() else None
    except sqlite3.Error as error:
        raise explain(error, folder / FILE, "copied") from error
    except OSError as error:
        raise StoreError(f"cannot write a backup to '{store}': {error.strerror}", hint="is the disk full?") from error


def list_backups(folder: Path) -> tuple[Path, ...]:
    """Return the backups of a state folder, the newest first."""
    return tuple(sorted((folder / BACKUP_FOLDER).glob("state-*.db"), reverse=True))


def restore_state(folder: Path, source: Path | None = None) -> Path:
    """Put a backup (the last one) in the place of state.db and return the folder the old files were moved to.

    Nobody may have the state open. Run numbers given since the backup are not given again as far as
    logs show them. Raises StoreError, and changes nothing, when there is no backup or it is damaged.
    """
    chosen = last_backup(folder) if source is None else source
    if chosen is None or not chosen.is_file():
        raise StoreError(f"there is no backup in '{folder / BACKUP_FOLDER}'", hint="move state.db away to begin anew")
    try:
        folder_fd = share_folder(folder, alone=True)
        try:
            turn = open_turn(folder)
            try:
                take_turn(turn, folder / LOCK_FILE)
                return _put_back(folder, chosen)
            finally:
                os.close(turn)
        finally:
            os.close(folder_fd)
    except sqlite3.Error as error:
        raise explain(error, chosen, "restored") from error
    except OSError as error:
        raise StoreError(f"cannot restore '{chosen}': {error.strerror}", hint=f"'{folder}' must be writable") from error


def _copy(folder: Path, store: Path, keep: int) -> Path:
    aside = store / "incomplete.db"
    _remove(aside)
    os.close(create_private_file(aside))
    # A connection of its own: a long copy must not stop who writes through an open state.
    reader = open_reader(folder)
    target = sqlite3.connect(aside, isolation_level=None)
    try:
        target.execute("PRAGMA synchronous=OFF")  # synced once, below
        with reader.snapshot() as connection:
            connection.backup(target)
        # One file: a backup with a log beside it is a trap for who copies it away.
        target.execute("PRAGMA journal_mode=DELETE")
    finally:
        target.close()
        reader.close()
    findings = check_file(aside, quick=True)
    if findings != "ok":
        _remove(aside)
        raise DamagedState(folder / FILE, findings)
    _sync(aside)
    final = _free_name(store)
    aside.rename(final)
    sync_folder(store)
    for old in sorted(store.glob("state-*.db"))[: -max(1, keep)]:
        old.unlink()
    return final


def _free_name(store: Path) -> Path:
    # Sorted by name is sorted by time, also when the clock was set back: never below the newest there is.
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    newest = max((path.name for path in store.glob("state-*.db")), default="")
    if newest < f"state-{stamp}-000.db":
        return store / f"state-{stamp}-000.db"
    stem, _, count = newest.removesuffix(".db").rpartition("-")
    return store / f"{stem}-{int(count) + 1:03d}.db"


def _put_back(folder: Path, chosen: Path) -> Path:
    findings = check_file(chosen)
    if findings != "ok":
        raise StoreError(f"the backup '{chosen}' is damaged too: {findings}", hint="name an older one")
    fresh = folder / f"{FILE}.new"
    _remove(fresh)
    with chosen.open("rb") as source, os.fdopen(create_private_file(fresh), "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    connection = sqlite3.connect(quote_uri(fresh), uri=True, isolation_level=None)
    try:
        (owner,) = connection.execute("PRAGMA application_id").fetchone()
        if owner != APPLICATION_ID:
            raise StoreError(f"'{chosen}' is not a backup of cicdctl", hint="name another one")
        never_give_again(connection, highest_log_number(folder))
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()
    _sync(fresh)
    old = _set_aside(folder)
    fresh.rename(folder / FILE)
    sync_folder(folder)
    return old


def _set_aside(folder: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    old = folder / "damaged" / stamp
    count = 0
    while old.exists():
        count += 1
        old = folder / "damaged" / f"{stamp}-{count}"
    make_private_folder(old)
    # The log first: state.db without its log is merely old, a log beside the wrong state.db is poison.
    for name in (f"{FILE}-wal", f"{FILE}-shm", FILE):
        if (folder / name).exists():
            (folder / name).rename(old / name)
    sync_folder(old)
    sync_folder(folder)
    return old


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
