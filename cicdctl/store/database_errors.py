"""What SQLite complains about, in words that say what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cicdctl.errors import StoreError

RESTORE_HINT = "`cicdctl state restore` puts the last backup back and keeps the damaged file; nothing was changed"
_PRIMARY = 0xFF  # the low byte of an extended result code


class DamagedState(StoreError):
    """The state database cannot be trusted; `path` is the file, `findings` what the check said."""

    def __init__(self, path: Path, findings: str) -> None:
        super().__init__(f"'{path}' is damaged: {findings}", hint=RESTORE_HINT)
        self.path = path
        self.findings = findings


class DiskFull(StoreError):
    """Nothing was written because there is no room, or as much as nobody can tell apart from that."""


# The log's shared memory cannot grow; a write fails for a quota.
_NO_ROOM = (sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_WRITE)


def explain(error: sqlite3.Error, path: Path, doing: str) -> StoreError:
    """Translate an SQLite error met while the file was `doing` (read, written, opened)."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DamagedState(path, f"{error}; integrity check: {check_file(path)}")
    message = f"'{path}' cannot be {doing}: {error}"
    if code == sqlite3.SQLITE_FULL:
        return DiskFull(f"the disk is full: {message}", hint="free some space, for example with `cicdctl cache gc`")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH):
        return StoreError(message, hint=f"'{path.parent}' and the files in it must be yours to write")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(
            f"'{path}' is in use by a program that is not cicdctl", hint="end the program that has it open, try again"
        )
    name = getattr(error, "sqlite_errorname", "")
    if code == sqlite3.SQLITE_IOERR:
        kind = DiskFull if getattr(error, "sqlite_errorcode", 0) in _NO_ROOM else StoreError
        return kind(f"{message} ({name})", hint="the disk is full, failing or gone: see `df`, `dmesg`")
    return StoreError(f"{message} ({name})" if name else message)


def check_file(path: Path, *, quick: bool = False) -> str:
    """Run SQLite's own check on a file: "ok", or the first findings joined by "; "."""
    pragma = "quick_check" if quick else "integrity_check"
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(quote_uri(path) + "?mode=ro", uri=True, isolation_level=None)
        rows = connection.execute(f"PRAGMA {pragma}(5)").fetchall()
        if rows == [("ok",)] and not quick:
            broken = connection.execute("PRAGMA foreign_key_check").fetchmany(5)
            rows = [(f"broken reference in table {row[0]}",) for row in broken] or rows
        return "; ".join(str(row[0]).replace("\n", " ") for row in rows)
    except sqlite3.Error as error:
        return str(error)
    finally:
        if connection is not None:
            connection.close()


def quote_uri(path: Path) -> str:
    """Give the file: URI that SQLite reads as exactly this path."""
    return "file:" + str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
