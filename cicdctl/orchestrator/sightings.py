"""What a monitor saw becomes changes; the first look at a repository only takes note of what is there."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType

from cicdctl.errors import CicdError
from cicdctl.git.remotes import read_address
from cicdctl.model import Run
from cicdctl.orchestrator.change import THIS_REPOSITORY, Change, Wishes
from cicdctl.orchestrator.intake import accept, take_in
from cicdctl.orchestrator.looking import Look
from cicdctl.planning.names import matches_name
from cicdctl.project import Project
from cicdctl.store.queued import Arrival, Outdated

# Beside the refs of a source: that it was looked at before.
_LOOKED_AT = ""
_log = logging.getLogger("cicdctl.monitor")


def take_sightings(
    project: Project, look: Look, *, wishes: Mapping[tuple[str, str], Wishes] = MappingProxyType({})
) -> list[Run]:
    """Queue what the sightings bring. Raises StoreError or GitError, and then some is still to be done.

    `wishes` are what those who pushed asked for, by the ref and the value they gave it.
    """
    seen = project.state.queue.seen(look.source)
    is_first = _LOOKED_AT not in seen
    sightings = [one for one in look.sightings if _is_watched(project, one.ref)]
    new = {one.ref: one.new for one in sightings if is_first and one.ref not in seen}
    if is_first:
        marks: dict[tuple[str, str], tuple[str | None, str | None]] = {
            (look.source, ref): (None, oid) for ref, oid in new.items() if oid is not None
        }
        marks[look.source, _LOOKED_AT] = (None, "looked at")
        try:
            accept(project, Arrival(seen=marks))
        except Outdated:
            return take_sightings(project, look, wishes=wishes)  # a push was faster: look at what is known once more
        where = look.source or "this repository"
        _log.info("%s is watched from now on: %d branches and tags", where, len(new))
    runs: list[Run] = []
    failure: CicdError | None = None
    for one in sightings:
        if one.ref in new:
            continue
        _log.info("%s: %s → %s", one.ref, _short(one.old), _short(one.new))
        # A hint to look: what the ref is now is asked when it is taken in.
        asked = wishes.get((one.ref, one.new or ""), Wishes())
        change = Change(ref=one.ref, old=one.old, new=None, source=look.source, wishes=asked)
        delivery = (f"monitor {look.source}", one.id) if one.id else None
        try:
            runs += take_in(project, (change,), delivery=delivery).runs
        except CicdError as error:
            _log.error("%s is not queued yet: %s", one.ref, error.message)
            failure = failure or error  # the other refs are none the worse for it
    if failure is not None:
        raise failure
    return runs


def _is_watched(project: Project, ref: str) -> bool:
    branches = project.settings.orchestrator.monitoring.branches
    if not ref.startswith("refs/heads/") or not branches:
        return True
    return matches_name(branches, ref.removeprefix("refs/heads/"))


def _short(oid: str | None) -> str:
    return "nothing" if oid is None else oid[:10]


def source_of(project: Project) -> str:
    """Return the name of the repository to look at: its address without credentials; the empty one is ours."""
    named = project.settings.project.repository
    if named is None:
        return THIS_REPOSITORY
    if "://" not in named and ":" not in named:
        folder = (project.repository.work_tree or project.repository.git_dir) / named
        if folder.resolve() in (
            project.repository.work_tree,
            project.repository.git_dir,
            project.repository.common_dir,
        ):
            return THIS_REPOSITORY
        return str(folder.resolve())
    return read_address(named).plain
