"""The rows of the result cache: an SQLite file that diskcache writes and that is read without importing it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cicdctl.errors import StoreError, describe
from cicdctl.store.database_errors import quote_uri
from cicdctl.store.folders import make_private_folder, refuse_network
from cicdctl.store.locks import lock
from cicdctl.store.quarantine import Quarantine

if TYPE_CHECKING:
    import diskcache

T = TypeVar("T")

MAX_VALUE_BYTES = 32 * 1024
_TIMEOUT_S = 60.0
_MODE_RAW = 1
_PRIMARY = 0xFF
# Not the file's fault: busy, full, read-only, not permitted, cannot be opened.
_NOT_DAMAGE = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
    )
)
# Of these, what may be over soon.
_PASSING = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_INTERRUPT))
# Eviction is ours; no mmap, since a file cut short would end the process with SIGBUS.
_SETTINGS: dict[str, Any] = {
    "cull_limit": 0,
    "eviction_policy": "none",
    "size_limit": 2**62,
    "statistics": 0,
    "sqlite_mmap_size": 0,
    "disk_min_file_size": MAX_VALUE_BYTES,
}


class BadRow(Exception):
    """A row that this program did not write; `content` is what can be shown of it."""

    def __init__(self, content: bytes) -> None:
        super().__init__("a row of the cache was not written by cicdctl")
        self.content = content


class ResultIndex:
    """Small values by key. Any thread. Whatever is wrong is a line in `warnings`, never an exception but BadRow.

    Writers and their checkpoints exclude each other by `flock`, as SQLite before 3.51.3 may lose pages
    otherwise. A damaged file is moved to the quarantine and an empty one takes its place.
    """

    def __init__(self, folder: Path, quarantine: Quarantine) -> None:
        self._folder = folder
        self._file = folder / "cache.db"
        self._lock_file = folder.with_name(folder.name + ".lock")
        self._quarantine = quarantine
        self._mutex = threading.RLock()
        self._reader: sqlite3.Connection | None = None
        self._writer: diskcache.Cache | None = None
        self._inode: int | None = None
        self._off = False

    def get(self, key: bytes) -> tuple[bytes, float] | None:
        """Return (value, last use in Unix seconds). Raises BadRow."""
        return self._guard(lambda: self._get(key), None)

    def put(self, key: bytes, value: bytes) -> bool:
        """Store a value below 32 KB; False when that was impossible."""
        return self._guard(lambda: self._put(key, value), False)

    def touch(self, keys: Sequence[bytes], now: float) -> None:
        """Note that these were used. Does without when somebody is writing."""

        def update(connection: sqlite3.Connection) -> None:
            connection.executemany("UPDATE Cache SET access_time = ? WHERE key = ?", [(now, key) for key in keys])

        self._guard(lambda: self._change(update, blocking=False), None)

    def delete(self, keys: Iterable[bytes]) -> None:
        """Remove rows, and nothing that a row might name."""

        def remove(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM Cache WHERE key = ?", [(key,) for key in keys])

        self._guard(lambda: self._change(remove, blocking=True), None)

    def rows(self) -> list[tuple[bytes, bytes | None, float, float]]:
        """Return (key, value, stored, last used) of all rows; value None marks a row that is not ours."""
        return self._guard(lambda: list(self._rows()), [])

    def close(self) -> None:
        """Close the file; the index opens it again when needed."""
        with self._mutex:
            reader, self._reader = self._reader, None
            writer, self._writer = self._writer, None
            if reader is not None:
                reader.close()
            if writer is not None:
                # The last close checkpoints, which is a write.
                with lock(self._lock_file, blocking=True):  # type: ignore[union-attr]
                    writer.close()

    def _guard(self, action: Callable[[], T], otherwise: T) -> T:
        with self._mutex:
            if self._off:
                return otherwise
            try:
                return action()
            except sqlite3.Error as error:
                code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY
                if code not in _NOT_DAMAGE:
                    may_be_young = isinstance(error, sqlite3.OperationalError) and code == sqlite3.SQLITE_ERROR
                    self._replace(f"the result cache is damaged: {error}", may_be_young=may_be_young)
                else:
                    self._switch_off(str(error), for_good=code not in _PASSING)
            except (StoreError, OSError) as error:
                self._switch_off(describe(error), for_good=True)
            return otherwise

    def _switch_off(self, why: str, *, for_good: bool) -> None:
        """Warn once; a folder that cannot be read or written is not tried again and again."""
        self._off = for_good
        self._quarantine.warn(f"going on without the result cache: {why}")

    def _get(self, key: bytes) -> tuple[bytes, float] | None:
        reader = self._open_reader()
        if reader is None:
            return None
        row = reader.execute(
            "SELECT raw, mode, filename, value, access_time FROM Cache WHERE key = ?", (key,)
        ).fetchone()
        if row is None:
            return None
        raw, mode, filename, value, used_at = row
        if not _is_ours(key, raw, mode, filename, value) or type(used_at) not in (int, float):
            raise BadRow(repr(row)[:4096].encode("utf-8", "backslashreplace"))
        return value, float(used_at)

    def _rows(self) -> Iterator[tuple[bytes, bytes | None, float, float]]:
        reader = self._open_reader()
        if reader is None:
            return
        query = "SELECT key, raw, mode, filename, value, store_time, access_time FROM Cache"
        for key, raw, mode, filename, value, stored_at, used_at in reader.execute(query):
            times = [float(at) if type(at) in (int, float) else 0.0 for at in (stored_at, used_at)]
            ours = _is_ours(key, raw, mode, filename, value)
            yield key, value if ours else None, times[0], times[1]

    def _open_reader(self) -> sqlite3.Connection | None:
        if self._reader is None and self._file.exists():
            self._inode = self._file.lstat().st_ino
            self._reader = sqlite3.connect(
                quote_uri(self._file) + "?mode=ro", uri=True, timeout=5, isolation_level=None, check_same_thread=False
            )
        return self._reader

    def _put(self, key: bytes, value: bytes) -> bool:
        with lock(self._lock_file, blocking=True):  # type: ignore[union-attr]
            writer = self._writer or self._open_writer()
            if len(value) >= MAX_VALUE_BYTES:
                raise ValueError("a value of 32 KB or more is a blob")
            return bool(writer.set(key, value, retry=True))

    def _open_writer(self) -> diskcache.Cache:
        import diskcache  # 19 ms, and a run that finds everything in the cache stores nothing

        from cicdctl.store.safe_disk import SafeDisk

        make_private_folder(self._folder)
        refuse_network(self._folder, "the cache")
        if self._file.exists():
            self._inspect()
        self._writer = diskcache.Cache(str(self._folder), timeout=_TIMEOUT_S, disk=SafeDisk, **_SETTINGS)
        self._inode = self._file.lstat().st_ino
        return self._writer

    def _inspect(self) -> None:
        """Refuse a file whose settings diskcache would obey though we did not write them."""
        reader = self._open_reader()
        assert reader is not None
        tables = {name for (name,) in reader.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
        if "Settings" not in tables:
            if tables:
                raise sqlite3.DatabaseError("it is not a result cache")
            return
        known = dict(_expected_settings())
        for key, value in reader.execute("SELECT key, value FROM Settings"):
            if key not in known or (known[key] is not None and known[key] != value):
                raise sqlite3.DatabaseError(f"unknown setting {str(key)[:40]!r}")

    def _change(self, change: Callable[[sqlite3.Connection], None], *, blocking: bool) -> None:
        if not self._file.exists():
            return
        held = lock(self._lock_file, blocking=blocking)
        if held is None:
            return
        with held:
            connection = sqlite3.connect(self._file, timeout=5, isolation_level=None)
            try:
                connection.execute("BEGIN IMMEDIATE")
                change(connection)
                connection.execute("COMMIT")
            finally:
                connection.close()

    def _replace(self, reason: str, *, may_be_young: bool) -> None:
        """Move the folder away, unless another process has done it meanwhile; the next use starts empty.

        `may_be_young`: a table was missing, as while another process makes the file. It holds the lock for that, so
        under the lock the file is whole, or damaged.
        """
        seen = self._inode
        try:
            self.close()
            with lock(self._lock_file, blocking=True):  # type: ignore[union-attr]
                if may_be_young and self._has_rows_table():
                    return
                if seen is None or not self._file.exists() or self._file.lstat().st_ino == seen:
                    self._quarantine.move(self._folder, reason)
        except (sqlite3.Error, StoreError, OSError) as error:
            self._quarantine.warn(f"{reason}; and it cannot be replaced: {error}")

    def _has_rows_table(self) -> bool:
        try:
            with closing(sqlite3.connect(quote_uri(self._file) + "?mode=ro", uri=True, timeout=5)) as connection:
                connection.execute("SELECT raw, mode, filename, value, store_time, access_time FROM Cache LIMIT 1")
        except sqlite3.Error:
            return False
        return True


def _is_ours(key: Any, raw: Any, mode: Any, filename: Any, value: Any) -> bool:
    return type(key) is bytes and raw == 1 and mode == _MODE_RAW and filename is None and type(value) is bytes


def _expected_settings() -> Iterator[tuple[str, Any]]:
    """Yield each name that may be in the file with the value it must have; None is any."""
    from diskcache.core import DEFAULT_SETTINGS, METADATA

    merged = {**DEFAULT_SETTINGS, **_SETTINGS}
    for name, value in merged.items():
        yield name, value
    for name in METADATA:
        yield name, None
