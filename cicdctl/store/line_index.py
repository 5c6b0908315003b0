"""The sidecar of a log: where every 64th line begins and when it was written.

A line of more than 16 KB counts as several, in the index only; the log itself keeps the bytes as they came.
Each entry is a little-endian u64 offset and a u32 of milliseconds since the log was opened.
"""

from __future__ import annotations

import struct

LINES_PER_ENTRY = 64
MAX_LINE_BYTES = 16 * 1024
ENTRY = struct.Struct("<QI")

# Two windows make a line, so a newline in each window proves that no line is too long.
_WINDOW = MAX_LINE_BYTES // 2


class LineCounter:
    """Follows a stream chunk by chunk and says where lines 64, 128, … begin. Work is per chunk, not per line."""

    def __init__(self) -> None:
        self.offset = 0
        self.lines = 0
        self._pending = 0
        self._guess = 64 * LINES_PER_ENTRY

    @property
    def open_line(self) -> bool:
        """Whether the last line has begun and not ended."""
        return self._pending > 0

    def feed(self, chunk: bytes) -> list[int]:
        """Count the lines of `chunk`; return the offsets at which a line with a number divisible by 64 begins."""
        starts = self._feed_short(chunk) if self._is_short(chunk) else self._feed_long(chunk)
        self.offset += len(chunk)
        return starts

    def _is_short(self, chunk: bytes) -> bool:
        first = chunk.find(b"\n", 0, _WINDOW)
        if first < 0 or self._pending + first > MAX_LINE_BYTES:
            return False
        return all(chunk.find(b"\n", at, at + _WINDOW) >= 0 for at in range(_WINDOW, len(chunk) - _WINDOW + 1, _WINDOW))

    def _feed_short(self, chunk: bytes) -> list[int]:
        starts: list[int] = []
        at, wanted = 0, LINES_PER_ENTRY - self.lines % LINES_PER_ENTRY
        while True:
            behind, found = self._skip_lines(chunk, at, wanted)
            self.lines += found
            if found < wanted:
                break
            starts.append(self.offset + behind)
            at, wanted = behind, LINES_PER_ENTRY
        self._pending = len(chunk) - chunk.rfind(b"\n") - 1
        return starts

    def _skip_lines(self, chunk: bytes, at: int, wanted: int) -> tuple[int, int]:
        """Return the position behind the `wanted`-th newline after `at`, and how many there are up to `wanted`.

        Guesses how far it is from the lines before, then corrects: one count instead of 64 searches.
        """
        end = min(len(chunk), at + max(1, self._guess * wanted // LINES_PER_ENTRY))
        found = chunk.count(b"\n", at, end)
        position = end
        for _ in range(found - wanted + 1):
            position = chunk.rfind(b"\n", at, position)
        if found < wanted:
            position = end - 1
        while found < wanted:
            position = chunk.find(b"\n", position + 1)
            if position < 0:
                return len(chunk), found
            found += 1
        self._guess = (position + 1 - at) * LINES_PER_ENTRY // wanted
        return position + 1, wanted

    def _feed_long(self, chunk: bytes) -> list[int]:
        starts: list[int] = []
        at = self.offset
        parts = chunk.split(b"\n")
        for number, part in enumerate(parts):
            self._content(at, len(part), starts)
            at += len(part) + 1
            if number < len(parts) - 1:
                self._pending = 0
                self._begin(at, starts)
        return starts

    def _content(self, at: int, length: int, starts: list[int]) -> None:
        while self._pending + length > MAX_LINE_BYTES:
            step = MAX_LINE_BYTES - self._pending
            at, length, self._pending = at + step, length - step, 0
            self._begin(at, starts)
        self._pending += length

    def _begin(self, at: int, starts: list[int]) -> None:
        self.lines += 1
        if self.lines % LINES_PER_ENTRY == 0:
            starts.append(at)


def split_lines(data: bytes) -> list[bytes]:
    """Cut `data`, which begins at the start of a line, into the lines that the index counts; newlines are kept."""
    lines: list[bytes] = []
    for line in data.splitlines(keepends=True) if b"\r" not in data else _at_newlines(data):
        content = len(line) - line.endswith(b"\n")
        if content <= MAX_LINE_BYTES:
            lines.append(line)
            continue
        cuts = range(0, content, MAX_LINE_BYTES)
        lines += [line[at : at + MAX_LINE_BYTES] for at in cuts[:-1]]
        lines.append(line[cuts[-1] :])
    return lines


def _at_newlines(data: bytes) -> list[bytes]:
    parts = data.split(b"\n")
    last = parts.pop()
    return [part + b"\n" for part in parts] + ([last] if last else [])
