"""Writes a pack of whole objects with its index: two files instead of thousands."""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

# It is read a few times and thrown away.
_COMPRESSION = 1
_NUMBERS = {b"commit": 1, b"tree": 2, b"blob": 3, b"tag": 4}
_LARGE = 1 << 31


class PackedObject(NamedTuple):
    """One object: its id, type such as b"blob", size in bytes, and the content in chunks."""

    oid: str
    kind: bytes
    size: int
    chunks: Iterable[bytes]


def write_pack(folder: Path, count: int, objects: Iterable[PackedObject], *, hash_bytes: int) -> None:
    """Write `count` distinct objects into a new pack in `folder`, version 2 as gitformat-pack(5) lays it down.

    Nothing is a delta: whoever reads it needs no other object. Raises OSError.
    """
    beside = folder / f"tmp_pack_{os.urandom(6).hex()}"
    with beside.open("xb") as file:
        packed = _Hashed(file, hash_bytes)
        packed.write(struct.pack(">4sII", b"PACK", 2, count))
        rows = sorted(_write_object(packed, one) for one in objects)
        checksum = packed.close()
    name = f"pack-{checksum.hex()}"
    beside.chmod(0o444)
    beside.replace(folder / f"{name}.pack")
    with (folder / f"{name}.idx").open("xb") as file:
        index = _Hashed(file, hash_bytes)
        for part in _index_parts(rows):
            index.write(part)
        index.write(checksum)
        index.close()


def _write_object(packed: _Hashed, one: PackedObject) -> tuple[bytes, int, int]:
    """Write one object; return its raw id, the checksum of what was written, and where it begins."""
    offset, crc = packed.size, 0
    for part in _entry_parts(one):
        crc = zlib.crc32(part, crc)
        packed.write(part)
    return bytes.fromhex(one.oid), crc, offset


def _entry_parts(one: PackedObject) -> Iterator[bytes]:
    head, left = (_NUMBERS[one.kind] << 4) | (one.size & 15), one.size >> 4
    words = bytearray()
    while left:
        words.append(head | 0x80)
        head, left = left & 0x7F, left >> 7
    words.append(head)
    yield bytes(words)
    deflate = zlib.compressobj(_COMPRESSION)
    for chunk in one.chunks:
        yield deflate.compress(chunk)
    yield deflate.flush()


def _index_parts(rows: list[tuple[bytes, int, int]]) -> Iterator[bytes]:
    firsts = [0] * 256
    for raw, _, _ in rows:
        firsts[raw[0]] += 1
    total = 0
    yield b"\xfftOc" + struct.pack(">I", 2)
    for count in firsts:
        total += count
        yield struct.pack(">I", total)
    yield from (raw for raw, _, _ in rows)
    yield from (struct.pack(">I", crc) for _, crc, _ in rows)
    large: list[int] = []
    for _, _, offset in rows:
        if offset >= _LARGE:
            yield struct.pack(">I", _LARGE | len(large))
            large.append(offset)
        else:
            yield struct.pack(">I", offset)
    yield from (struct.pack(">Q", offset) for offset in large)


class _Hashed:
    """A file that ends in the digest of what was written to it."""

    def __init__(self, file: IO[bytes], hash_bytes: int) -> None:
        self.size = 0
        self._file = file
        # What git names its objects by, no matter of safety here.
        self._digest = hashlib.sha1(usedforsecurity=False) if hash_bytes == 20 else hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def close(self) -> bytes:
        """Write the digest, and return it."""
        checksum = self._digest.digest()
        self._file.write(checksum)
        return checksum
