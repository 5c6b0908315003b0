"""Which tests people deleted between two commits: these are not missed when a fix is judged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from cicdctl.git import Repository
from cicdctl.git.trees import LINK, MODULE, TreeEntry, changed_entries

_LAST_NAME = re.compile(r"[^.:>#/\\]+$")
_SUFFIX = re.compile(r"\.\w+$")
MOST_BYTES = 4 << 20


def find_removed_tests(repository: Repository, before: str, after: str, ids: Iterable[str]) -> frozenset[str]:
    """Return those ids whose name stood in a file of the tree `before` and is gone from it in the tree `after`.

    Where an id begins with the path of a file, dots for slashes, only that file counts. Raises GitError.
    """
    ids = frozenset(ids)
    if not ids or before == after:
        return frozenset()
    changed = {
        entry.path: (_text(repository, entry), _text(repository, new))
        for _, entry, new in changed_entries(repository.read_tree, before, after, hash_bytes=repository.hash_bytes)
        if entry is not None
    }
    modules = {_module(entry.path): entry.path for entry in repository.walk(before)}
    return frozenset(name for name in ids if _is_removed(name, changed, modules))


def _text(repository: Repository, entry: TreeEntry | None) -> str:
    if entry is None or entry.mode in (LINK, MODULE):
        return ""
    return repository.read_object(entry.oid)[1][:MOST_BYTES].decode("utf-8", "replace")


def _module(path: bytes) -> str:
    return _SUFFIX.sub("", path.decode("utf-8", "replace")).replace("/", ".")


def _is_removed(name: str, changed: Mapping[bytes, tuple[str, str]], modules: Mapping[str, bytes]) -> bool:
    found = _LAST_NAME.search(name)
    if found is None:
        return False
    word = re.compile(rf"(?<!\w){re.escape(found.group().strip())}(?!\w)")
    own = next((modules[one] for one in _beginnings(name.replace("/", ".")) if one in modules), None)
    texts = changed.values() if own is None else [changed[own]] if own in changed else []
    return any(word.search(old) and not word.search(new) for old, new in texts)


def _beginnings(name: str) -> Iterator[str]:
    """The name, and all that it begins with up to a dot, the longest first."""
    while name:
        yield name
        name = name.rpartition(".")[0]
