"""Notices what moves in the repository itself, whoever moves it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cicdctl.git import Repository
from cicdctl.kinds import Sighting

WATCHED = ("refs/heads/", "refs/tags/")
# What changed less long ago than this may change again without a new time.
_SETTLED_NS = 2_000_000_000
# A program that is not git may write a ref in place, which changes no folder.
_TRUSTED_S = 60.0


def compare(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Sighting]:
    """Yield what differs between two listings of refs, by name."""
    for ref in sorted({*before, *now}):
        old, new = before.get(ref), now.get(ref)
        if old != new:
            yield Sighting(ref=ref, old=old, new=new)


class LocalRefs:
    """Lists branches and tags. `known` are those of the last look, also one of an earlier process."""

    def __init__(self, repository: Repository, known: Mapping[str, str]) -> None:
        self._repository = repository
        self._known = {ref: oid for ref, oid in known.items() if ref.startswith(WATCHED)}
        self._stamps: dict[str, int] | None = None
        self._until = 0.0

    def look(self) -> Iterable[Sighting]:
        """Return what changed since the last look. Raises GitError."""
        if self._stamps is not None and time.monotonic() < self._until and _stamps(self._stamps) == self._stamps:
            return ()
        stamps = _stamps(_folders(self._repository.common_dir))  # before the refs: what moves now is seen next time
        now: dict[str, str] = {}
        for prefix in WATCHED:
            now |= self._repository.ref_store.all(prefix)
        found = list(compare(self._known, now))
        self._known = now
        self._until = time.monotonic() + _TRUSTED_S
        self._stamps = stamps if _is_settled(stamps) and not self._has_links(now) else None
        return found

    def _has_links(self, refs: Iterable[str]) -> bool:
        """Whether a branch is another name of a ref, which may lie where nobody looks."""
        return any(self._repository.ref_store.target(ref) is not None for ref in refs)

    def close(self) -> None:
        """Release the repository."""
        self._repository.close()


def _folders(common_dir: Path) -> Iterator[str]:
    """Yield what has a new time whenever a ref is written: git renames every new value into place."""
    yield f"{common_dir}/packed-refs"
    todo = [f"{common_dir}/{prefix}" for prefix in WATCHED]
    while todo:
        folder = todo.pop()
        yield folder
        try:
            with os.scandir(folder) as rows:
                todo += [row.path for row in rows if row.is_dir(follow_symlinks=False)]
        except OSError:
            continue


def _stamps(paths: Iterable[str]) -> dict[str, int]:
    found = {}
    for path in paths:
        try:
            found[path] = os.stat(path).st_mtime_ns  # noqa: PTH116 - a hundred times a second
        except OSError:
            found[path] = 0
    return found


def _is_settled(stamps: Mapping[str, int]) -> bool:
    return time.time_ns() - max(stamps.values()) > _SETTLED_NS
