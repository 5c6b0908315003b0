"""Objects of a repository by id: packs, loose files and nested alternates; stays right while gc runs."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from cicdctl.errors import GitError
from cicdctl.git.deltas import DamagedDelta
from cicdctl.git.packs import MAX_OBJECT_BYTES, TYPE_NAMES, DamagedPack, Pack, inflate_pieces

# Blobs above this are meant to be read by `stream`.
STREAM_ABOVE_BYTES = 64 << 20
_MOST_ALTERNATES = 64
_LISTINGS = 5
_CHUNK_BYTES = 1 << 20
# How much of a pack a bulk read keeps mapped behind it.
_UNLOAD_BYTES = 16 << 20
_Answer = TypeVar("_Answer")


class MissingObject(GitError):
    """No store of this repository holds the object."""


class ObjectStore:
    """Reads objects. Not thread-safe: one per thread. Close it to unmap the packs."""

    def __init__(self, folder: Path, *, hash_bytes: int = 20, more_folders: Iterable[Path] = ()) -> None:
        self.folder = folder
        self.hash_bytes = hash_bytes
        self._start = [str(folder), *map(str, more_folders)]
        self._folders: list[str] = []
        self._packs: dict[str, Pack] = {}
        self._listed = False

    def read(self, oid: str, limit: int = MAX_OBJECT_BYTES) -> tuple[bytes, bytes]:
        """Give (type, content) of an object; type is b"commit", b"tree", b"blob" or b"tag".

        Raises MissingObject, or GitError when it is damaged or larger than `limit` bytes.
        """

        def from_pack(pack: Pack, offset: int) -> tuple[bytes, bytes]:
            kind, data = pack.read(offset, limit)
            return TYPE_NAMES[kind], data

        return self._look(oid, from_pack, lambda path: _read_loose(path, limit))

    def has(self, oid: str) -> bool:
        """Say whether the object can be found."""
        try:
            return self._look(oid, lambda pack, offset: True, lambda path: Path(path).exists() or None)
        except MissingObject:
            return False

    def kind_and_size(self, oid: str) -> tuple[bytes, int]:
        """Give (type, size in bytes) without reading the content."""

        def from_pack(pack: Pack, offset: int) -> tuple[bytes, int]:
            kind, size = pack.kind_and_size(offset)
            return TYPE_NAMES[kind], size

        return self._look(oid, from_pack, _loose_head)

    def stream(self, oid: str) -> Iterator[bytes]:
        """Yield the content in chunks of at most 1 MB, whatever its size. Raises as `read`."""

        def from_pack(pack: Pack, offset: int) -> Iterator[bytes]:
            pack.kind_and_size(offset)
            return pack.stream(offset)

        chunks = self._look(oid, from_pack, _stream_loose)
        try:
            yield from chunks
        except (DamagedPack, DamagedDelta) as error:
            raise _unreadable(oid, error) from error

    def read_many(self, oids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (oid, content) once for each distinct id, in the order in which the packs hold them.

        The order keeps delta bases hot. Contents above `STREAM_ABOVE_BYTES` are read whole too: ask
        `kind_and_size` first when that matters. Raises as `read`.
        """
        if not self._listed:
            self._list()
        left = {bytes.fromhex(oid) for oid in oids}
        places: list[tuple[Pack, list[tuple[int, bytes]]]] = []
        for pack in self._packs.values():
            try:
                rows = pack.find_many(left)
            except (FileNotFoundError, DamagedPack):
                continue
            left.difference_update(raw for _, raw in rows)
            places.append((pack, rows))
        for pack, rows in places:
            unloaded = 0
            for offset, raw in rows:
                try:
                    data = pack.read(offset)[1]
                except (FileNotFoundError, DamagedPack, DamagedDelta):
                    # gc was faster, or the pack is damaged: another store may hold it.
                    data = self.read(raw.hex())[1]
                yield raw.hex(), data
                if offset - unloaded > _UNLOAD_BYTES:
                    pack.let_go(unloaded := offset)
            pack.let_go()
        for raw in sorted(left):
            yield raw.hex(), self.read(raw.hex())[1]

    def with_prefix(self, prefix: str) -> list[str]:
        """Give each id that begins with `prefix` (four or more hexadecimal digits), sorted."""
        self._list()
        found: set[str] = set()
        for pack in list(self._packs.values()):
            try:
                found.update(pack.names_with_prefix(prefix))
            except FileNotFoundError:
                continue
        for folder in self._folders:
            try:
                names = os.listdir(f"{folder}/{prefix[:2]}")  # noqa: PTH208 - names only
            except OSError:
                continue
            whole = self.hash_bytes * 2 - 2
            found.update(prefix[:2] + name for name in names if len(name) == whole and name.startswith(prefix[2:]))
        return sorted(found)

    def folders(self) -> list[str]:
        """Give the object folders as they are now: our own first, then alternates, those of alternates too."""
        self._list()
        return list(self._folders)

    def _look(
        self, oid: str, from_pack: Callable[[Pack, int], _Answer], from_loose: Callable[[str], _Answer | None]
    ) -> _Answer:
        raw = _raw(oid, self.hash_bytes)
        damage: Exception | None = None
        # A pack that vanishes between two looks means gc: list again. A miss is listed once more too.
        for attempt in range(_LISTINGS):
            if not self._listed or attempt:
                changed = self._list()
                if attempt > 1 and not changed:
                    break
            try:
                for pack in self._packs.values():
                    try:
                        offset = pack.find(raw)
                        if offset is not None:
                            return from_pack(pack, offset)
                    except (DamagedPack, DamagedDelta) as error:
                        damage = error
                for folder in self._folders:
                    answer = from_loose(f"{folder}/{oid[:2]}/{oid[2:]}")
                    if answer is not None:
                        return answer
            except FileNotFoundError:
                continue
            except (DamagedPack, zlib.error) as error:
                damage = error
        if damage is not None:
            raise _unreadable(oid, damage) from damage
        raise MissingObject(f"object {oid} is not in this repository", hint="a shallow or partial clone lacks it")

    def _list(self) -> bool:
        """Look at the folders anew; say whether anything changed. Maps that are open stay open."""
        self._listed = True
        self._folders = _with_alternates(self._start)
        paths: dict[str, float] = {}
        for folder in self._folders:
            try:
                with os.scandir(f"{folder}/pack") as rows:
                    for row in rows:
                        if row.name.endswith(".idx"):
                            paths[row.path] = _modified(row)
            except OSError:
                continue
        before = list(self._packs)
        # Newest first, as git: that is where what people work on lies.
        kept = {path: self._packs.get(path) for path in sorted(paths, key=lambda path: -paths[path])}
        # Packs that are gone are not closed: somebody may be in the middle of reading one.
        self._packs = {path: pack or Pack(path, self.hash_bytes) for path, pack in kept.items()}
        return list(self._packs) != before

    def close(self) -> None:
        """Unmap everything."""
        for pack in self._packs.values():
            pack.close()
        self._packs = {}
        self._listed = False


