"""Opening state.db: created private, checked to be ours, brought up to date; never repaired in silence."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from cicdctl.errors import StoreError
from cicdctl.store.database import BUSY_TIMEOUT_S, FILE, LOCK_FILE, Database
from cicdctl.store.database_errors import DamagedState, explain, quote_uri
from cicdctl.store.folders import create_private_file, make_private_folder, refuse_network, sync_folder
from cicdctl.store.locks import take_turn
from cicdctl.store.schema import APPLICATION_ID, LATEST, MIGRATIONS

BACKUP_FOLDER = "backups"
_OLDEST_SQLITE = (3, 37, 0)  # the first with STRICT tables
_PRAGMAS = ("foreign_keys=ON", "synchronous=FULL", "wal_autocheckpoint=0", "mmap_size=0", "trusted_schema=OFF")


def open_database(folder: Path) -> Database:
    """Open state.db in `folder` for reading and writing; folder and file are created 0700 and 0600.

    Raises StoreError when it is damaged, not ours, written by a newer version, on a network file
    system, not writable, or missing although a backup is there.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old", hint="use a Python built with 3.37 or newer")
    make_private_folder(folder)
    refuse_network(folder, "the saved runs")
    path = folder / FILE
    folder_fd: int | None = None
    lock_fd: int | None = None
    connection: sqlite3.Connection | None = None
    try:
        folder_fd = share_folder(folder)
        lock_fd = open_turn(folder)
        _ensure_file(folder, lock_fd)
        connection = _connect(str(path))
        version = _version(connection, path)
        if version < LATEST:
            _in_turn(folder, lock_fd, lambda: _migrate(connection, path))
        return Database(folder, connection, folder_fd=folder_fd, lock_fd=lock_fd)
    except BaseException as error:
        _abandon(folder, connection, folder_fd, lock_fd)
        _raise_translated(error, path)
        raise


def open_reader(folder: Path) -> Database:
    """Open state.db in `folder` for reading only; where there is none yet, an empty one in memory."""
    path = folder / FILE
    folder_fd: int | None = None
    connection: sqlite3.Connection | None = None
    try:
        if not path.exists():
            _refuse_missing(folder)
            connection = _connect(":memory:")
            _create_tables(connection)
        else:
            refuse_network(folder, "the saved runs")
            folder_fd = share_folder(folder)
            _refuse_empty(path)
            connection = _connect_read_only(path)
            if _version(connection, path) < LATEST:
                raise StoreError(f"'{path}' was written by an older cicdctl", hint="`cicdctl run` brings it up to date")
        return Database(folder, connection, folder_fd=folder_fd, lock_fd=None)
    except BaseException as error:
        _abandon(folder, connection, folder_fd, None)
        _raise_translated(error, path)
        raise


def share_folder(folder: Path, *, alone: bool = False) -> int:
    """Lock the folder itself, shared by all who have state.db open; `alone` refuses when anybody has.

    Returns the descriptor that holds the lock.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
    except BlockingIOError:
        os.close(fd)
        raise StoreError(
            f"'{folder / FILE}' is in use", hint="end every cicdctl command on this repository, then try again"
        ) from None
    return fd


def open_turn(folder: Path) -> int:
    """Open the lock file under which writers take turns."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(folder / LOCK_FILE, flags)
    except FileNotFoundError:
        fd = os.open(folder / LOCK_FILE, flags | os.O_CREAT, 0o600)
        os.fchmod(fd, 0o600)
        return fd


def last_backup(folder: Path) -> Path | None:
    """Give the newest backup in the state folder; None when there is none."""
    try:
        return max((folder / BACKUP_FOLDER).glob("state-*.db"), default=None)
    except (FileNotFoundError, NotADirectoryError):
        return None


