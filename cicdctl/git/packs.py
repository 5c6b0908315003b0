"""One pack file and its index, mapped into memory: still readable after gc has unlinked them."""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections import OrderedDict
from collections.abc import Collection, Iterator
from pathlib import Path

from cicdctl.errors import GitError
from cicdctl.git.deltas import apply_delta, delta_sizes

TYPE_NAMES = {1: b"commit", 2: b"tree", 3: b"blob", 4: b"tag"}
OFS_DELTA, REF_DELTA = 6, 7
# Objects that are kept in memory whole; larger blobs are read by `stream`.
MAX_OBJECT_BYTES = 1 << 30
BASE_CACHE_BYTES = 64 << 20
# Below this size a bomb inflates to 66 MB at most, so the one-call inflate is safe.
_QUICK_INFLATE_BYTES = 64 << 10
_CHUNK_BYTES = 1 << 20
# Pages of a file that is mapped for reading come back when they are read again.
_UNLOAD: int | None = getattr(mmap, "MADV_DONTNEED", None)
# So many times the entries wanted a pack may have for `find_many` to look at each name.
_SCAN_FACTOR = 8


class DamagedPack(Exception):
    """The bytes of a pack or index contradict themselves; the message says where."""


class Pack:
    """Entries of one pack by raw id. Opens its files when first asked; raises FileNotFoundError when gc was faster."""

    def __init__(self, index_path: str, hash_bytes: int) -> None:
        self.index_path = index_path
        self._hash_bytes = hash_bytes
        self._index: mmap.mmap | None = None
        self._pack: mmap.mmap | None = None
        self._view: memoryview | None = None
        self._fanout: tuple[int, ...] = ()
        self._names_at = self._offsets_at = self._stride = self._name_skip = 0
        # The oldest of a plain dict is found only after every removed place before it.
        self._bases: OrderedDict[int, tuple[int, bytes]] = OrderedDict()
        self._bases_bytes = 0
        self._has_deltas = False  # until one is met nothing is kept as a base

    def find(self, raw: bytes) -> int | None:
        """Give the offset of the entry named `raw`, or None."""
        index = self._index or self._open_index()
        first = raw[0]
        low = self._fanout[first - 1] if first else 0
        high = self._fanout[first]
        stride, start, width = self._stride, self._names_at + self._name_skip, self._hash_bytes
        while low < high:
            middle = (low + high) >> 1
            at = start + middle * stride
            name = index[at : at + width]
            if name < raw:
                low = middle + 1
            elif name > raw:
                high = middle
            else:
                return self._offset(index, middle)
        return None

    def find_many(self, wanted: Collection[bytes]) -> list[tuple[int, bytes]]:
        """Give (offset, raw id) of those of a set of ids that are here, by offset."""
        index = self._index or self._open_index()
        count, width = self._fanout[255], self._hash_bytes
        if self._name_skip or count > _SCAN_FACTOR * len(wanted):
            places = ((self.find(raw), raw) for raw in wanted)
            return sorted((offset, raw) for offset, raw in places if offset is not None)
        # One look at every name is cheaper than a search for each that is wanted.
        names = index[self._names_at : self._names_at + count * width]
        starts = range(0, len(names), width)
        rows = [(at // width, name) for at in starts if (name := names[at : at + width]) in wanted]
        return sorted((self._offset(index, row), name) for row, name in rows)

    def names_with_prefix(self, prefix_hex: str) -> Iterator[str]:
        """Yield each id that begins with these (two or more) hexadecimal digits."""
        index = self._index or self._open_index()
        first = int(prefix_hex[:2], 16)
        low = self._fanout[first - 1] if first else 0
        for row in range(low, self._fanout[first]):
            at = self._names_at + self._name_skip + row * self._stride
            name = index[at : at + self._hash_bytes].hex()
            if name.startswith(prefix_hex):
                yield name

    def _offset(self, index: mmap.mmap, row: int) -> int:
        if self._name_skip:
            at = self._names_at + row * self._stride
            return int.from_bytes(index[at : at + 4], "big")
        at = self._offsets_at + row * 4
        offset = int.from_bytes(index[at : at + 4], "big")
        if offset & 0x80000000:
            at = self._offsets_at + self._fanout[255] * 4 + (offset & 0x7FFFFFFF) * 8
            offset = int.from_bytes(index[at : at + 8], "big")
        return offset

    def _open_index(self) -> mmap.mmap:
        index = _map(self.index_path)
        version_2 = index[:8] == b"\xfftOc\x00\x00\x00\x02"
        if index[:4] == b"\xfftOc" and not version_2:
            raise GitError(f"pack index {self.index_path!r} has a version that is not supported")
        width = self._hash_bytes
        head = 8 if version_2 else 0
        if len(index) < head + 1024:
            raise DamagedPack(f"{self.index_path}: too short")
        self._fanout = struct.unpack_from(">256I", index, head)
        count = self._fanout[255]
        if any(a > b for a, b in zip(self._fanout, self._fanout[1:], strict=False)):
            raise DamagedPack(f"{self.index_path}: fan-out table is not sorted")
        self._names_at = head + 1024
        # Version 1 rows are (offset, name); version 2 keeps names, checksums and offsets in columns.
        self._name_skip = 0 if version_2 else 4
        self._stride = width + self._name_skip
        self._offsets_at = self._names_at + count * (width + 4)
        least = self._names_at + count * ((width + 8) if version_2 else (width + 4)) + 2 * width
        if len(index) < least:
            raise DamagedPack(f"{self.index_path}: too short for {count} entries")
        self._index = index
        return index

    def _open_pack(self) -> memoryview:
        path = self.index_path[:-4] + ".pack"
        pack = _map(path)
        if len(pack) < 12 + self._hash_bytes or pack[:4] != b"PACK" or pack[4:8] not in (b"\0\0\0\2", b"\0\0\0\3"):
            raise DamagedPack(f"{path}: not a pack of version 2")
        self._pack = pack
        self._view = memoryview(pack)
        return self._view

    def read(self, offset: int, limit: int = MAX_OBJECT_BYTES) -> tuple[int, bytes]:
        """Give (type number, content) of the entry at `offset`; follows delta chains with a loop.

        Raises GitError when a size above `limit` bytes is declared, before anything is allocated.
        """
        bases = self._bases
        found = bases.get(offset)
        if found is not None:
            return found
        chain: list[tuple[int, bytes]] = []
        at = offset
        while True:
            kind, size, body, base = self._entry(at)
            if size > limit:
                raise GitError(f"an object of {size} bytes is above the limit of {limit} bytes")
            data = self._inflate(body, size)
            if base is None:
                break
            if delta_sizes(data)[1] > limit:
                raise GitError(f"an object of {delta_sizes(data)[1]} bytes is above the limit of {limit} bytes")
            chain.append((at, data))
            if len(chain) > 10_000:
                raise DamagedPack(f"{self.index_path}: endless delta chain")
            at = base
            found = bases.get(at)
            if found is not None:
                kind, data = found
                break
        if chain:
            self._has_deltas = True
        if found is None and self._has_deltas:
            self._remember(at, kind, data)
        for at, delta in reversed(chain):
            data = apply_delta(data, delta)
            self._remember(at, kind, data)
        if kind not in TYPE_NAMES:
            raise DamagedPack(f"{self.index_path}: unknown object type {kind}")
        return kind, data

    def _remember(self, offset: int, kind: int, data: bytes) -> None:
        size = len(data)
        if size > BASE_CACHE_BYTES >> 2:
            return
        self._bases[offset] = (kind, data)
        self._bases_bytes += size + 100
        while self._bases_bytes > BASE_CACHE_BYTES:
            _, (_, oldest) = self._bases.popitem(last=False)
            self._bases_bytes -= len(oldest) + 100

    def kind_and_size(self, offset: int) -> tuple[int, int]:
        """Give (type number, content size in bytes) without reading the content."""
        kind, size, body, base = self._entry(offset)
        if base is not None:
            view = self._view or self._open_pack()
            head = zlib.decompressobj().decompress(view[body : body + 512], 32)
            size = delta_sizes(head)[1]
        steps = 0
        while base is not None:
            kind, _, _, base = self._entry(base)
            steps += 1
            if steps > 10_000:
                raise DamagedPack(f"{self.index_path}: endless delta chain")
        return kind, size

    def stream(self, offset: int) -> Iterator[bytes]:
        """Yield the content in chunks of at most 1 MB; entries that are deltas are built in memory first."""
        _, size, body, base = self._entry(offset)
        if base is not None:
            data = self.read(offset, limit=4 * MAX_OBJECT_BYTES)[1]
            for at in range(0, len(data), _CHUNK_BYTES):
                yield data[at : at + _CHUNK_BYTES]
            return
        view = self._view or self._open_pack()
        pieces = (bytes(view[at : at + _CHUNK_BYTES]) for at in range(body, len(view), _CHUNK_BYTES))
        given = 0
        try:
            for chunk in inflate_pieces(pieces):
                given += len(chunk)
                if given > size:
                    break
                yield chunk
        except zlib.error as error:
            raise DamagedPack(f"{self.index_path}: {error}") from error
        if given != size:
            raise DamagedPack(f"{self.index_path}: entry at {offset} has another size than declared")

    def _entry(self, offset: int) -> tuple[int, int, int, int | None]:
        """Parse an entry's head: (type, declared size, where the zlib stream begins, offset of its delta base)."""
        view = self._view or self._open_pack()
        try:
            byte = view[offset]
            at = offset + 1
            kind = (byte >> 4) & 7
            size = byte & 15
            shift = 4
            while byte & 0x80:
                byte = view[at]
                at += 1
                size |= (byte & 0x7F) << shift
                shift += 7
            if kind == OFS_DELTA:
                byte = view[at]
                at += 1
                back = byte & 0x7F
                while byte & 0x80:
                    byte = view[at]
                    at += 1
                    back = ((back + 1) << 7) | (byte & 0x7F)
                if not 0 < back <= offset:
                    raise DamagedPack(f"{self.index_path}: a delta base lies outside the pack")
                return kind, size, at, offset - back
        except IndexError:
            raise DamagedPack(f"{self.index_path}: entry at {offset} is cut off") from None
        if kind == REF_DELTA:
            base = self.find(bytes(view[at : at + self._hash_bytes]))
            if base is None:
                raise DamagedPack(f"{self.index_path}: a delta base is missing")
            return kind, size, at + self._hash_bytes, base
        return kind, size, at, None

    def _inflate(self, at: int, size: int) -> bytes:
        view = self._view
        assert view is not None
        # zlib's own bound for the compressed size; a wasteful stream takes the loop below.
        end = at + size + (size >> 8) + 64
        try:
            if size <= _QUICK_INFLATE_BYTES:
                try:
                    data = zlib.decompress(view[at:end], 15, size or 1)
                except zlib.error:
                    data = _inflate_rest(view, at, size)
            else:
                data = _inflate_rest(view, at, size)
        except zlib.error as error:
            raise DamagedPack(f"{self.index_path}: {error}") from error
        if len(data) != size:
            raise DamagedPack(f"{self.index_path}: entry has another size than declared")
        return data

    def let_go(self, end: int | None = None) -> None:
        """Unload what was read of the pack before the offset `end`: it counts as our memory. None: all, bases too."""
        if end is None:
            self._bases.clear()
            self._bases_bytes = 0
        if self._pack is not None and _UNLOAD is not None:
            size = len(self._pack) if end is None else end // mmap.PAGESIZE * mmap.PAGESIZE
            if size:
                self._pack.madvise(_UNLOAD, 0, size)

    def close(self) -> None:
        """Unmap both files."""
        self._bases.clear()
        if self._view is not None:
            self._view.release()
            self._view = None
        for opened in (self._pack, self._index):
            if opened is not None:
                opened.close()
        self._pack = self._index = None


def _inflate_rest(view: memoryview, at: int, size: int) -> bytes:
    inflate = zlib.decompressobj()
    parts = []
    room = size + 1
    while not inflate.eof and room > 0 and at < len(view):
        end = at + max(room + (room >> 8) + 64, 1 << 12)
        part = inflate.decompress(view[at:end], room)
        parts.append(part)
        room -= len(part)
        at = end
        if inflate.unconsumed_tail:
            part = inflate.decompress(inflate.unconsumed_tail, max(room, 1))
            parts.append(part)
            room -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def inflate_pieces(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of one zlib stream in chunks of at most 1 MB; what follows the stream is ignored."""
    inflate = zlib.decompressobj()
    for piece in pieces:
        while not inflate.eof:
            chunk = inflate.decompress(piece, _CHUNK_BYTES)
            if chunk:
                yield chunk
            piece = inflate.unconsumed_tail
            # A full chunk may leave output behind although all input is taken.
            if not piece and len(chunk) < _CHUNK_BYTES:
                break
        if inflate.eof:
            return


def _map(path: str | Path) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    except ValueError as error:
        raise DamagedPack(f"{path}: empty") from error
    finally:
        os.close(descriptor)
