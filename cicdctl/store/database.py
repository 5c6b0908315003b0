"""One SQLite file that many processes write in turn; its faults in words that help."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cicdctl.errors import StoreError
from cicdctl.store import failpoints
from cicdctl.store.database_errors import explain
from cicdctl.store.locks import take_turn

FILE = "state.db"
LOCK_FILE = "state.lock"
CHECKPOINT_BYTES = 4 << 20
BUSY_TIMEOUT_S = 5.0


class Database:
    """An open state.db. Safe from any thread; write transactions exclude each other across processes.

    `folder` stays share-locked while open, so that a restore knows when nobody uses the file.
    """

    def __init__(
        self, folder: Path, connection: sqlite3.Connection, *, folder_fd: int | None, lock_fd: int | None
    ) -> None:
        self.folder = folder
        self.path = folder / FILE
        self._connection: sqlite3.Connection | None = connection
        self._folder_fd = folder_fd
        self._lock_fd = lock_fd
        self._mutex = threading.RLock()
        self._checkpoint_at = CHECKPOINT_BYTES
        self._wal = Path(f"{self.path}-wal")
        self._inode = -1 if lock_fd is None else self.path.stat().st_ino

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Read all rows of one statement. Raises StoreError."""
        with self._mutex, self._explained("read"):
            return self._open_connection().execute(sql, values).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Give a connection on which several reads see one moment."""
        with self._mutex, self._explained("read"):
            connection = self._open_connection()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give a connection inside a write transaction: committed at the end, undone by any exception.

        Waits for other writers, half a minute at most. Raises StoreError.
        """
        with self._mutex, self._explained("written"):
            connection = self._open_connection()
            with self._exclusive():
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    failpoints.reach("state_before_commit")
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
                failpoints.reach("state_after_commit")
                self._checkpoint_when_large(connection)

    def vacuum(self, pages: int) -> None:
        """Give up to `pages` free pages back to the file system."""
        with self._mutex, self._explained("written"):
            connection = self._open_connection()
            with self._exclusive():
                connection.execute(f"PRAGMA incremental_vacuum({int(pages)})").fetchall()

    def close(self) -> None:
        """Close it; the last one to close merges the log into the file. Calling it again does nothing."""
        with self._mutex:
            connection, self._connection = self._connection, None
            if connection is None:
                return
            try:
                if self._lock_fd is None:
                    connection.close()
                else:
                    with self._explained("closed"), self._exclusive(check=False):
                        connection.close()
            finally:
                for fd in (self._folder_fd, self._lock_fd):
                    if fd is not None:
                        os.close(fd)

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"'{self.path}' is already closed")
        return self._connection

    @contextmanager
    def _exclusive(self, *, check: bool = True) -> Iterator[None]:
        # SQLite before 3.51.3 can lose pages when one connection's checkpoint meets another's commit.
        if self._lock_fd is None:
            raise StoreError(f"'{self.path}' is open for reading only")
        take_turn(self._lock_fd, self.folder / LOCK_FILE)
        try:
            if check:
                self._refuse_replaced()
            yield
        finally:
            fcntl.flock(self._lock_fd, fcntl.LOCK_UN)

    def _refuse_replaced(self) -> None:
        try:
            inode = self.path.stat().st_ino
        except FileNotFoundError:
            inode = -1
        if inode != self._inode:
            raise StoreError(
                f"'{self.path}' was deleted or replaced while it was in use: what is saved now would be lost",
                hint="start the command again",
            )

    def _checkpoint_when_large(self, connection: sqlite3.Connection) -> None:
        try:
            size = self._wal.stat().st_size
        except FileNotFoundError:
            return
        if size < self._checkpoint_at:
            return
        # A reader in the middle of something would make us wait with the lock held: try again 4 MB later.
        connection.execute("PRAGMA busy_timeout=20")
        try:
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            self._checkpoint_at = size + CHECKPOINT_BYTES if busy else CHECKPOINT_BYTES
        except sqlite3.Error:
            # The commit before it is safe in the log, whatever the checkpoint met.
            self._checkpoint_at = size + CHECKPOINT_BYTES
        finally:
            connection.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_S * 1000)}")

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise explain(error, self.path, doing) from error
