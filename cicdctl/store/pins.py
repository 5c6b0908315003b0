"""Keeps eviction away from what living processes use: digests in a file that its owner holds locked."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cicdctl.store.copying import write_all

_ABANDONED_S = 3600.0


class Pins:
    """`<cache folder>/pins`. The kernel drops the lock of a dead owner; the next eviction removes its file.

    Between `using()` and the pinning of a digest no eviction removes a blob, so that "it is there" stays true.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: int | None = None
        self._own_path: Path | None = None
        self._pinned: set[str] = set()

    def pin(self, names: Iterable[str]) -> None:
        """Keep these keys or digests until `close`. Callers hold their own lock; a failure to pin is no error."""
        new = [name for name in set(names) if name not in self._pinned]
        if not new:
            return
        try:
            if self._own is None:
                self._own = self._create()
            write_all(self._own, "".join(f"{name}\n" for name in new).encode())
        except OSError:
            # A full disk: the worst that follows is an evicted blob, which is a miss.
            return
        self._pinned.update(new)

    @contextmanager
    def using(self) -> Iterator[None]:
        """Hold off eviction for a moment; waits while a batch is being removed."""
        with self._gate(fcntl.LOCK_SH):
            yield

    @contextmanager
    def evicting(self) -> Iterator[set[str]]:
        """Hold off `using` for a moment and hand over all that is pinned."""
        with self._gate(fcntl.LOCK_EX):
            yield self._pinned | self._read_others()

    def close(self) -> None:
        """Let go of everything."""
        own, path, self._own, self._own_path = self._own, self._own_path, None, None
        self._pinned = set()
        if own is not None and path is not None:
            path.unlink(missing_ok=True)
            os.close(own)

    def _create(self) -> int:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._own_path = self._folder / f"{os.getpid()}-{os.urandom(6).hex()}"
        own = os.open(self._own_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return own

    def _read_others(self) -> set[str]:
        pinned: set[str] = set()
        if not self._folder.is_dir():
            return pinned
        for path in list(self._folder.iterdir()):
            if path != self._own_path:
                pinned |= self._read(path)
        return pinned

    def _read(self, path: Path) -> set[str]:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return set()
        with os.fdopen(descriptor, "rb") as file:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return set(file.read().decode("ascii", "replace").split())
            # Its owner is dead, or is between creating and locking it and has pinned nothing yet.
            facts = os.fstat(descriptor)
            if facts.st_size or time.time() - facts.st_mtime > _ABANDONED_S:
                path.unlink(missing_ok=True)
            return set()

    @contextmanager
    def _gate(self, kind: int) -> Iterator[None]:
        gate = os.open(self._folder.with_name("evict.gate"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(gate, kind)
            yield
        finally:
            os.close(gate)
