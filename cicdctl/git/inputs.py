"""The input digest: what a stage reads, as one value that equal content always shares."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from cicdctl.git.globs import Globs
from cicdctl.git.trees import FOLDER, ReadTree, TreeEntry, check_rows, parse_tree


def matching(read_tree: ReadTree, tree: str, globs: Globs, *, hash_bytes: int = 20) -> Iterator[TreeEntry]:
    """Yield the entries that the globs select, in index order; opens only subtrees that can hold some."""
    stack = [check_rows(parse_tree(read_tree(tree), hash_bytes), b"")]
    matches, can_hold = globs.matches, globs.can_hold
    while stack:
        for mode, path, raw in stack[-1]:
            if mode == FOLDER:
                if can_hold(path):
                    stack.append(check_rows(parse_tree(read_tree(raw.hex()), hash_bytes), path + b"/"))
                    break
            elif matches(path):
                yield TreeEntry(path, mode, raw.hex())
        else:
            stack.pop()


def digest_rows(entries: Iterable[TreeEntry]) -> str:
    """Digest (path, mode, id) rows, sorted by the bytes of the path: "rows:<sha256>"."""
    digest = hashlib.sha256(b"cicdctl input rows 1\n")
    for path, mode, oid in sorted(entries):
        digest.update(b"%06o %s %s\0" % (mode, oid.encode(), path))
    return "rows:" + digest.hexdigest()
