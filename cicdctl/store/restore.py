"""Lays artifacts down in a worktree: every byte checked, no link followed, no blob shared with the stage."""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

from cicdctl.errors import StoreError
from cicdctl.model import Artifact
from cicdctl.store.artifact_paths import check_path
from cicdctl.store.blob_folder import BlobFolder, MissingBlob
from cicdctl.store.copying import CHUNK_BYTES, copy_chunks, read_all, write_all
from cicdctl.store.folder_stack import FolderStack, open_root

FILE, PROGRAM, LINK, FOLDER = 0o100644, 0o100755, 0o120000, 0o040000
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# A thread costs as much as about fifty files.
_FILES_PER_THREAD = 100
_MAX_THREADS = 4

_Row = tuple[tuple[bytes, ...], Artifact]


def restore(blobs: BlobFolder, artifacts: Sequence[Artifact], root: Path) -> None:
    """Write `artifacts` below `root`; a later one replaces an earlier one of the same path.

    Files, links and empty folders that are there are replaced. Links come last and may lead anywhere:
    they are never followed. Raises MissingBlob, and StoreError for a refused path or a full disk; what
    was written by then stays.
    """
    rows = _plan(artifacts)
    files = [row for row in rows if row[1].mode != LINK]
    links = [row for row in rows if row[1].mode == LINK]
    descriptor = open_root(root)
    try:
        _in_threads(blobs, files, descriptor)
        _lay_down(blobs, links, descriptor, [])
    except OSError as error:
        raise StoreError(
            f"cannot restore artifacts in '{root}': {error.strerror}", hint="see that the disk has room"
        ) from error
    finally:
        os.close(descriptor)


def _plan(artifacts: Sequence[Artifact]) -> list[_Row]:
    """Check everything before anything is written; later ones win; sorted by path."""
    chosen = {artifact.path: artifact for artifact in artifacts}
    rows = sorted((check_path(path), artifact) for path, artifact in chosen.items() if _is_known(artifact))
    for (before, artifact), (parts, _) in itertools.pairwise(rows):
        if artifact.mode != FOLDER and parts[: len(before)] == before:
            shown = artifact.path.decode("utf-8", "backslashreplace")
            raise StoreError(f"artifact '{shown}' is a file and a folder at once")
    return rows


def _is_known(artifact: Artifact) -> bool:
    if artifact.mode not in (FILE, PROGRAM, LINK, FOLDER):
        raise StoreError(f"artifact with unknown mode {artifact.mode:o}")
    return True


def _in_threads(blobs: BlobFolder, rows: list[_Row], root: int) -> None:
    count = max(1, min(_MAX_THREADS, os.cpu_count() or 1, len(rows) // _FILES_PER_THREAD))
    errors: list[BaseException] = []
    size = -(-len(rows) // count) if rows else 1
    slices = [rows[at : at + size] for at in range(0, len(rows), size)]
    threads = [threading.Thread(target=_guarded, args=(blobs, part, root, errors)) for part in slices[1:]]
    for thread in threads:
        thread.start()
    if slices:
        _guarded(blobs, slices[0], root, errors)
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _guarded(blobs: BlobFolder, rows: list[_Row], root: int, errors: list[BaseException]) -> None:
    try:
        _lay_down(blobs, rows, root, errors)
    except (OSError, StoreError) as error:
        errors.append(error)


def _lay_down(blobs: BlobFolder, rows: list[_Row], root: int, errors: list[BaseException]) -> None:
    writer = _FileWriter(blobs)
    with FolderStack(root) as stack:
        for parts, artifact in rows:
            if errors:
                return
            if artifact.mode == FOLDER:
                stack.enter(parts, create=True)
                continue
            folder = stack.enter(parts[:-1], create=True)
            if artifact.mode == LINK:
                _write_link(blobs, artifact, parts[-1], folder)
            else:
                writer.write(artifact, parts[-1], folder)


def _write_link(blobs: BlobFolder, artifact: Artifact, name: bytes, folder: int) -> None:
    target = blobs.read(artifact.digest, artifact.size_bytes)
    _remove(name, folder)
    os.symlink(target, name, dir_fd=folder)


class _FileWriter:
    """Writes regular files, each first as a name that was not there."""

    def __init__(self, blobs: BlobFolder) -> None:
        self._blobs = blobs
        self._exact: set[int] = set()

    def write(self, artifact: Artifact, name: bytes, folder: int) -> None:
        """Create `name` in `folder` with the content of the blob; removed again when that is damaged."""
        mode = artifact.mode & 0o777
        source = self._blobs.open(artifact.digest)
        try:
            data = read_all(source, artifact.size_bytes) if artifact.size_bytes <= CHUNK_BYTES else None
            if data is not None and hashlib.sha256(data).hexdigest() != artifact.digest:
                self._blobs.report_damage(artifact.digest)
            target = _create(name, folder, mode)
            try:
                self._set_mode(target, mode)
                if data is None:
                    self._copy_large(artifact.digest, source, target)
                else:
                    write_all(target, data)
            except MissingBlob:
                os.unlink(name, dir_fd=folder)
                raise
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _copy_large(self, digest: str, source: int, target: int) -> None:
        if self._blobs.cloner.clone(source, target):
            self._blobs.check(digest, source)
            return
        hasher = hashlib.sha256()
        copy_chunks(source, target, hasher.update)
        if hasher.hexdigest() != digest:
            self._blobs.report_damage(digest)

    def _set_mode(self, target: int, mode: int) -> None:
        # The umask may have taken bits away. It does not change meanwhile, so one look per mode is enough.
        if mode in self._exact:
            return
        if stat.S_IMODE(os.fstat(target).st_mode) == mode:
            self._exact.add(mode)
        else:
            os.fchmod(target, mode)


def _create(name: bytes, folder: int, mode: int) -> int:
    try:
        return os.open(name, _CREATE, mode, dir_fd=folder)
    except FileExistsError:
        _remove(name, folder)
        return os.open(name, _CREATE, mode, dir_fd=folder)


def _remove(name: bytes, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        # macOS answers EPERM for a folder. Only an empty one may go.
        os.rmdir(name, dir_fd=folder)
