"""The files of the blob store: `cas/aa/<sha256>`, 0444, written aside and renamed, never trusted unread."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from cicdctl.errors import StoreError
from cicdctl.store.copying import CHUNK_BYTES, Cloner, copy_chunks, read_all, write_all
from cicdctl.store.quarantine import Quarantine

_HEX = frozenset("0123456789abcdef")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class MissingBlob(StoreError):
    """A blob that is not there, or was damaged and is now in quarantine: a miss, whatever needed it."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"blob '{digest[:80]}' is not in the cache", hint="run again: what made it is then made anew")
        self.digest = digest


class BlobFolder:
    """Single blobs by digest. Any thread; holds no descriptor open."""

    def __init__(self, folder: Path, quarantine: Quarantine) -> None:
        self.folder = folder
        self.quarantine = quarantine
        self.cloner = Cloner()
        self.has_new_folder = True
        self._aside = folder / "tmp"

    def path(self, digest: str) -> str:
        """Return where a blob belongs. Raises MissingBlob for what is no digest, so no text becomes a path."""
        if len(digest) != 64 or not _HEX.issuperset(digest):
            raise MissingBlob(digest)
        return f"{self.folder}/{digest[:2]}/{digest}"

    def open(self, digest: str) -> int:
        """Return a descriptor for reading, content unchecked. Raises MissingBlob."""
        try:
            return os.open(self.path(digest), _READ)
        except OSError as error:
            raise MissingBlob(digest) from error

    def has(self, digest: str, size: int | None = None) -> bool:
        """Whether it is there, in the right length when `size` is given. A power loss can leave short blobs."""
        try:
            facts = os.lstat(self.path(digest))
        except (OSError, MissingBlob):
            return False
        return size is None or facts.st_size == size

    def read(self, digest: str, size: int = CHUNK_BYTES) -> bytes:
        """Return the whole content, checked; `size` is a guess. Raises MissingBlob."""
        descriptor = self.open(digest)
        try:
            data = read_all(descriptor, size)
        except OSError as error:
            raise MissingBlob(digest) from error
        finally:
            os.close(descriptor)
        if hashlib.sha256(data).hexdigest() != digest:
            self.report_damage(digest)
        return data

    def check(self, digest: str, descriptor: int) -> None:
        """Read a blob from its start and compare; leaves the position at the start. Raises MissingBlob."""
        hasher = hashlib.sha256()
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            copy_chunks(descriptor, None, hasher.update)
        except OSError as error:
            raise MissingBlob(digest) from error
        if hasher.hexdigest() != digest:
            self.report_damage(digest)
        os.lseek(descriptor, 0, os.SEEK_SET)

    def report_damage(self, digest: str) -> None:
        """Move a blob whose content is wrong to the quarantine. Always raises MissingBlob."""
        self.quarantine.move(Path(self.path(digest)), f"blob {digest[:12]} in the cache is damaged")
        raise MissingBlob(digest)

    def write(self, digest: str, data: bytes) -> None:
        """Store content whose digest is known. Not yet durable. Raises OSError."""
        descriptor, aside = self.create_aside()
        try:
            write_all(descriptor, data)
        except BaseException:
            Path(aside).unlink()
            raise
        finally:
            os.close(descriptor)
        self.publish(aside, digest)

    def create_aside(self) -> tuple[int, str]:
        """Create a file that nobody reads yet; give it to `publish` or unlink it. Raises OSError."""
        aside = f"{self._aside}/{os.urandom(12).hex()}"
        try:
            return os.open(aside, _CREATE, 0o444), aside
        except FileNotFoundError:
            self._aside.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(aside, _CREATE, 0o444), aside

    def publish(self, aside: str, digest: str) -> None:
        """Rename a complete file to its digest; one that is there already is replaced by its equal."""
        target = Path(self.path(digest))
        try:
            Path(aside).rename(target)
        except FileNotFoundError:
            target.parent.mkdir(mode=0o700, exist_ok=True)
            self.has_new_folder = True
            Path(aside).rename(target)

    def remove(self, digest: str) -> None:
        """Delete a blob; fine when it is gone. Raises OSError."""
        Path(self.path(digest)).unlink(missing_ok=True)

    def scan(self) -> Iterator[tuple[str, int, float]]:
        """Yield (digest, bytes, last use in Unix seconds) of every blob, in no order."""
        for prefix in _names(self.folder):
            if len(prefix) != 2:
                continue
            for name in _names(self.folder / prefix):
                try:
                    facts = os.lstat(self.path(name))
                except (OSError, MissingBlob):
                    continue
                yield name, facts.st_size, facts.st_mtime

    def abandoned(self, before: float) -> list[Path]:
        """List files written aside before this time, whose writers are long dead."""
        paths = [self._aside / name for name in _names(self._aside)]
        return [path for path in paths if path.exists() and path.lstat().st_mtime < before]


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError:
        return []
