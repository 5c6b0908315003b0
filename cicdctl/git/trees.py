"""Trees: parsed by one regular expression, walked in index order, compared by opening only what differs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from cicdctl.errors import GitError
from cicdctl.git.names import MAX_PATH_BYTES, check_name, refuse_name

FOLDER = 0o040000
FILE = 0o100644
PROGRAM = 0o100755
LINK = 0o120000
MODULE = 0o160000
MAX_TREE_BYTES = 64 << 20
_MODES = {b"40000": FOLDER, b"100644": FILE, b"100755": PROGRAM, b"120000": LINK, b"160000": MODULE}
_ROWS = {
    20: re.compile(rb"([0-7]{5,6}) ([^\0/]+)\0(.{20})", re.DOTALL),
    32: re.compile(rb"([0-7]{5,6}) ([^\0/]+)\0(.{32})", re.DOTALL),
}

# Gives the bytes of a tree by its id; raises GitError.
ReadTree = Callable[[str], bytes]
# (mode, name, raw id)
Row = tuple[int, bytes, bytes]


class TreeEntry(NamedTuple):
    """One file, link or submodule of a tree: whole path, git mode, object id in hexadecimal digits."""

    path: bytes
    mode: int
    oid: str


def parse_tree(data: bytes, hash_bytes: int = 20) -> list[Row]:
    """Read the rows of a tree in their order. Raises GitError when it is malformed or a name repeats.

    Modes of old trees are reduced to the five git writes today.
    """
    rows = _ROWS[hash_bytes].findall(data)
    length = 0
    parsed = []
    for mode, name, raw in rows:
        length += len(mode) + len(name) + 2 + hash_bytes
        parsed.append((_MODES.get(mode) or _reduce(mode), name, raw))
    if length != len(data):
        raise GitError("a tree is malformed")
    if len({row[1] for row in parsed}) != len(parsed):
        raise GitError("a tree holds a name twice")
    return parsed


def _reduce(mode: bytes) -> int:
    number = int(mode, 8)
    kind = number & 0o170000
    if kind == 0o100000:
        return PROGRAM if number & 0o100 else FILE
    if kind in (FOLDER, LINK, MODULE):
        return kind
    raise GitError(f"a tree holds the unknown mode {number:o}")


def walk(read_tree: ReadTree, tree: str, *, hash_bytes: int = 20, prefix: bytes = b"") -> Iterator[TreeEntry]:
    """Yield each entry that is not a folder, below `prefix`, in index order.

    Raises GitError for names that must never reach a disk, and for paths above 4,095 bytes.
    """
    stack = [_checked_rows(read_tree, tree, hash_bytes, prefix)]
    while stack:
        for mode, path, raw in stack[-1]:
            if mode == FOLDER:
                stack.append(_checked_rows(read_tree, raw.hex(), hash_bytes, path + b"/"))
                break
            yield TreeEntry(path, mode, raw.hex())
        else:
            stack.pop()


def _checked_rows(read_tree: ReadTree, tree: str, hash_bytes: int, prefix: bytes) -> Iterator[Row]:
    if len(prefix) > MAX_PATH_BYTES:
        raise refuse_name(prefix[:100] + b"...", "longer than 4,095 bytes")
    return check_rows(parse_tree(read_tree(tree), hash_bytes), prefix)


def check_rows(rows: list[Row], prefix: bytes) -> Iterator[Row]:
    """Yield rows with whole paths instead of names; raises GitError at the first that is refused."""
    for mode, name, raw in rows:
        reason = check_name(name, mode)
        path = prefix + name
        if reason or len(path) > MAX_PATH_BYTES:
            raise refuse_name(path, reason or "longer than 4,095 bytes")
        yield mode, path, raw


def changed_entries(
    read_tree: ReadTree, old: str | None, new: str | None, *, hash_bytes: int = 20
) -> Iterator[tuple[bytes, TreeEntry | None, TreeEntry | None]]:
    """Yield (path, entry before, entry after) for each path that differs; None where it does not exist.

    Only subtrees whose ids differ are opened. Paths come in the byte order of their folders' names; where a
    folder became a file (or the reverse) what goes comes before what comes.
    """
    stack = [_differing_rows(read_tree, old, new, hash_bytes, b"")]
    while stack:
        for path, before, after in stack[-1]:
            old_tree = before[1].hex() if before and before[0] == FOLDER else None
            new_tree = after[1].hex() if after and after[0] == FOLDER else None
            old_entry = TreeEntry(path, before[0], before[1].hex()) if before and not old_tree else None
            new_entry = TreeEntry(path, after[0], after[1].hex()) if after and not new_tree else None
            if old_entry is not None and (new_entry is not None or new_tree is None):
                yield path, old_entry, new_entry
            elif old_entry is not None:
                yield path, old_entry, None
            elif new_entry is not None and old_tree is None:
                yield path, None, new_entry
            if old_tree is None and new_tree is None:
                continue
            if new_entry is not None:
                # The folder's files go first: its name becomes the file's.
                stack.append(iter([(path, None, (new_entry.mode, bytes.fromhex(new_entry.oid)))]))
            stack.append(_differing_rows(read_tree, old_tree, new_tree, hash_bytes, path + b"/"))
            break
        else:
            stack.pop()


_Change = tuple[bytes, "tuple[int, bytes] | None", "tuple[int, bytes] | None"]


def _differing_rows(
    read_tree: ReadTree, old: str | None, new: str | None, hash_bytes: int, prefix: bytes
) -> Iterator[_Change]:
    if old == new:
        return iter(())
    if len(prefix) > MAX_PATH_BYTES:
        raise refuse_name(prefix[:100] + b"...", "longer than 4,095 bytes")
    before = set(parse_tree(read_tree(old), hash_bytes)) if old else set()
    after = set(parse_tree(read_tree(new), hash_bytes)) if new else set()
    both: dict[bytes, list[tuple[int, bytes] | None]] = {}
    for mode, path, raw in check_rows(list(before - after), prefix):
        both[path] = [(mode, raw), None]
    for mode, path, raw in check_rows(list(after - before), prefix):
        both.setdefault(path, [None, None])[1] = (mode, raw)
    return iter([(path, pair[0], pair[1]) for path, pair in sorted(both.items())])
