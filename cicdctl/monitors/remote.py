"""Notices what moves in a repository elsewhere, and fetches it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cicdctl.git import Repository
from cicdctl.kinds import Sighting
from cicdctl.monitors.local import WATCHED, compare
from cicdctl.orchestrator.elsewhere import Elsewhere, Listing
from cicdctl.orchestrator.mirrors import Placement, fetch_into


class RemoteRefs:
    """Lists with `git ls-remote`; what has changed is fetched before it is told.

    `known` are the refs as they were dealt with last. A mirror of ours gets everything at the first look; another
    repository only what moves after it, since nothing of a first look is run.
    """

    def __init__(
        self, repository: Repository, elsewhere: Elsewhere, known: Mapping[str, str], placement: Placement
    ) -> None:
        self._repository = repository
        self._elsewhere = elsewhere
        self._placement = placement
        self._known = {ref: oid for ref, oid in known.items() if ref.startswith(WATCHED)}
        self._is_first = "" not in known

    def look(self) -> Iterable[Sighting]:
        """Return what changed since the last look. Raises GitError when the other side does not answer."""
        listing = self._elsewhere.list(WATCHED)
        found = list(compare(self._known, listing.refs))
        if self._placement.is_mirror or not self._is_first:
            fetch_into(self._repository, self._elsewhere, listing, self._wanted(found, listing), self._placement)
        self._known, self._is_first = dict(listing.refs), False
        return found

    def close(self) -> None:
        """Release the repository."""
        self._repository.close()

    def _wanted(self, found: Iterable[Sighting], listing: Listing) -> dict[str, str | None]:
        wanted = {sighting.ref: sighting.new for sighting in found}
        if listing.head is not None and any(sighting.old is None for sighting in found):
            # Where a new branch begins is asked of the default branch.
            wanted.setdefault(listing.head, listing.refs.get(listing.head))
        return wanted
