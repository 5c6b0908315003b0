"""The packed-refs file: read once per change, one ref found by bisecting its bytes."""

from __future__ import annotations

import os
from pathlib import Path


class PackedRefs:
    """Refs of one packed-refs file. Every look-up stats the file first, so it is never stale."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, ...] = ()
        self._data = b""
        self._start = 0
        self._sorted = False
        self._rows: dict[str, str] | None = None

    def _refresh(self) -> None:
        try:
            stat = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._stamp, self._data, self._start, self._rows = (), b"", 0, None
            return
        stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        if stamp == self._stamp:
            return
        with self._path.open("rb") as file:
            stat = os.fstat(file.fileno())
            self._data = file.read()
        self._stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        head, newline, _ = self._data.partition(b"\n")
        is_head = head.startswith(b"#")
        self._sorted = is_head and b" sorted" in head
        self._start = len(head) + len(newline) if is_head else 0
        self._rows = None

    def get(self, name: str) -> str | None:
        """Give the object id of one ref, or None."""
        self._refresh()
        if not self._sorted:
            return self._parsed().get(name)
        wanted = name.encode("utf-8", "surrogateescape")
        at = self._lower_bound(wanted)
        end = self._data.find(b"\n", at)
        oid, _, found = self._data[at : end if end >= 0 else None].partition(b" ")
        return oid.decode() if found.rstrip(b"\r") == wanted else None

    def _lower_bound(self, wanted: bytes) -> int:
        """Where the first line begins whose name is not below `wanted`."""
        data = self._data
        low, high = self._start, len(data)
        while low < high:
            middle = (low + high) >> 1
            begin = data.rfind(b"\n", self._start, middle) + 1 or self._start
            # A peeled line belongs to the ref above it.
            while data[begin : begin + 1] == b"^" and begin > self._start:
                begin = data.rfind(b"\n", self._start, begin - 1) + 1 or self._start
            end = data.find(b"\n", begin)
            end = len(data) if end < 0 else end
            if data[begin:end].partition(b" ")[2] < wanted:
                low = end + 1
                while data[low : low + 1] == b"^":
                    next_line = data.find(b"\n", low)
                    low = len(data) if next_line < 0 else next_line + 1
            else:
                high = begin
        return low

    def _parsed(self) -> dict[str, str]:
        if self._rows is None:
            self._rows = {}
            for line in self._data[self._start :].decode("utf-8", "surrogateescape").split("\n"):
                oid, _, name = line.rstrip("\r").partition(" ")
                if name and not line.startswith(("#", "^")):
                    self._rows[name] = oid
        return self._rows

    def below(self, prefix: str) -> dict[str, str]:
        """Give the refs whose names begin with `prefix`."""
        self._refresh()
        return {name: oid for name, oid in self._parsed().items() if name.startswith(prefix)}

    def without(self, name: str) -> bytes:
        """Give the content of the file without one ref and the peeled line below it."""
        self._refresh()
        ending = b" " + name.encode("utf-8", "surrogateescape")
        kept = []
        dropping = False
        for line in self._data.splitlines(keepends=True):
            if not line.startswith(b"^"):
                dropping = not line.startswith(b"#") and line.rstrip(b"\r\n").endswith(ending)
            if not dropping:
                kept.append(line)
        return b"".join(kept)
