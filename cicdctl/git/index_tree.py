"""The tree of an index with changes on top; folders that did not change keep the ids the index knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cicdctl.git.commit import write_tree
from cicdctl.git.index_file import WORDS_BYTES, IndexFile, read_known_trees, read_root_tree
from cicdctl.git.trees import FOLDER, Row

if TYPE_CHECKING:
    from cicdctl.git.repository import Repository


def tree_with_changes(
    repository: Repository, index: IndexFile, changes: Mapping[bytes, tuple[int, bytes] | None]
) -> str:
    """Store the tree that has the entries of `index`, each path of `changes` set to (mode, raw id) or removed.

    Gives its id. Writes nothing when the index already knows the tree. Raises GitError.
    """
    root = read_root_tree(index.tree_part, hash_bytes=repository.hash_bytes)
    if root is not None and not changes and repository.objects.has(root.hex()):
        return root.hex()
    known = read_known_trees(index.tree_part, hash_bytes=repository.hash_bytes)
    builder = _Builder(repository, known, _folders_above(changes))
    end = WORDS_BYTES + repository.hash_bytes
    for path, entry in index.entries.items():
        if path not in changes:
            rows = builder.rows_for(path.rpartition(b"/")[0])
            if rows is not None:
                mode = int.from_bytes(entry[24:28], "big")
                rows.append((mode, path[path.rfind(b"/") + 1 :], entry[WORDS_BYTES:end]))
    for path, value in changes.items():
        if value is not None:
            folder, _, name = path.rpartition(b"/")
            rows = builder.rows_for(folder)
            assert rows is not None
            rows.append((value[0], name, value[1]))
    return builder.write()


def _folders_above(changes: Mapping[bytes, object]) -> set[bytes]:
    folders = {b""}
    for path in changes:
        folder = path.rpartition(b"/")[0]
        while folder not in folders:
            folders.add(folder)
            folder = folder.rpartition(b"/")[0]
    return folders


class _Builder:
    def __init__(self, repository: Repository, known: dict[bytes, bytes], dirty: set[bytes]) -> None:
        self._repository = repository
        self._known = known
        self._dirty = dirty
        # Rows of each folder that is built; None: the folder lies in one whose id is known.
        self._rows: dict[bytes, list[Row] | None] = {b"": []}

    def rows_for(self, folder: bytes) -> list[Row] | None:
        """Give the list of rows of a folder, or None when the id of it or of one above is used as it is."""
        try:
            return self._rows[folder]
        except KeyError:
            pass
        # Up to the first folder that was met before, then down again: no recursion.
        chain = [folder]
        while (above := chain[-1].rpartition(b"/")[0]) not in self._rows:
            chain.append(above)
        rows = self._rows[above]
        for inner in reversed(chain):
            if rows is not None:
                raw = self._known.get(inner)
                if raw is not None and inner not in self._dirty and self._repository.objects.has(raw.hex()):
                    rows.append((FOLDER, inner[inner.rfind(b"/") + 1 :], raw))
                    rows = None
                else:
                    rows = []
            self._rows[inner] = rows
        return rows

    def write(self) -> str:
        """Store the folders, the deepest first; gives the id of the root."""
        built = [folder for folder, rows in self._rows.items() if rows is not None and folder]
        for folder in sorted(built, key=lambda folder: -folder.count(b"/")):
            rows = self._rows[folder]
            if rows:
                oid = write_tree(self._repository, rows)
                above, _, name = folder.rpartition(b"/")
                parent = self._rows[above]
                assert parent is not None
                parent.append((FOLDER, name, bytes.fromhex(oid)))
        return write_tree(self._repository, self._rows[b""] or [])
