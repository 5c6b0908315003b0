"""When the lines of a log came: a sidecar with at most ten moments a second.

It begins with the moment at which the log was opened, a little-endian u64 of Unix milliseconds. Entries follow: a u64
offset and a u32 of milliseconds since then, which say that what begins there came then. A log that was written on
another machine, or is read from its blob, has none.
"""

from __future__ import annotations

import os
import struct
import time
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from cicdctl.model.values import Value

STEP_MS = 100
HEAD = struct.Struct("<Q")
MOMENT = struct.Struct("<QI")
# What no clock has said: such a file is foreign.
_LATEST_MS = 2**45
_AT_ONCE = 512


class LineTimes(Value, frozen=True):
    """When lines began: seconds after `opened_at` (Unix seconds), at most 0.1 s early."""

    opened_at: float
    since_s: tuple[float, ...]


class TimesWriter:
    """Notes when output came. Never raises: without it a log lacks its times and nothing else."""

    def __init__(self, log: Path) -> None:
        """Begin to count; the file comes with the first output."""
        self._path = times_path(log)
        self._opened = time.monotonic()
        self._opened_at_ms = int(time.time() * 1000)
        self._noted_ms = -STEP_MS
        self._descriptor: int | None = None
        self._is_broken = False

    def note(self, offset: int) -> None:
        """Say that what is written at `offset` comes now."""
        at_ms = min(int((time.monotonic() - self._opened) * 1000), 0xFFFFFFFF)
        if self._is_broken or at_ms - self._noted_ms < STEP_MS:
            return
        self._noted_ms = at_ms
        entry = MOMENT.pack(offset, at_ms)
        try:
            if self._descriptor is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o600)
                entry = HEAD.pack(self._opened_at_ms) + entry
            self._is_broken = os.write(self._descriptor, entry) != len(entry)
        except OSError:
            self._is_broken = True

    def close(self) -> None:
        """Release the file. May be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor, self._is_broken = None, True


def read_times(log: Path, start: int, lines: Sequence[bytes]) -> LineTimes | None:
    """Return when each of some lines, which lie in a log from byte `start` on, began; None where nobody noted it."""
    try:
        descriptor = os.open(times_path(log), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        head = os.pread(descriptor, HEAD.size, 0)
        opened_at_ms = HEAD.unpack(head)[0] if len(head) == HEAD.size else _LATEST_MS
        if opened_at_ms >= _LATEST_MS:
            return None
        *starts, end = accumulate((len(line) for line in lines), initial=start)
        return LineTimes(opened_at_ms / 1000, _since(_moments(descriptor, start, end), starts))
    except OSError:
        return None
    finally:
        os.close(descriptor)


def times_path(log: Path) -> Path:
    """Return the place of the times that belong to a log."""
    return log.with_name(log.name + ".times")


def _since(moments: list[tuple[int, int]], starts: list[int]) -> tuple[float, ...]:
    offsets = [offset for offset, _ in moments]
    found = (bisect_right(offsets, start) - 1 for start in starts)
    return tuple(moments[at][1] / 1000 if at >= 0 else 0.0 for at in found)


def _moments(descriptor: int, start: int, end: int) -> list[tuple[int, int]]:
    """Return the moments from the last one at or before `start` up to `end`; offsets rise."""
    count = max(0, os.fstat(descriptor).st_size - HEAD.size) // MOMENT.size
    low, high = 0, count
    while low + 1 < high:
        middle = (low + high) // 2
        offset, _ = MOMENT.unpack(os.pread(descriptor, MOMENT.size, HEAD.size + middle * MOMENT.size))
        low, high = (middle, high) if offset <= start else (low, middle)
    found: list[tuple[int, int]] = []
    for at in range(low, count, _AT_ONCE):
        data = os.pread(descriptor, min(_AT_ONCE, count - at) * MOMENT.size, HEAD.size + at * MOMENT.size)
        found += MOMENT.iter_unpack(data)
        if found and found[-1][0] >= end:
            break
    return found
