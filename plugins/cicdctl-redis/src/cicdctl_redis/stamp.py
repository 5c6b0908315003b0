"""A file that changes with each commit of this host, and holds the highest number of a run that was given here."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

FILE = "redis.stamp"


class Stamp:
    """Who watches for changes looks at its time. The number outlives a server that forgot its last second."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def highest_run(self) -> int:
        """Give the highest number; 0 when there is none."""
        try:
            return _number(self.path.read_bytes())
        except FileNotFoundError:
            return 0

    def touch(self) -> None:
        """Wake those who watch."""
        try:
            os.utime(self.path)
        except FileNotFoundError:
            self.raise_to(0)

    def raise_to(self, run: int) -> None:
        """Wake those who watch, and note a number unless a higher one is there."""
        descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            highest = max(run, _number(os.pread(descriptor, 32, 0)))
            os.pwrite(descriptor, b"%020d" % highest, 0)
        finally:
            os.close(descriptor)


def _number(text: bytes) -> int:
    return int(text) if text.isdigit() else 0
