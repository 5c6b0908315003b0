"""The user's index, read once and never written: versions 2 to 4, stat words, flags and known tree ids."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from cicdctl.errors import GitError

ASSUME_VALID = 0x8000
EXTENDED = 0x4000
STAGE = 0x3000
LENGTH = 0x0FFF
SKIP_WORKTREE = 0x4000
INTENT_TO_ADD = 0x2000
_MOST_BYTES = 1 << 30


# 40 bytes of stat words, then the raw object id: one value per entry, since there may be a million.
WORDS_BYTES = 40


class IndexFile(NamedTuple):
    """One reading of an index. `entries` are stat words and raw id by path; `hidden` are the paths git was told
    not to look at, `intended` those it was only told about. `tree_part` is for `read_known_trees`. `stamp_ns` is
    the index's own modification time: entries not older are racy. `unsupported` names a part that changes the
    meaning of the entries (split or sparse index), else "".
    """

    entries: dict[bytes, bytes]
    hidden: frozenset[bytes]
    intended: frozenset[bytes]
    unmerged: tuple[bytes, ...]
    tree_part: bytes
    stamp_ns: int
    unsupported: str


def read_index(path: Path, *, hash_bytes: int = 20) -> IndexFile:
    """Read an index; a missing one is empty. Raises GitError when it is damaged or of an unknown version."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            data = file.read(_MOST_BYTES)
    except FileNotFoundError:
        return IndexFile({}, frozenset(), frozenset(), (), b"", 0, "")
    if data[:4] != b"DIRC" or len(data) < 12 + hash_bytes:
        raise GitError(f"{str(path)!r} is not an index", hint="run: git status")
    version, count = int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big")
    if version not in (2, 3, 4):
        raise GitError(
            f"the index has version {version}, which is not supported", hint="run: git update-index --index-version 4"
        )
    _check_digest(path, data, hash_bytes)
    try:
        parsed = _parse_quickly(data, count, hash_bytes) if version == 2 else None
        entries, odd, at = parsed or _parse_slowly(data, count, hash_bytes, version)
        tree_part, unsupported = _parse_parts(data, at, hash_bytes)
        # The entries of a split index that replace shared ones have no name.
        if b"" in entries and not unsupported:
            raise ValueError("an entry without a name")
    except (IndexError, ValueError) as error:
        raise GitError(f"{str(path)!r} is damaged", hint="run: rm .git/index && git reset") from error
    hidden = frozenset(name for name, flags, more in odd if flags & ASSUME_VALID or more & SKIP_WORKTREE)
    intended = frozenset(name for name, _, more in odd if more & INTENT_TO_ADD)
    unmerged = tuple(dict.fromkeys(name for name, flags, _ in odd if flags & STAGE))
    return IndexFile(entries, hidden, intended, unmerged, tree_part, found.st_mtime_ns, unsupported)


def _check_digest(path: Path, data: bytes, hash_bytes: int) -> None:
    # All zeros: written under index.skipHash.
    if data[-hash_bytes:].strip(b"\0"):
        digest = (hashlib.sha1 if hash_bytes == 20 else hashlib.sha256)(memoryview(data)[:-hash_bytes])
        if digest.digest() != data[-hash_bytes:]:
            raise GitError(f"{str(path)!r} is damaged: its digest differs", hint="run: rm .git/index && git reset")


# (entries by path, those with flags as (path, first flags, second flags), where the entries end)
_Parsed = tuple[dict[bytes, bytes], list[tuple[bytes, int, int]], int]


def _parse_quickly(data: bytes, count: int, hash_bytes: int) -> _Parsed | None:
    """Parse entries of version 2; None when they need the slow way, which finds out what is wrong."""
    entries: dict[bytes, bytes] = {}
    odd: list[tuple[bytes, int, int]] = []
    at, size, last, find = 12, WORDS_BYTES + hash_bytes, len(data) - hash_bytes, data.find
    for _ in range(count):
        stop = find(b"\0", at + size + 2, last)
        if stop < 0:
            return None
        name = data[at + size + 2 : stop]
        entries[name] = data[at : at + size]
        # Flags beside the length of the name are rare.
        if data[at + size] > LENGTH >> 8:
            flags = data[at + size] << 8
            if flags & EXTENDED:
                return None
            odd.append((name, flags, 0))
        # NULs fill an entry up to a multiple of eight bytes.
        at += (stop - at + 8) & ~7
    return (entries, odd, at) if at <= last else None


