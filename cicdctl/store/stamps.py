"""Notices that others have written: by what the system says of a few files, without opening any."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from pathlib import Path

# SQLite writes first, and shows what it has written once it is on the disk.
SEEN_S = 0.1


class Stamps:
    """Files that are looked at again and again; one that is missing is as good as any. One system call for each."""

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        self._paths = tuple(map(str, paths))
        self._stamps: list[tuple[int, int]] = []
        self._again_at = math.inf

    def look(self) -> bool:
        """Whether a file was written since the last look; said once more `SEEN_S` later, when everybody can read it."""
        before, self._stamps = self._stamps, [_stamp(path) for path in self._paths]
        now = time.monotonic()
        if self._stamps != before:
            self._again_at = now + SEEN_S
            return True
        if now < self._again_at:
            return False
        self._again_at = math.inf
        return True


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - a hundred times a second
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
