"""A handle by which another thread ends a process that is running."""

from __future__ import annotations

import os
import threading
import time


class Control:
    """Cancels every process started with it, now or later. All methods are safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wakers: set[int] = set()
        self.reason: str | None = None
        self.grace_s: float | None = None
        self.is_kill = False

    def cancel(self, reason: str, *, grace_s: float | None = None) -> None:
        """Ask it to end; the first reason stays. `grace_s` replaces the grace of its specification."""
        with self._lock:
            if self.reason is None:
                self.reason = reason
                self.grace_s = grace_s
            self._wake()

    def kill(self) -> None:
        """End it at once, without grace; also in the middle of one."""
        with self._lock:
            self.reason = self.reason or "killed"
            self.is_kill = True
            self._wake()

    def pause(self, seconds: float) -> None:
        """Wait so long, or until somebody cancels."""
        end = time.monotonic() + seconds
        while self.reason is None and (left := end - time.monotonic()) > 0:
            time.sleep(min(0.1, left))

    def _wake(self) -> None:
        for fd in self._wakers:
            os.write(fd, b"\1\0\0\0\0\0\0\0")

    def attach(self) -> int:
        """Return a descriptor that becomes readable with each call above; give it back to `detach`."""
        fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        with self._lock:
            self._wakers.add(fd)
            if self.reason is not None:
                self._wake()
        return fd

    def detach(self, fd: int) -> None:
        """Close a descriptor of `attach`."""
        with self._lock:
            self._wakers.discard(fd)
        os.close(fd)
