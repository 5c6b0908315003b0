"""The stage mirrors of all trust levels: brought to a commit before use, looked after when somebody changed one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cicdctl.errors import GitError
from cicdctl.git.folders import Trash
from cicdctl.git.mirror import Mirror
from cicdctl.git.repository import Repository
from cicdctl.git.slot import SlotHome, list_homes, take_lock


class Mirrors:
    """Safe for many threads and processes. `discard` throws one slot away and never raises."""

    def __init__(
        self, folder: Path, lock_folder: Path, trash: Trash, discard: Callable[[SlotHome, str | None], None]
    ) -> None:
        self._folder = folder
        self._lock_folder = lock_folder
        self._trash = trash
        self._discard = discard
        self._mutex = threading.Lock()
        self._known: dict[str, Mirror] = {}
        self._synced: set[tuple[str, str]] = set()

    def get(self, trust: str) -> Mirror:
        """Give the mirror of one trust level. Raises GitError when the level cannot be part of a file name."""
        if not trust.isalnum():
            raise GitError(f"{trust!r} is not a trust level")
        with self._mutex:
            found = self._known.get(trust)
            if found is None:
                found = self._known[trust] = Mirror(self._folder, trust, self._trash)
            return found

    def sync(self, repository: Repository, trust: str, commit: str, home: SlotHome, *, keep_own: bool) -> None:
        """Bring the mirror to the commit, once per process and commit; one that was changed is reset first.

        The caller holds the lock of `home`, which a reset spares when `keep_own`. Raises GitError or OSError.
        """
        mirror = self.get(trust)
        key = (trust, commit)
        if key in self._synced and mirror.is_pristine():
            return
        with self._lock(trust):
            if not mirror.is_pristine() and self._reset(trust, home, keep_own=keep_own):
                self._synced.clear()
            if key not in self._synced:
                mirror.sync(repository, commit)
                self._synced.add(key)

    def check(self, trust: str, home: SlotHome) -> None:
        """After use: a changed mirror is reset, or thrown away with its slots when the code was not trusted."""
        mirror = self.get(trust)
        try:
            if not mirror.is_pristine():
                with self._lock(trust):
                    if not mirror.is_pristine() and self._reset(trust, home, keep_own=False):
                        self._synced.clear()
        except OSError:
            # The next acquire finds it not pristine and tries again.
            return

    def _reset(self, trust: str, own: SlotHome, *, keep_own: bool) -> bool:
        """Reset a changed mirror unless another slot of it is in use: then the last user's release does it."""
        locks: list[int] = []
        try:
            homes = [home for home in list_homes(self._folder, self._lock_folder) if _is_other(home, own, trust)]
            for home in homes:
                lock = home.lock()
                if lock is None:
                    return False
                locks.append(lock)
            if trust == "trusted":
                self.get(trust).reset()
                return True
            self.get(trust).discard()
            for home in homes if keep_own else [*homes, own]:
                self._discard(home, trust)
            return True
        finally:
            for lock in locks:
                os.close(lock)

    @contextmanager
    def _lock(self, trust: str) -> Iterator[None]:
        lock = take_lock(self._lock_folder / f"mirror-{trust}.lock", blocking=True)
        try:
            yield
        finally:
            if lock is not None:
                os.close(lock)


def _is_other(home: SlotHome, own: SlotHome, trust: str) -> bool:
    found = home.read()
    return home.id != own.id and (found is None or found[1].trust == trust)
