"""A `Disk` for diskcache that knows neither pickles nor foreign file names (CVE-2025-69872)."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path
from typing import Any, BinaryIO

from diskcache.core import MODE_BINARY, MODE_RAW, UNKNOWN, Disk

from cicdctl.errors import StoreError

# Two folders of two hex digits, then 28: the names diskcache makes itself.
_OWN_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")


class RefusedRow(StoreError):
    """A row that this program did not write; nothing was read, run or removed because of it."""


class SafeDisk(Disk):  # type: ignore[misc]
    """Bytes in, bytes out. A row is refused with RefusedRow, a key or value that is not bytes with TypeError."""

    def put(self, key: Any) -> tuple[Any, bool]:
        """Turn a key into its columns."""
        if type(key) is not bytes:
            raise TypeError(f"a cache key is bytes, not {type(key).__name__}")
        return sqlite3.Binary(key), True

    def get(self, key: Any, raw: Any) -> bytes:
        """Turn key columns into the key."""
        if not raw or type(key) is not bytes:
            raise RefusedRow("the cache holds a key that is not plain bytes")
        return key

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> tuple[int, int, str | None, Any]:
        """Turn bytes, or an open file with `read`, into value columns."""
        if not read and type(value) is not bytes:
            raise TypeError(f"a cached value is bytes, not {type(value).__name__}")
        columns: tuple[int, int, str | None, Any] = super().store(value, read, key=key)
        return columns

    def fetch(self, mode: Any, filename: Any, value: Any, read: bool) -> bytes | BinaryIO:
        """Turn value columns into bytes, or into an open file with `read`."""
        if mode == MODE_RAW and filename is None and type(value) is bytes:
            return value
        if mode != MODE_BINARY or value is not None:
            raise RefusedRow(f"the cache holds a value of mode {mode!r}")
        descriptor = os.open(self._own_path(filename), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        file = os.fdopen(descriptor, "rb")
        if read:
            return file
        with file:
            return file.read()

    def remove(self, file_path: Any) -> None:
        """Delete a value file of our own."""
        self._own_path(file_path)
        super().remove(file_path)

    def _own_path(self, filename: Any) -> Path:
        if type(filename) is not str or not _OWN_NAME.fullmatch(filename):
            raise RefusedRow("the cache names a file that is not its own")
        return Path(self._directory) / filename
