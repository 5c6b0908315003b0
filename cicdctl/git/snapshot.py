"""The user's working tree as a commit: what `git add -A` would record, without touching index, HEAD or files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cicdctl.errors import GitError
from cicdctl.git.commits import Commit
from cicdctl.git.ignore import base_rules
from cicdctl.git.index_file import WORDS_BYTES, IndexFile, read_index
from cicdctl.git.index_tree import tree_with_changes
from cicdctl.git.names import show_path
from cicdctl.git.work_tree import WorkTreeScan, scan_work_tree
from cicdctl.model import Value

if TYPE_CHECKING:
    from cicdctl.git.repository import Repository

NAME, EMAIL = "cicdctl snapshot", "snapshot@cicdctl.invalid"
MESSAGE = "snapshot of the working tree"
_Changes = dict[bytes, "tuple[int, bytes] | None"]


class Snapshot(Value, frozen=True):
    """`commit` holds the working tree; `dirty` False: it is HEAD's own commit. `changed`: paths unlike HEAD's."""

    commit: Commit
    dirty: bool
    changed: tuple[bytes, ...]
    warnings: tuple[str, ...]


def take_snapshot(repository: Repository) -> Snapshot:
    """Make a commit of the working tree and pin it with a keep ref; a clean tree gives HEAD's commit.

    Raises GitError: no working tree, unmerged paths, a file that never stops changing, or a conversion that
    needs the git program when it was not handed in.
    """
    if repository.work_tree is None:
        raise GitError(f"{str(repository.git_dir)!r} has no working tree", hint="name a revision to run")
    tree, warnings = _tree_of_work_tree(repository)
    head = repository.head()
    parent = repository.commit(head.oid) if head.oid else None
    if parent is not None and parent.tree == tree:
        return Snapshot(commit=parent, dirty=False, changed=(), warnings=warnings)
    commit = _write(repository, tree, parent)
    changed = tuple(repository.changed_paths(parent.tree if parent else None, tree))
    return Snapshot(commit=commit, dirty=True, changed=changed, warnings=warnings)


def _write(repository: Repository, tree: str, parent: Commit | None) -> Commit:
    from cicdctl.git.commit import write_commit

    # HEAD's date and not now: equal content has an equal id.
    when = parent.time if parent else 0
    parents = (parent.oid,) if parent else ()
    oid = write_commit(repository, tree, parents, MESSAGE, name=NAME, email=EMAIL, time_s=when)
    repository.keep(oid)
    return repository.commit(oid)


def _tree_of_work_tree(repository: Repository) -> tuple[str, tuple[str, ...]]:
    assert repository.work_tree is not None
    index = read_index(repository.git_dir / "index", hash_bytes=repository.hash_bytes)
    if index.unmerged:
        shown = ", ".join(show_path(path) for path in index.unmerged[:10])
        raise GitError(f"unmerged paths: {shown}", hint="finish the merge, or name a revision to run")
    settings = repository.settings
    if index.unsupported:
        from cicdctl.git.snapshot_by_git import add_all

        return add_all(repository, index.unsupported), ()
    root = os.fsencode(repository.work_tree)
    rules = base_rules(repository.common_dir, settings.path("core.excludesfile"))
    file_mode = settings.is_true("core.filemode", True)
    found = scan_work_tree(repository, root, index, rules, file_mode=file_mode)
    if not (found.suspects or found.untracked or found.deleted or found.modules):
        return tree_with_changes(repository, index, {}), tuple(found.warnings)
    return _tree_of_changes(repository, root, index, found), tuple(found.warnings)


def _tree_of_changes(repository: Repository, root: bytes, index: IndexFile, found: WorkTreeScan) -> str:
    from cicdctl.git.work_files import Conversions, store_changed

    changes: _Changes = {path: None for path in found.deleted}
    conversions = Conversions(repository, root, index)
    wanting: list[bytes] = []
    for path, mode in found.suspects + found.untracked:
        entry = index.entries.get(path)
        known = entry[WORDS_BYTES : WORDS_BYTES + repository.hash_bytes] if entry else b""
        stored = store_changed(repository, root, path, mode, conversions, known)
        if stored is None:
            # It is gone since the scan: that is deleted, or was never there.
            if entry is not None:
                changes[path] = None
            continue
        if stored.conversion:
            wanting.append(path)
        is_as_staged = entry is not None and (int.from_bytes(entry[24:28], "big"), known) == (stored.mode, stored.raw)
        # An intended entry is in no tree yet, even when the file is as empty as the entry says.
        if not is_as_staged or path in index.intended:
            changes[path] = (stored.mode, stored.raw)
    for path, raw in found.modules:
        changes[path] = (0o160000, raw)
    if wanting:
        from cicdctl.git.snapshot_by_git import add_changes

        return add_changes(repository, changes, conversions.why(wanting[0]))
    return tree_with_changes(repository, index, changes)
