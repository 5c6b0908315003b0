"""The user's index, read once and never written: versions 2 to 4, stat words, flags and known tree ids."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from cicdctl.errors import GitError

ASSUME_VALID = 0x8000
EXTENDED = 0x4000
STAGE = 0x3000
SKIP_WORKTREE = 0x4000
INTENT_TO_ADD = 0x2000
# An entry is filled up with 1 to 8 NULs to a multiple of 8, so the end of its path says how many there are.
_FILLED = {
    20: rb"(?:\0\0|[^\0]\0|[^\0]{2}\0{8}|[^\0]{3}\0{7}|[^\0]{4}\0{6}|[^\0]{5}\0{5}|[^\0]{6}\0{4}|[^\0]{7}\0{3})",
    32: rb"(?:\0{6}|[^\0]\0{5}|[^\0]{2}\0{4}|[^\0]{3}\0{3}|[^\0]{4}\0{2}|[^\0]{5}\0|[^\0]{6}\0{8}|[^\0]{7}\0{7})",
}
_ENTRIES = {
    size: re.compile(rb"(.{%d})((?:[^\0]{8})*+%s)" % (42 + size, filled), re.DOTALL) for size, filled in _FILLED.items()
}
_MOST_BYTES = 1 << 30


class IndexEntry(NamedTuple):
    """One entry: 40 bytes of stat words, raw object id, flags of the first word, flags of the second."""

    words: bytes
    raw: bytes
    flags: int
    more_flags: int


class IndexFile(NamedTuple):
    """One reading of an index. `stamp_ns` is its own modification time: entries not older are racy.

    `unsupported` names a part that changes the meaning of the entries (split or sparse index), else "".
    `trees` holds the ids of folders (no slash at the end, b"" is the root) whose entries are all in that tree.
    """

    entries: dict[bytes, IndexEntry]
    unmerged: tuple[bytes, ...]
    trees: dict[bytes, bytes]
    stamp_ns: int
    unsupported: str


def read_index(path: Path, *, hash_bytes: int = 20) -> IndexFile:
    """Read an index; a missing one is empty. Raises GitError when it is damaged or of an unknown version."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            data = file.read(_MOST_BYTES)
    except FileNotFoundError:
        return IndexFile({}, (), {}, 0, "")
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
        rows, at = parsed or _parse_slowly(data, count, hash_bytes, version)
        trees, unsupported = _parse_parts(data, at, hash_bytes)
    except (IndexError, ValueError) as error:
        raise GitError(f"{str(path)!r} is damaged", hint="run: rm .git/index && git reset") from error
    entries: dict[bytes, IndexEntry] = {}
    unmerged = []
    for name, entry in rows:
        if entry.flags & STAGE:
            unmerged.append(name)
        else:
            entries[name] = entry
    return IndexFile(entries, tuple(dict.fromkeys(unmerged)), trees, found.st_mtime_ns, unsupported)


def _check_digest(path: Path, data: bytes, hash_bytes: int) -> None:
    # All zeros: written under index.skipHash.
    if data[-hash_bytes:].strip(b"\0"):
        digest = (hashlib.sha1 if hash_bytes == 20 else hashlib.sha256)(memoryview(data)[:-hash_bytes])
        if digest.digest() != data[-hash_bytes:]:
            raise GitError(f"{str(path)!r} is damaged: its digest differs", hint="run: rm .git/index && git reset")


_Rows = list[tuple[bytes, IndexEntry]]


def _parse_quickly(data: bytes, count: int, hash_bytes: int) -> tuple[_Rows, int] | None:
    """Parse entries of version 2 with one expression; None when one needs the slow way."""
    rows: _Rows = []
    end = 40 + hash_bytes
    at = 12
    for match, _ in zip(_ENTRIES[hash_bytes].finditer(data, 12), range(count), strict=False):
        if match.start() != at:
            return None
        head, name = match.groups()
        at = match.end()
        flags = head[end] << 8 | head[end + 1]
        if flags & EXTENDED:
            return None
        rows.append((name.rstrip(b"\0"), IndexEntry(head[:40], head[40:end], flags, 0)))
    return (rows, at) if len(rows) == count else None


def _parse_slowly(data: bytes, count: int, hash_bytes: int, version: int) -> tuple[_Rows, int]:
    rows: _Rows = []
    at = 12
    name = b""
    for _ in range(count):
        start = at
        words = data[at : at + 40]
        raw = data[at + 40 : at + 40 + hash_bytes]
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
        if end < 0 or not name or at > len(data) - hash_bytes:
            raise GitError("the index is damaged: an entry is cut off", hint="run: rm .git/index && git reset")
        rows.append((name, IndexEntry(words, raw, flags, more)))
    return rows, at


def _read_offset(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    value = byte & 0x7F
    while byte & 0x80:
        at += 1
        byte = data[at]
        value = ((value + 1) << 7) | (byte & 0x7F)
    return value, at + 1


def _parse_parts(data: bytes, at: int, hash_bytes: int) -> tuple[dict[bytes, bytes], str]:
    trees: dict[bytes, bytes] = {}
    end = len(data) - hash_bytes
    while at + 8 <= end:
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
        body = data[at + 8 : at + 8 + size]
        at += 8 + size
        if name == b"TREE":
            trees = _parse_trees(body, hash_bytes)
        elif name == b"link":
            # Also written when the shared part is empty; only then it changes nothing.
            if body[:hash_bytes].strip(b"\0"):
                return trees, "a split index"
        elif name == b"sdir":
            return trees, "a sparse index"
        elif not name[:1].isupper():
            return trees, f"the index part {name.decode('ascii', 'replace')!r}"
    return trees, ""


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
