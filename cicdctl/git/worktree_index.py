"""The index of a slot: version 2 with full stat data and the TREE part, as `git worktree add` leaves it."""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Iterable, Mapping

from cicdctl.errors import GitError

_pack_words = struct.Struct(">10I").pack
NO_WORDS = bytes(24)

_TREES = {size: re.compile(rb"([^\0]*)\0(-?\d+) (\d+)\n(.{%d})" % size, re.DOTALL) for size in (20, 32)}


def stat_words(found: os.stat_result, mode: int) -> bytes:
    """Pack the ten words git keeps of one file; `mode` is git's, not the file's.

    ctime in nanoseconds, inode, owner and size: no unprivileged process can fake them all.
    """
    changed, modified = found.st_ctime_ns, found.st_mtime_ns
    return _pack_words(
        changed // 1_000_000_000 & 0xFFFFFFFF,
        changed % 1_000_000_000,
        modified // 1_000_000_000 & 0xFFFFFFFF,
        modified % 1_000_000_000,
        found.st_dev & 0xFFFFFFFF,
        found.st_ino & 0xFFFFFFFF,
        mode,
        found.st_uid,
        found.st_gid,
        found.st_size & 0xFFFFFFFF,
    )


def submodule_words() -> bytes:
    """The words of a submodule: only its mode; git does not look at the rest."""
    return NO_WORDS + struct.pack(">4I", 0o160000, 0, 0, 0)


class WorktreeIndex:
    """One index as bytes; parsed only when somebody asks for all entries. Immutable."""

    def __init__(self, data: bytes, id_bytes: int) -> None:
        self.data = data
        self.id_bytes = id_bytes
        self._entries: dict[bytes, bytes] | None = None

    def entries(self) -> dict[bytes, bytes]:
        """Each path with the head of its entry: 40 bytes of stat words, then the object id, in index order.

        Raises GitError when the bytes are no index we wrote.
        """
        if self._entries is None:
            self._entries = self._parse()
        return self._entries

    def _parse(self) -> dict[bytes, bytes]:
        data, at, end = self.data, 12, _tree_start(self.data, self.id_bytes)
        size, find = 40 + self.id_bytes, data.find
        found: dict[bytes, bytes] = {}
        while at < end:
            # Head (stat words, object id), two bytes of flags, the path, NULs up to a multiple of eight bytes.
            stop = find(b"\0", at + size + 2, end)
            if stop < 0:
                break
            found[data[at + size + 2 : stop]] = data[at : at + size]
            at += (stop - at + 8) & ~7
        if at != end or len(found) != struct.unpack_from(">I", data, 8)[0] or data[:8] != b"DIRC\0\0\0\2":
            raise GitError("the index of a worktree is damaged")
        return found

    def trees(self) -> dict[bytes, bytes]:
        """Each folder ("" is the root) with the id of its tree, from the TREE part."""
        start = _tree_start(self.data, self.id_bytes)
        if start >= len(self.data) - self.id_bytes:
            return {}
        size = struct.unpack_from(">I", self.data, start + 4)[0]
        found: dict[bytes, bytes] = {}
        open_folders: list[list[bytes | int]] = []
        for match in _TREES[self.id_bytes].finditer(self.data, start + 8, start + 8 + size):
            name, _count, below, tree = match.groups()
            while open_folders and not open_folders[-1][1]:
                open_folders.pop()
            path = name
            if open_folders:
                parent = open_folders[-1]
                parent[1] -= 1  # type: ignore[operator]
                path = parent[0] + name if not parent[0] else parent[0] + b"/" + name  # type: ignore[operator]
            found[path] = tree
            open_folders.append([path, int(below)])
        return found

    @property
    def checksum(self) -> str:
        """The hash git keeps at the end, in hexadecimal digits."""
        return self.data[-self.id_bytes :].hex()

    def is_intact(self) -> bool:
        """Whether the checksum at the end is right."""
        body, checksum = self.data[: -self.id_bytes], self.data[-self.id_bytes :]
        return len(self.data) > 12 + self.id_bytes and _hash(body, self.id_bytes) == checksum

    def with_words(
        self, changed: Mapping[bytes, bytes], before: Mapping[bytes, bytes], trees: Mapping[bytes, bytes]
    ) -> WorktreeIndex | None:
        """Splice new heads (40 + id bytes) into existing entries and new ids into existing folders.

        `before` gives the raw id an entry has now, where that is not the new one. None when a path or folder
        is not found: then the index must be built anew.
        """
        data = bytearray(self.data)
        end, position = _tree_start(self.data, self.id_bytes), 12
        for path in sorted(changed):
            raw = before.get(path) or changed[path][40:]
            # With the id in front: a short path alone is easily found in the stat words of another entry.
            needle = raw + struct.pack(">H", min(len(path), 0xFFF)) + path + b"\0"
            position = self.data.find(needle, position + 40, end) - 40
            if position < 12:
                return None
            data[position : position + len(changed[path])] = changed[path]
        if trees and not self._splice_trees(data, trees):
            return None
        data[-self.id_bytes :] = _hash(memoryview(data)[: -self.id_bytes], self.id_bytes)
        return WorktreeIndex(bytes(data), self.id_bytes)

    def _splice_trees(self, data: bytearray, trees: Mapping[bytes, bytes]) -> bool:
        start = _tree_start(self.data, self.id_bytes)
        if start >= len(self.data) - self.id_bytes:
            return False
        known = self.trees()
        for folder, tree in trees.items():
            if folder not in known:
                return False
            known[folder] = tree
        size = struct.unpack_from(">I", self.data, start + 4)[0]
        matches = _TREES[self.id_bytes].finditer(self.data, start + 8, start + 8 + size)
        for match, tree in zip(matches, known.values(), strict=True):
            data[match.start(4) : match.end(4)] = tree
        return True