def _unreadable(oid: str, damage: Exception) -> GitError:
    return GitError(f"object {oid} cannot be read: {damage}", hint="run: git fsck")


def _modified(row: os.DirEntry[str]) -> float:
    try:
        return row.stat().st_mtime
    except OSError:
        return 0.0


def _raw(oid: str, hash_bytes: int) -> bytes:
    try:
        raw = bytes.fromhex(oid)
    except ValueError:
        raw = b""
    if len(raw) != hash_bytes:
        raise GitError(f"{oid!r} is not an object id of this repository")
    return raw


def _with_alternates(start: list[str]) -> list[str]:
    found: dict[str, str] = {}
    todo = [(folder, folder) for folder in reversed(start)]
    while todo and len(found) < _MOST_ALTERNATES:
        folder, base = todo.pop()
        folder = os.path.normpath(os.path.join(base, folder))  # noqa: PTH118
        real = os.path.realpath(folder)
        if real in found:
            continue
        found[real] = folder
        try:
            text = Path(folder, "info", "alternates").read_bytes()
        except OSError:
            continue
        lines = [line for line in text.split(b"\n") if line and not line.startswith(b"#")]
        todo += [(os.fsdecode(_unquote(line)), folder) for line in reversed(lines)]
    return list(found.values())


def _unquote(line: bytes) -> bytes:
    if not (len(line) > 1 and line.startswith(b'"') and line.endswith(b'"')):
        return line
    return line[1:-1].decode("unicode_escape").encode("latin-1")


def _read_loose(path: str, limit: int) -> tuple[bytes, bytes] | None:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            packed = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    inflate = zlib.decompressobj()
    head = inflate.decompress(packed, 256)
    kind, size, start = _parse_head(path, head)
    if size > limit:
        raise GitError(f"an object of {size} bytes is above the limit of {limit} bytes")
    data = head[start:]
    if not inflate.eof and len(data) <= size:
        data += inflate.decompress(inflate.unconsumed_tail, size - len(data) + 1)
    if len(data) != size:
        raise DamagedPack(f"{path}: another size than declared")
    return kind, data


def _parse_head(path: str, head: bytes) -> tuple[bytes, int, int]:
    end = head.find(b"\0", 0, 64)
    kind, _, size = head[: max(end, 0)].partition(b" ")
    if end < 0 or kind not in (b"blob", b"tree", b"commit", b"tag") or not size.isdigit():
        raise DamagedPack(f"{path}: not an object")
    return kind, int(size), end + 1


def _loose_head(path: str) -> tuple[bytes, int] | None:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            head = zlib.decompressobj().decompress(file.read(256), 64)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _parse_head(path, head)[:2]


def _stream_loose(path: str) -> Iterator[bytes] | None:
    try:
        file = open(path, "rb", buffering=0)  # noqa: PTH123
    except (FileNotFoundError, NotADirectoryError):
        return None

    def chunks() -> Iterator[bytes]:
        with file:
            packed = iter(lambda: file.read(_CHUNK_BYTES), b"")
            size, given = -1, 0
            try:
                for chunk in inflate_pieces(packed):
                    if size < 0:
                        _, size, start = _parse_head(path, chunk)
                        chunk = chunk[start:]
                    given += len(chunk)
                    if given > size:
                        break
                    yield chunk
            except zlib.error as error:
                raise DamagedPack(f"{path}: {error}") from error
            if given != size:
                raise DamagedPack(f"{path}: another size than declared")

    return chunks()
