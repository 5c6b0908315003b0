"""The blob store: artifacts, logs and other large bytes by their sha256, checked whenever they are read."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from cicdctl.errors import StoreError
from cicdctl.model import Artifact
from cicdctl.store.blob_folder import BlobFolder, MissingBlob
from cicdctl.store.copying import copy_chunks, sync_all
from cicdctl.store.folders import make_private_folder
from cicdctl.store.pins import Pins
from cicdctl.store.quarantine import Quarantine

__all__ = ["BlobStore", "MissingBlob"]

_MANIFEST_START = b'[{"path":'


class BlobStore:
    """Blobs below `<cache folder>/cas`. Any thread. What was added or restored is safe from eviction until `close`.

    Damage is a MissingBlob for the caller and a line in `warnings` for people.
    """

    def __init__(self, folder: Path, *, warnings: list[str] | None = None) -> None:
        """`folder` is the cache folder; nothing is created before the first blob."""
        self.warnings: list[str] = [] if warnings is None else warnings
        self.folder = folder
        self.added_bytes = 0
        self.files = BlobFolder(folder / "cas", Quarantine(folder / "quarantine", self.warnings))
        self.pins = Pins(folder / "pins")
        self._lock = threading.Lock()

    def add_bytes(self, data: bytes) -> str:
        """Store `data` durably; return its digest. Raises StoreError."""
        digest = hashlib.sha256(data).hexdigest()
        with self._adding():
            self.pin((digest,))
            if not self.files.has(digest, len(data)):
                self.files.write(digest, data)
                self._make_durable((digest,))
                self.added_bytes += len(data)
        return digest

    def add_file(self, path: Path) -> tuple[str, int]:
        """Store a copy of a regular file durably; return digest and bytes. A link is refused. Raises StoreError."""
        from cicdctl.store.collect import store_file

        with self._adding():
            source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                digest, size, is_new = store_file(self.files, source)
            finally:
                os.close(source)
            self.pin((digest,))
            if is_new:
                self._make_durable((digest,))
                self.added_bytes += size
        return digest, size

    def add_tree(
        self, root: Path, matches: Callable[[bytes], bool], *, globs: Sequence[str] = ()
    ) -> tuple[Artifact, ...]:
        """Store every file, link and empty folder below `root` that matches, durably; sorted by path.

        `matches` gets paths relative to `root`; `globs`, when given, spare the walk. `.git` folders are
        passed over. Raises StoreError.
        """
        from cicdctl.store.collect import collect

        with self._adding():
            artifacts, written = collect(self.files, root, matches, globs=globs)
            self.pin(artifact.digest for artifact in artifacts if artifact.digest)
            new = set(written)
            if artifacts:
                # Its manifest is asked for next: together they cost one wait for the disk.
                data = _encode_manifest(artifacts)
                manifest = hashlib.sha256(data).hexdigest()
                self.pin((manifest,))
                if not self.files.has(manifest, len(data)):
                    self.files.write(manifest, data)
                    written.append(manifest)
            self._make_durable(written)
            self.added_bytes += sum(artifact.size_bytes for artifact in artifacts if artifact.digest in new)
        return tuple(artifacts)

    collect = add_tree

    def add_manifest(self, artifacts: Sequence[Artifact]) -> str | None:
        """Store the list itself, sorted by path; equal artifacts give an equal digest. None when there are none."""
        if not artifacts:
            return None
        return self.add_bytes(_encode_manifest(artifacts))

    def read_manifest(self, digest: str) -> tuple[Artifact, ...]:
        """Return the artifacts a manifest lists. Raises MissingBlob."""
        artifacts = self.list_manifest(digest)
        self.pin(artifact.digest for artifact in artifacts if artifact.digest)
        return artifacts

    def list_manifest(self, digest: str) -> tuple[Artifact, ...]:
        """Return the artifacts a manifest lists, pinning nothing: only to be shown. Raises MissingBlob."""
        return _decode_manifest(digest, self.read(digest))

    def peek_manifest(self, digest: str) -> frozenset[str]:
        """Return the digests that a manifest lists, pinning nothing; none for what is no manifest."""
        try:
            # Any blob may be asked about, also a log of a gigabyte.
            descriptor = self.files.open(digest)
            try:
                if os.read(descriptor, len(_MANIFEST_START)) != _MANIFEST_START:
                    return frozenset()
            finally:
                os.close(descriptor)
            return frozenset(one.digest for one in self.list_manifest(digest) if one.digest)
        except MissingBlob:
            return frozenset()

    def link_in(self, path: Path, digest: str | None = None) -> str:
        """Make a closed file of our own, such as a log, a blob by a hard link, or a copy where that is impossible.

        With its `digest` known the content is not read again. The file becomes read-only. The link may
        be lost in a power loss; the file itself was made durable by its owner. Raises StoreError.
        """
        if digest is None:
            digest = _digest_of(path)
        with self._adding():
            self.pin((digest,))
            size = path.lstat().st_size
            if self.files.has(digest, size):
                return digest
            if not self._link(path, digest):
                try:
                    descriptor = _open_plain(path)
                except OSError as error:
                    raise StoreError(f'cannot keep "{path}": {error.strerror}') from error
                try:
                    return self._copy_in(descriptor)
                finally:
                    os.close(descriptor)
            self.added_bytes += size
        return digest

    def has(self, digest: str) -> bool:
        """Whether it is there; its content is only checked when it is read."""
        return self.files.has(digest)

    def read(self, digest: str) -> bytes:
        """Return the content, checked. Raises MissingBlob."""
        return self.files.read(digest)

    def open(self, digest: str) -> BinaryIO:
        """Open for reading, after the whole content was checked. Raises MissingBlob."""
        descriptor = self.files.open(digest)
        try:
            self.files.check(digest, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return os.fdopen(descriptor, "rb")

    def restore(self, artifacts: Sequence[Artifact], root: Path) -> None:
        """Lay artifacts down below `root`, see `cicdctl.store.restore`. Raises MissingBlob or StoreError."""
        from cicdctl.store.restore import restore

        with self._adding():
            self.pin(artifact.digest for artifact in artifacts if artifact.digest)
        restore(self.files, artifacts, root)

    def pin(self, names: Iterable[str]) -> None:
        """Keep keys or digests from eviction until `close`. A folder that cannot be written pins nothing."""
        with self._lock:
            self.pins.pin(names)

    def close(self) -> None:
        """Let eviction have what this process used."""
        with self._lock:
            self.pins.close()

    @contextmanager
    def _adding(self) -> Iterator[None]:
        """Hold off eviction, so that what is found to be there stays; translate what the disk says."""
        try:
            make_private_folder(self.folder)
            with self.pins.using():
                yield
        except OSError as error:
            raise StoreError(
                f"cannot store in '{self.folder}': {error.strerror}", hint="see that the disk has room and is writable"
            ) from error

    def _link(self, path: Path, digest: str) -> bool:
        target = Path(self.files.path(digest))
        try:
            # Never through a link: a stage may have put one in the place of its log.
            descriptor = _open_plain(path)
            try:
                os.fchmod(descriptor, 0o444)
            finally:
                os.close(descriptor)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            os.link(path, target, follow_symlinks=False)
        except OSError:
            return False
        return True

    def _copy_in(self, source: int) -> str:
        from cicdctl.store.collect import store_file

        digest, size, is_new = store_file(self.files, source)
        if is_new:
            self._make_durable((digest,))
            self.added_bytes += size
        return digest

    def _make_durable(self, digests: Sequence[str]) -> None:
        if not digests:
            return
        paths = [self.files.path(digest) for digest in digests]
        # Of many, one call syncs the whole file system, with the names in every folder.
        folders = {os.path.dirname(path) for path in paths}  # noqa: PTH120 - paths are plain text here
        if self.files.has_new_folder:
            folders |= {str(self.files.folder), str(self.folder)}
            self.files.has_new_folder = False
        sync_all([*paths, *folders])


def _open_plain(path: Path) -> int:
    """Open a regular file, and nothing else that may have been put in its place. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor


def _digest_of(path: Path) -> str:
    hasher = hashlib.sha256()
    try:
        descriptor = _open_plain(path)
        try:
            copy_chunks(descriptor, None, hasher.update)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(f"cannot read '{path}': {error.strerror}") from error
    return hasher.hexdigest()


def _encode_manifest(artifacts: Sequence[Artifact]) -> bytes:
    return msgspec.json.encode(sorted(artifacts, key=lambda one: one.path))


def _decode_manifest(digest: str, data: bytes) -> tuple[Artifact, ...]:
    try:
        return msgspec.json.decode(data, type=tuple[Artifact, ...])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise MissingBlob(digest) from error
