"""Writes the log of one attempt: the bytes as they come, index and times beside them, never an error for the stage."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from pathlib import Path

from cicdctl.model.values import Value
from cicdctl.store.line_index import ENTRY, LineCounter
from cicdctl.store.log_times import TimesWriter
from cicdctl.units import format_size

DEFAULT_CAP_BYTES = 1_000_000_000
_SYNC_BYTES = 1_000_000
_SYNC_S = 1.0
_RETRY_S = 1.0


class LogInfo(Value, frozen=True):
    """A closed log. `size` in bytes; `lines` as the index counts them; `digest` is the sha256 of the file in hex.

    `truncated` says that output is missing: the cap was reached or the disk was full.
    """

    size: int
    lines: int
    truncated: bool
    digest: str


class LogWriter:
    """Appends to a new log; `write` is for one thread at a time and never raises for a full or broken disk.

    What reached the file survives a power loss after at most a second or 1 MB, by a thread that calls fdatasync.
    """

    def __init__(self, path: Path, *, cap_bytes: int = DEFAULT_CAP_BYTES) -> None:
        """Create the log and its index with mode 0600. Raises OSError when that fails or the log exists."""
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._log = os.open(path, flags, 0o600)
        try:
            self._index = os.open(index_path(path), flags & ~os.O_EXCL | os.O_TRUNC, 0o600)
        except OSError:
            os.close(self._log)
            raise
        self._cap = cap_bytes
        self._hash = hashlib.sha256()
        self._counter = LineCounter()
        self._times = TimesWriter(path)
        self._opened = time.monotonic()
        self._lost = 0
        self._retry_at = 0.0
        self._full = False
        self._truncated = False
        self._index_broken = False
        self._syncer: _Syncer | None = None
        self._info: LogInfo | None = None

    @property
    def size(self) -> int:
        """Bytes in the file so far."""
        return self._counter.offset

    def write(self, chunk: bytes) -> None:
        """Append `chunk`. Output that does not fit is counted, and a marker line says so when there is room."""
        if not chunk:
            return
        if self._full:
            self._lost += len(chunk)
            return
        if self._lost and not self._recover(len(chunk)):
            return
        room = self._cap - self._counter.offset
        if len(chunk) > room:
            self._append(chunk[:room])
            self._end_at_cap(len(chunk) - room)
        else:
            self._append(chunk)

    def close(self) -> LogInfo:
        """Make the log durable and tell what it holds. May be called twice."""
        if self._info is not None:
            return self._info
        if self._lost and not self._full:
            self._retry_at = 0.0
            self._recover(0)
        if self._syncer is not None:
            self._syncer.stop()
        self._times.close()
        for descriptor in (self._log, self._index):
            try:
                os.fdatasync(descriptor)
            except OSError:
                self._truncated = True
            os.close(descriptor)
        counter = self._counter
        self._info = LogInfo(
            size=counter.offset,
            lines=counter.lines + counter.open_line,
            truncated=self._truncated,
            digest=self._hash.hexdigest(),
        )
        return self._info

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, chunk: bytes) -> None:
        written = 0
        try:
            written = os.write(self._log, chunk)
            while written < len(chunk):
                written += os.write(self._log, memoryview(chunk)[written:])
        except OSError as error:
            # EFBIG is the file size limit; the rest mean that nothing more fits, or that the disk is ill.
            self._truncated = True
            self._lost += len(chunk) - written
            interval = _RETRY_S if error.errno in (errno.ENOSPC, errno.EDQUOT) else 10 * _RETRY_S
            self._retry_at = time.monotonic() + interval
            chunk = chunk[:written]
        self._account(chunk)

    def _account(self, chunk: bytes) -> None:
        if not chunk:
            return
        self._hash.update(chunk)
        self._times.note(self._counter.offset)
        first = self._counter.offset == 0
        starts = self._counter.feed(chunk)
        if first:
            starts.insert(0, 0)
        if starts and not self._index_broken:
            self._write_index(starts)
        if self._syncer is None:
            self._syncer = _Syncer(self._log)
        self._syncer.wrote(len(chunk))

    def _write_index(self, starts: list[int]) -> None:
        at_ms = min(int((time.monotonic() - self._opened) * 1000), 0xFFFFFFFF)
        entries = b"".join([ENTRY.pack(start, at_ms) for start in starts])
        try:
            self._index_broken = os.write(self._index, entries) != len(entries)
        except OSError:
            # Readers go on from the last whole entry by reading the log itself.
            self._index_broken = True

    def _recover(self, size: int) -> bool:
        """Try to write the marker for what was lost; while that fails, `size` more bytes are lost."""
        if time.monotonic() < self._retry_at:
            self._lost += size
            return False
        lost, self._lost = self._lost, 0
        self._append(self._marker(f"log truncated: disk full, {format_size(lost)} lost"))
        if self._lost:
            self._lost = lost + size
            return False
        return True

    def _end_at_cap(self, lost: int) -> None:
        self._full = self._truncated = True
        self._append(self._marker(f"log truncated: the limit of {format_size(self._cap)} is reached"))
        self._lost += lost

    def _marker(self, text: str) -> bytes:
        start = "\n" if self._counter.open_line else ""
        return f"{start}[cicdctl] {text}\n".encode()


class _Syncer:
    """Calls fdatasync beside the writer, so that a slow disk does not hold up the stage."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._dirty = 0
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="log-sync", daemon=True)
        self._thread.start()

    def wrote(self, size: int) -> None:
        self._dirty += size
        if self._dirty >= _SYNC_BYTES and not self._wake.is_set():
            self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stopping:
            self._wake.wait(_SYNC_S)
            self._wake.clear()
            if self._dirty and not self._stopping:
                self._dirty = 0
                try:
                    os.fdatasync(self._descriptor)
                except OSError:
                    # The close tries once more and reports it.
                    continue


def index_path(path: Path) -> Path:
    """Return the place of the index that belongs to a log."""
    return path.with_name(path.name + ".idx")
