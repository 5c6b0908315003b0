"""Reads a log, finished or growing, by line number without reading it from its start."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from cicdctl.errors import StoreError
from cicdctl.model.values import Value
from cicdctl.store.line_index import ENTRY, LINES_PER_ENTRY, MAX_LINE_BYTES, LineCounter, split_lines
from cicdctl.store.log_writer import index_path

_CHUNK_BYTES = 1024 * 1024
_FIRST_READ_BYTES = 64 * 1024
_MAX_ENTRY_BYTES = LINES_PER_ENTRY * (MAX_LINE_BYTES + 1)


class Match(Value, frozen=True):
    """Where a needle was found: the line, counted from 0 as the index counts, and the offset in bytes."""

    line: int
    offset: int


class Window(Value, frozen=True):
    """Lines from `first` on, as bytes with their newlines; of a log that had `total` lines and `size` bytes.

    `start` is the offset of the first of them.
    """

    first: int
    lines: tuple[bytes, ...]
    total: int
    size: int
    start: int


class Found(Value, frozen=True):
    """Where a needle was found; `is_complete`: nowhere else."""

    matches: tuple[Match, ...]
    is_complete: bool


class LogReader:
    """A log by line; any number of readers beside one writer. Holds nothing open between calls.

    A line of more than 16 KB counts as several. A missing, short or foreign index makes it slower,
    never wrong in what it returns as long as the entries are possible. Methods raise StoreError when
    the log cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def size(self) -> int:
        """Bytes so far."""
        with self._open() as log:
            return log.size

    def count(self) -> int:
        """Lines so far; a last line without newline counts."""
        with self._open() as log:
            return log.count()

    def window(self, from_line: int, count: int) -> bytes:
        """Return `count` lines from line `from_line` on, counted from 0; less where the log ends."""
        with self._open() as log:
            return b"".join(log.lines(max(0, from_line), max(0, count))[1])

    def look(self, from_line: int, count: int, *, most_bytes: int | None = None) -> Window:
        """Return a window, and how long the log is, at one moment; a negative `from_line` counts from the end.

        Of lines that have more than `most_bytes` together the first ones are returned.
        """
        with self._open() as log:
            total = log.count()
            first = max(0, total + from_line) if from_line < 0 else from_line
            start, lines = log.lines(first, max(0, count), most_bytes)
            return Window(first, tuple(lines), total, log.size, start)

    def tail(self, lines: int) -> list[bytes]:
        """Return the last lines, without their newlines."""
        with self._open() as log:
            total = log.count()
            first = max(0, total - max(0, lines))
            return [line.removesuffix(b"\n") for line in log.lines(first, total - first)[1]]

    def follow(self, offset: int, limit: int = _CHUNK_BYTES) -> bytes:
        """Return what comes after `offset`, up to `limit` bytes; empty when nothing has come yet."""
        with self._open() as log:
            return os.pread(log.descriptor, limit, max(0, offset))

    def search(self, needle: bytes, *, limit: int = 1000) -> list[Match]:
        """Find the lines that hold `needle`, a substring without newlines; the first `limit` of them."""
        return list(self.find(needle, limit=limit).matches)

    def find(self, needle: bytes, *, limit: int = 1000, budget_s: float | None = None) -> Found:
        """Find as `search`, and give up after `budget_s` seconds with what was found by then."""
        if not needle:
            return Found((), True)
        until = None if budget_s is None else time.monotonic() + budget_s
        with self._open() as log:
            return log.search(needle, limit, until)

    @contextmanager
    def _open(self) -> Iterator[_OpenLog]:
        try:
            log = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise StoreError(f"no log '{self.path}': {error.strerror}") from error
        try:
            index = _open_index(self.path)
            try:
                yield _OpenLog(log, index)
            finally:
                if index is not None:
                    os.close(index)
        except OSError as error:
            raise StoreError(f"cannot read log '{self.path}': {error.strerror}") from error
        finally:
            os.close(log)


