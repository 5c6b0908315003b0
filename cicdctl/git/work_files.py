"""Single files of the working tree: read while nobody changes them, stored as blobs unless they need converting."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from cicdctl.errors import GitError
from cicdctl.git.attributes import Attributes, State
from cicdctl.git.commit import store_pieces, write_object
from cicdctl.git.ignore import read_small
from cicdctl.git.index_file import WORDS_BYTES, IndexFile
from cicdctl.git.names import show_path
from cicdctl.git.trees import LINK

if TYPE_CHECKING:
    from cicdctl.git.repository import Repository

_TRIES = 3
_WHOLE_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 20


class StoredFile(NamedTuple):
    """What one file is in git. `conversion` names why its bytes are not simply the blob; then `raw` is not stored."""

    mode: int
    raw: bytes
    conversion: str


class Conversions:
    """Which files git would convert while adding them, from attributes and configuration."""

    def __init__(self, repository: Repository, root: bytes, index: IndexFile) -> None:
        self._repository = repository
        self._root = root
        self._index = index
        self._attributes: Attributes | None = None
        self._why: dict[bytes, str] = {}
        self._auto = repository.settings.text("core.autocrlf").lower() not in ("", "false", "no", "off", "0")

    def why(self, path: bytes) -> str:
        """Say which path needs which conversion."""
        return f"{show_path(path)} has {self._why[path]}"

    def needed(self, path: bytes, has_crlf: bool, has_id: bool) -> str:
        """Name the conversion that adding this file would apply; "" when the blob is the file."""
        states = self._states(path)
        reason = self._filter(states)
        encoding = states.get("working-tree-encoding")
        if isinstance(encoding, str) and encoding.lower().replace("-", "") != "utf8":
            reason = reason or f"working-tree-encoding={encoding}"
        if has_id and states.get("ident") is True:
            reason = reason or "ident"
        if has_crlf and not reason:
            reason = self._line_ends(states)
        if reason:
            self._why[path] = reason
        return reason

    def _filter(self, states: dict[str, State]) -> str:
        name = states.get("filter")
        if not isinstance(name, str):
            return ""
        settings = self._repository.settings
        used = settings.text(f"filter.{name}.clean") or settings.text(f"filter.{name}.process")
        return f"filter={name}" if used or settings.is_true(f"filter.{name}.required") else ""

    def _line_ends(self, states: dict[str, State]) -> str:
        text = states.get("text")
        if text is None:
            text = states.get("crlf")
        if text is False:
            return ""
        if text is not None:
            return "text" if text is True else f"text={text}"
        if "eol" in states and states["eol"] in ("lf", "crlf"):
            return f"eol={states['eol']}"
        return "core.autocrlf" if self._auto else ""

    def _states(self, path: bytes) -> dict[str, State]:
        if self._attributes is None:
            settings = self._repository.settings
            own = settings.path("core.attributesfile")
            info = read_small(self._repository.common_dir / "info" / "attributes")
            weak = read_small(own) if own else None
            self._attributes = Attributes(self._read, extra=[info] if info else [], weak=[weak] if weak else [])
        return self._attributes.conversion(path)

    def _read(self, folder: bytes) -> bytes | None:
        path = folder + b"/.gitattributes" if folder else b".gitattributes"
        found = read_small(self._root + b"/" + path, follow=False)
        if found is not None:
            return found
        # git falls back to the index for a file that is not checked out.
        entry = self._index.entries.get(path)
        end = WORDS_BYTES + self._repository.hash_bytes
        return self._repository.objects.read(entry[WORDS_BYTES:end].hex())[1] if entry else None


def store_changed(
    repository: Repository, root: bytes, path: bytes, mode: int, conversions: Conversions, known: bytes
) -> StoredFile | None:
    """Store one file or link as a blob; None when it is gone. `known` is an id that needs no storing.

    Raises GitError when the file changes each of the three times it is read.
    """
    place = root + b"/" + path
    for _ in range(_TRIES):
        try:
            if mode == LINK:
                data = os.readlink(place)  # noqa: PTH115 - bytes
                return StoredFile(LINK, _store(repository, data, known), "")
            stored = _store_file(repository, place, path, mode, conversions, known)
        except FileNotFoundError:
            return None
        except OSError as error:
            if os.path.islink(place) or not os.path.lexists(place):  # noqa: PTH114 - bytes
                mode = LINK
                continue
            raise GitError(f"cannot read {show_path(path)}: {error.strerror}") from error
        if stored is not None:
            return stored
    raise GitError(f"{show_path(path)} changes while it is read", hint="wait until it is written, then run again")


def _store_file(
    repository: Repository, place: bytes, path: bytes, mode: int, conversions: Conversions, known: bytes
) -> StoredFile | None:
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return None
        if before.st_size > _WHOLE_BYTES:
            return _store_large(repository, descriptor, before, path, mode, conversions)
        data = file.read()
        if _stamp(os.fstat(descriptor)) != _stamp(before) or len(data) != before.st_size:
            return None
    conversion = conversions.needed(path, b"\r\n" in data, b"$Id" in data)
    if conversion:
        return StoredFile(mode, b"", conversion)
    return StoredFile(mode, _store(repository, data, known), "")


def _store(repository: Repository, data: bytes, known: bytes) -> bytes:
    from cicdctl.git.commit import hash_object

    raw = bytes.fromhex(hash_object(b"blob", data, repository.hash_bytes))
    if raw != known:
        write_object(repository, b"blob", data)
    return raw


def _store_large(
    repository: Repository,
    descriptor: int,
    before: os.stat_result,
    path: bytes,
    mode: int,
    conversions: Conversions,
) -> StoredFile | None:
    """Hash first and store in a second reading: no more than 1 MB of it is ever in memory."""
    head = b"blob %d\0" % before.st_size
    digest = (hashlib.sha1 if repository.hash_bytes == 20 else hashlib.sha256)(head)
    has_crlf = has_id = False
    tail = b""
    for chunk in _chunks(descriptor):
        digest.update(chunk)
        seam = tail + chunk
        has_crlf = has_crlf or b"\r\n" in seam
        has_id = has_id or b"$Id" in seam
        tail = chunk[-2:]
    if _stamp(os.fstat(descriptor)) != _stamp(before):
        return None
    conversion = conversions.needed(path, has_crlf, has_id)
    if conversion:
        return StoredFile(mode, b"", conversion)
    if not repository.objects.has(digest.hexdigest()):
        check = (hashlib.sha1 if repository.hash_bytes == 20 else hashlib.sha256)()

        def pieces() -> Iterator[bytes]:
            check.update(head)
            yield head
            for chunk in _chunks(descriptor):
                check.update(chunk)
                yield chunk
            if check.digest() != digest.digest():
                raise _Moved

        try:
            store_pieces(repository, digest.hexdigest(), pieces())
        except _Moved:
            return None
    return StoredFile(mode, digest.digest(), "")


class _Moved(Exception):
    """The file changed between its two readings."""


def _chunks(descriptor: int) -> Iterator[bytes]:
    at = 0
    while chunk := os.pread(descriptor, _CHUNK_BYTES, at):
        at += len(chunk)
        yield chunk


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
