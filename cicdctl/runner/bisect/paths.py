"""Which paths a commit touches, and how many lines of each."""

from __future__ import annotations

from cicdctl.git import Commit, Repository, TreeEntry
from cicdctl.runner.bisect.values import PathChange

MOST_COUNTED = 20
MAX_COUNTED_BYTES = 200_000
FILES = (0o100644, 0o100755)


def list_paths(repository: Repository, commit: Commit) -> tuple[PathChange, ...]:
    """Return what differs from the first parent; lines are counted for the first 20 paths that are small text."""
    parents = repository.parents(commit)
    before_tree = repository.tree_of(parents[0]) if parents else None
    found: list[PathChange] = []
    for path, before, after in repository.changed_entries(before_tree, commit.tree):
        how = "A" if before is None else "D" if after is None else "M"
        counts = _count(repository, before, after) if len(found) < MOST_COUNTED else None
        added, removed = counts or (None, None)
        found.append(PathChange(path=path, how=how, added=added, removed=removed))
    return tuple(found)


def _count(repository: Repository, before: TreeEntry | None, after: TreeEntry | None) -> tuple[int, int] | None:
    """Return how many lines were added and removed; None for what is no small text."""
    from difflib import unified_diff

    old, new = _lines(repository, before), _lines(repository, after)
    if old is None or new is None:
        return None
    # The first two lines are the names of the files.
    marks = [line[:1] for line in unified_diff(old, new, n=0, lineterm="")][2:]
    return marks.count("+"), marks.count("-")


def _lines(repository: Repository, entry: TreeEntry | None) -> list[str] | None:
    if entry is None:
        return []
    if entry.mode not in FILES:
        return None
    data = repository.read_object(entry.oid)[1]
    if len(data) > MAX_COUNTED_BYTES or b"\0" in data:
        return None
    text = data.decode("utf-8", "surrogateescape")
    return text.removesuffix("\n").split("\n") if text else []
