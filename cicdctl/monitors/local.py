"""Notices what moves in the repository itself, whoever moves it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cicdctl.git import Repository
from cicdctl.kinds import Sighting

WATCHED = ("refs/heads/", "refs/tags/")


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

    def look(self) -> Iterable[Sighting]:
        """Return what changed since the last look. Raises GitError."""
        now: dict[str, str] = {}
        for prefix in WATCHED:
            now |= self._repository.ref_store.all(prefix)
        found = list(compare(self._known, now))
        self._known = now
        return found

    def close(self) -> None:
        """Release the repository."""
        self._repository.close()