def build_index(entries: Iterable[tuple[bytes, bytes]], trees: Mapping[bytes, bytes], id_bytes: int) -> WorktreeIndex:
    """Write an index from (path, head) pairs in index order; `trees` maps every folder to its tree id."""
    parts: list[bytes] = [b""]
    counts: dict[bytes, int] = {}
    known: dict[bytes, bytes] = {}
    base = 42 + id_bytes
    for path, head in entries:
        size = len(path)
        parts.append(head)
        parts.append(struct.pack(">H", size if size < 0xFFF else 0xFFF))
        parts.append(path)
        parts.append(bytes(8 - (base + size) % 8))
        folder = _parent(path)
        counts[folder] = counts.get(folder, 0) + 1
        known[path] = head
    parts[0] = b"DIRC" + struct.pack(">II", 2, len(known))
    if trees:
        part = _tree_part(counts, trees)
        parts.append(b"TREE" + struct.pack(">I", len(part)) + part)
    body = b"".join(parts)
    index = WorktreeIndex(body + _hash(body, id_bytes), id_bytes)
    index._entries = known
    return index


def _tree_part(counts: Mapping[bytes, int], trees: Mapping[bytes, bytes]) -> bytes:
    """Folders in depth-first order, each with the number of all entries below it; -1 where no id is known."""
    below: dict[bytes, list[bytes]] = {b"": []}
    totals: dict[bytes, int] = {}
    for folder, count in counts.items():
        path = folder
        while True:
            totals[path] = totals.get(path, 0) + count
            if not path:
                break
            parent = _parent(path)
            if path not in below:
                below[path] = []
                below.setdefault(parent, [])
            path = parent
    for path in below:
        if path:
            below[_parent(path)].append(path)
    rows: list[bytes] = []
    pending = [b""]
    while pending:
        folder = pending.pop()
        # git's own order: shorter names first.
        children = sorted(below[folder], key=lambda path: (len(path), path), reverse=True)
        pending += children
        name = folder[folder.rfind(b"/") + 1 :]
        tree = trees.get(folder)
        rows.append(b"%s\0%d %d\n%s" % (name, totals.get(folder, 0) if tree else -1, len(children), tree or b""))
    return b"".join(rows)


def _parent(path: bytes) -> bytes:
    return path[: max(path.rfind(b"/"), 0)]


def _tree_start(data: bytes, id_bytes: int) -> int:
    """Where the entries end: at the TREE part, or at the checksum. Only right for an index written here."""
    where = data.rfind(b"TREE")
    while where > 0:
        size = struct.unpack_from(">I", data, where + 4)[0] if where + 8 <= len(data) else -1
        if len(data) - where - 8 - size == id_bytes and where % 8 == 4:
            return where
        where = data.rfind(b"TREE", 0, where)
    return len(data) - id_bytes


def _hash(data: bytes | memoryview, id_bytes: int) -> bytes:
    return (hashlib.sha1(data, usedforsecurity=False) if id_bytes == 20 else hashlib.sha256(data)).digest()