class _OpenLog:
    """The two descriptors during one call. `size` is fixed, so that a growing log gives one answer."""

    def __init__(self, descriptor: int, index: int | None) -> None:
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self._index = index
        self._last = self._find_entry(lambda offset: offset <= self.size)

    def count(self) -> int:
        counter = self._counter(*self._last)
        for chunk in self._chunks(counter.offset):
            counter.feed(chunk)
        return counter.lines + counter.open_line

    def lines(self, first: int, count: int, most_bytes: int | None = None) -> tuple[int, list[bytes]]:
        """Return the offset of line `first`, and the lines."""
        line, offset = self._start_before(first)
        wanted = first - line + count
        end = self.size if most_bytes is None else min(self.size, offset + _MAX_ENTRY_BYTES + most_bytes)
        length = _FIRST_READ_BYTES
        while True:
            data = os.pread(self.descriptor, min(length, end - offset), offset)
            found = split_lines(data)
            # The last one may go on behind what was read.
            if len(found) > wanted or offset + len(data) >= self.size or len(data) < length:
                whole = found[:-1] if offset + len(data) == end < self.size else found
                start = offset + sum(map(len, found[: first - line]))
                return start, _within(whole[first - line : wanted], most_bytes)
            length *= 2

    def search(self, needle: bytes, limit: int, until: float | None) -> Found:
        matches: list[Match] = []
        overlap = b""
        offset = 0
        for chunk in self._chunks(0):
            if until is not None and time.monotonic() > until:
                return Found(tuple(matches), False)
            data = overlap + chunk
            start = offset - len(overlap)
            at = data.find(needle)
            while at >= 0:
                line = self._line_at(start + at)
                if not matches or matches[-1].line != line:
                    matches.append(Match(line=line, offset=start + at))
                    if len(matches) >= limit:
                        return Found(tuple(matches), False)
                newline = data.find(b"\n", at)
                # Further hits in the same line tell nothing new, but a long line has several numbers.
                at = data.find(needle, at + MAX_LINE_BYTES if newline < 0 else min(newline, at + MAX_LINE_BYTES))
            offset += len(chunk)
            overlap = data[len(data) - len(needle) + 1 :] if len(needle) > 1 else b""
        return Found(tuple(matches), True)

    def _line_at(self, offset: int) -> int:
        number, start = self._find_entry(lambda entry: entry <= offset)
        counter = self._counter(number, start)
        while counter.offset < offset:
            counter.feed(os.pread(self.descriptor, min(_CHUNK_BYTES, offset - counter.offset), counter.offset))
        # The byte at the offset may be the one that begins another line.
        counter.feed(os.pread(self.descriptor, 1, offset).replace(b"\n", b" "))
        return counter.lines

    def _start_before(self, line: int) -> tuple[int, int]:
        """Return (number, offset) of a line at most 63 before `line`, or of the last such line there is."""
        entry = min(line // LINES_PER_ENTRY, self._last[0])
        offset = self._entry(entry)
        number, offset = (entry * LINES_PER_ENTRY, offset) if offset is not None else (0, 0)
        if line - number < LINES_PER_ENTRY:
            return number, offset
        counter = self._counter(number // LINES_PER_ENTRY, offset)
        for chunk in self._chunks(offset):
            for start in counter.feed(chunk):
                number, offset = number + LINES_PER_ENTRY, start
                if line - number < LINES_PER_ENTRY:
                    return number, offset
        return number, offset

    def _counter(self, entry: int, offset: int) -> LineCounter:
        counter = LineCounter()
        counter.lines, counter.offset = entry * LINES_PER_ENTRY, offset
        return counter

    def _chunks(self, offset: int) -> Iterator[bytes]:
        while offset < self.size:
            chunk = os.pread(self.descriptor, min(_CHUNK_BYTES, self.size - offset), offset)
            if not chunk:
                return
            yield chunk
            offset += len(chunk)

    def _find_entry(self, holds: Callable[[int], bool]) -> tuple[int, int]:
        """Return (number, offset) of the last entry for which `holds`; entries rise. (0, 0) when none is possible."""
        low, high = 0, self._entry_count()
        while low + 1 < high:
            middle = (low + high) // 2
            offset = self._entry(middle)
            if offset is not None and holds(offset):
                low = middle
            else:
                high = middle
        offset = self._entry(low)
        return (low, offset) if offset is not None and holds(offset) else (0, 0)

    def _entry_count(self) -> int:
        return 0 if self._index is None else os.fstat(self._index).st_size // ENTRY.size

    def _entry(self, number: int) -> int | None:
        """Return the offset in an entry; None when there is none or no log could have it."""
        if number == 0:
            return 0
        if self._index is None:
            return None
        data = os.pread(self._index, ENTRY.size, number * ENTRY.size)
        if len(data) < ENTRY.size:
            return None
        offset = int(ENTRY.unpack(data)[0])
        return offset if number * LINES_PER_ENTRY <= offset <= number * _MAX_ENTRY_BYTES else None


def _within(lines: list[bytes], most_bytes: int | None) -> list[bytes]:
    """Return the first lines that have at most so many bytes together."""
    if most_bytes is None:
        return lines
    sizes = accumulate(len(line) for line in lines)
    return lines[: sum(size <= most_bytes for size in sizes)]


def _open_index(path: Path) -> int | None:
    try:
        return os.open(index_path(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