def _parse_slowly(data: bytes, count: int, hash_bytes: int, version: int) -> _Parsed:
    entries: dict[bytes, bytes] = {}
    odd: list[tuple[bytes, int, int]] = []
    at = 12
    name = b""
    for _ in range(count):
        start = at
        head = data[at : at + 40 + hash_bytes]
        at += 40 + hash_bytes
        flags = int.from_bytes(data[at : at + 2], "big")
        at += 2
        more = 0
        if flags & EXTENDED:
            more = int.from_bytes(data[at : at + 2], "big")
            at += 2
        if version == 4:
            strip, at = _read_offset(data, at)
            end = data.find(b"\0", at)
            name = name[: len(name) - strip] + data[at:end]
            at = end + 1
        else:
            end = data.find(b"\0", at)
            name = data[at:end]
            at = start + ((end - start + 8) & ~7)
        if end < 0 or at > len(data) - hash_bytes:
            raise GitError("the index is damaged: an entry is cut off", hint="run: rm .git/index && git reset")
        entries[name] = head
        if flags & ~LENGTH or more:
            odd.append((name, flags, more))
    return entries, odd, at


def _read_offset(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    value = byte & 0x7F
    while byte & 0x80:
        at += 1
        byte = data[at]
        value = ((value + 1) << 7) | (byte & 0x7F)
    return value, at + 1


def _parse_parts(data: bytes, at: int, hash_bytes: int) -> tuple[bytes, str]:
    tree_part = b""
    end = len(data) - hash_bytes
    while at + 8 <= end:
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
        body = data[at + 8 : at + 8 + size]
        at += 8 + size
        if name == b"TREE":
            tree_part = body
        elif name == b"link":
            # Also written when the shared part is empty; only then it changes nothing.
            if body[:hash_bytes].strip(b"\0"):
                return tree_part, "a split index"
        elif name == b"sdir":
            return tree_part, "a sparse index"
        elif not name[:1].isupper():
            return tree_part, f"the index part {name.decode('ascii', 'replace')!r}"
    return tree_part, ""


def read_root_tree(tree_part: bytes, *, hash_bytes: int = 20) -> bytes | None:
    """Give the raw id of the tree of all entries, None when the index does not know it."""
    line = tree_part.find(b"\n")
    if line < 0 or tree_part[:1] != b"\0" or tree_part[1:2] == b"-" or len(tree_part) < line + 1 + hash_bytes:
        return None
    return tree_part[line + 1 : line + 1 + hash_bytes]


def read_known_trees(tree_part: bytes, *, hash_bytes: int = 20) -> dict[bytes, bytes]:
    """Give raw tree ids by folder (no slash at the end, b"" is the root), for those that hold just its entries."""
    try:
        return _parse_trees(tree_part, hash_bytes)
    except ValueError:
        # It only saves work: without it all trees are made anew.
        return {}


def _parse_trees(body: bytes, hash_bytes: int) -> dict[bytes, bytes]:
    trees: dict[bytes, bytes] = {}
    # (path, folders below it that are still to come)
    stack: list[tuple[bytes, list[int]]] = []
    at = 0
    while at < len(body):
        end = body.index(b"\0", at)
        line = body.index(b"\n", end)
        name = body[at:end]
        count, below = (int(number) for number in body[end + 1 : line].split(b" "))
        at = line + 1
        parent = b""
        if stack:
            parent = stack[-1][0]
            stack[-1][1][0] -= 1
        path = parent + b"/" + name if parent else name
        if count >= 0:
            trees[path] = body[at : at + hash_bytes]
            at += hash_bytes
        stack.append((path, [below]))
        while stack and stack[-1][1][0] == 0:
            stack.pop()
    return trees