def highest_log_number(folder: Path) -> int:
    """Find the highest run number that has a log folder: a new database must not give it again."""
    try:
        names = [entry.name for entry in (folder / "logs").iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return max((int(name) for name in names if name.isascii() and name.isdigit() and len(name) < 16), default=0)


def never_give_again(connection: sqlite3.Connection, number: int) -> None:
    """Make the next run's number higher than `number`."""
    if number > 0:
        known = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'run'").fetchone()
        if known is None:
            connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('run', ?)", (number,))
        elif known[0] < number:
            connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'run'", (number,))


def _ensure_file(folder: Path, lock_fd: int) -> None:
    path = folder / FILE
    if not path.exists():

        def create() -> None:
            if not path.exists():
                _refuse_missing(folder)
                _create_file(folder)

        _in_turn(folder, lock_fd, create)
    _refuse_empty(path)


def _in_turn(folder: Path, lock_fd: int, act: Callable[[], None]) -> None:
    take_turn(lock_fd, folder / LOCK_FILE)
    try:
        act()
    finally:
        fcntl.flock(lock_fd, fcntl.LOCK_UN)


def _create_file(folder: Path) -> None:
    # Made beside and renamed when complete: so an empty state.db is always damage, never a beginning.
    aside = folder / f"{FILE}.new"
    for leftover in (aside, folder / f"{FILE}.new-wal", folder / f"{FILE}.new-shm", folder / f"{FILE}.new-journal"):
        leftover.unlink(missing_ok=True)
    os.close(create_private_file(aside))
    connection = _connect(str(aside))
    try:
        # Neither can be changed once there are tables.
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        _create_tables(connection)
        never_give_again(connection, highest_log_number(folder))
    finally:
        connection.close()
    aside.rename(folder / FILE)
    sync_folder(folder)


def _create_tables(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    _run_migrations(connection, 0)
    connection.execute("COMMIT")


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have done it while we waited.
        _run_migrations(connection, _version(connection, path))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _run_migrations(connection: sqlite3.Connection, version: int) -> None:
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={LATEST}")


def _connect(target: str, *, uri: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(target, uri=uri, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_read_only(path: Path) -> sqlite3.Connection:
    try:
        return _connect(quote_uri(path) + "?mode=ro", uri=True)
    except sqlite3.OperationalError:
        wal = Path(f"{path}-wal")
        if wal.exists() and wal.stat().st_size > 0:
            raise
        # In a folder we cannot write SQLite cannot make its shared memory; without a log the file is all there is.
        return _connect(quote_uri(path) + "?immutable=1", uri=True)


def _version(connection: sqlite3.Connection, path: Path) -> int:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if owner != APPLICATION_ID:
        raise StoreError(f"'{path}' was not written by cicdctl", hint="move it away and try again")
    if version > LATEST:
        raise StoreError(f"'{path}' was written by a newer cicdctl (format {version})", hint="upgrade cicdctl")
    return int(version)


def _refuse_missing(folder: Path) -> None:
    backup = last_backup(folder)
    if backup is not None:
        raise StoreError(
            f"'{folder / FILE}' is missing, but there is a backup of it: '{backup}'",
            hint="`cicdctl state restore` puts it back; move the backups away to begin anew",
        )


def _refuse_empty(path: Path) -> None:
    if path.stat().st_size == 0:
        raise DamagedState(path, "the file is empty")


def _abandon(folder: Path, connection: sqlite3.Connection | None, folder_fd: int | None, lock_fd: int | None) -> None:
    if connection is not None:
        if lock_fd is not None:
            take_turn(lock_fd, folder / LOCK_FILE)
        connection.close()
    for fd in (folder_fd, lock_fd):
        if fd is not None:
            os.close(fd)


def _raise_translated(error: BaseException, path: Path) -> None:
    if isinstance(error, sqlite3.Error):
        raise explain(error, path, "opened") from error
    if isinstance(error, OSError):
        raise StoreError(
            f"cannot open '{path}': {error.strerror}", hint=f"'{path.parent}' must be yours to write"
        ) from error


__all__ = ["highest_log_number", "last_backup", "never_give_again", "open_database", "open_reader"]
