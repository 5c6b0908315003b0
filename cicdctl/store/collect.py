"""Gathers what a stage left: matching files become blobs, hashed while they are copied, links never followed."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cicdctl.errors import StoreError
from cicdctl.model import Artifact
from cicdctl.store.artifact_paths import MAX_DEPTH, check_path, is_git_folder
from cicdctl.store.blob_folder import BlobFolder
from cicdctl.store.copying import CHUNK_BYTES, copy_chunks, read_all
from cicdctl.store.folder_stack import FolderStack, open_root

MAX_MEMBERS = 100_000
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FILES_PER_THREAD = 100
_MAX_THREADS = 4


def collect(
    blobs: BlobFolder, root: Path, matches: Callable[[bytes], bool], *, globs: Sequence[str] = ()
) -> tuple[list[Artifact], list[str]]:
    """Store what matches below `root`; return it sorted by path, and the digests that were written anew.

    `globs` are what `matches` was made of: they only spare the walk folders in which nothing can match.
    Nothing is durable yet. Raises StoreError for a refused path, too many members or a full disk.
    """
    descriptor = open_root(root)
    try:
        found = find_paths(descriptor, matches, globs)
        workers = _in_threads(blobs, descriptor, found)
    except OSError as error:
        raise StoreError(f"cannot collect artifacts of '{root}': {error.strerror}") from error
    finally:
        os.close(descriptor)
    artifacts = sorted((artifact for worker in workers for artifact in worker.artifacts), key=lambda one: one.path)
    return artifacts, [digest for worker in workers for digest in worker.written]


def literal_folders(globs: Sequence[str]) -> list[bytes]:
    """Return the folders in which all matches of `globs` lie, from their literal beginnings; b"" is the root."""
    folders: set[bytes] = set()
    for glob in globs:
        if glob.startswith("!"):
            continue
        parts = glob.lstrip("/").split("/") if "/" in glob.rstrip("/") else [""]
        literal: list[str] = []
        for part in parts[:-1]:
            if not part or any(letter in part for letter in "*?[\\"):
                break
            literal.append(part)
        folders.add("/".join(literal).encode("utf-8", "surrogateescape"))
    if not folders or b"" in folders:
        return [b""]
    return sorted(one for one in folders if not any(one.startswith(other + b"/") for other in folders))


def find_paths(root: int, matches: Callable[[bytes], bool], globs: Sequence[str]) -> list[tuple[bytes, bool]]:
    """Return (path, is an empty folder), in the order of the walk."""
    found: list[tuple[bytes, bool]] = []
    for start in literal_folders(globs):
        parts = tuple(start.split(b"/")) if start else ()
        try:
            with FolderStack(root) as stack:
                for path, is_folder in _walk(os.dup(stack.enter(parts, create=False)), start, len(parts)):
                    if matches(path):
                        found.append((path, is_folder))
                        if len(found) > MAX_MEMBERS:
                            raise StoreError(f"more than {MAX_MEMBERS} artifacts", hint="leave an archive instead")
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found


def _walk(descriptor: int, prefix: bytes, depth: int) -> Iterator[tuple[bytes, bool]]:
    """Yield all files and links and the empty folders below; owns `descriptor`."""
    try:
        with os.scandir(descriptor) as entries:
            rows = sorted((os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries)
        if not rows and prefix:
            yield prefix, True
        for name, is_folder in rows:
            path = prefix + b"/" + name if prefix else name
            if is_git_folder(name):
                continue
            if not is_folder:
                yield path, False
                continue
            if depth >= MAX_DEPTH:
                raise StoreError(f"folders deeper than {MAX_DEPTH} among the artifacts")
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            yield from _walk(os.open(name, flags, dir_fd=descriptor), path, depth + 1)
    finally:
        os.close(descriptor)


def _in_threads(blobs: BlobFolder, root: int, found: list[tuple[bytes, bool]]) -> list[_Worker]:
    count = max(1, min(_MAX_THREADS, os.cpu_count() or 1, len(found) // _FILES_PER_THREAD))
    size = max(1, -(-len(found) // count))
    workers = [_Worker(blobs, root, found[at : at + size]) for at in range(0, len(found), size)]
    threads = [threading.Thread(target=worker.work) for worker in workers[1:]]
    for thread in threads:
        thread.start()
    for worker in workers[:1]:
        worker.work()
    for thread in threads:
        thread.join()
    for worker in workers:
        if worker.error is not None:
            raise worker.error
    return workers


class _Worker:
    """Turns a part of what was found into blobs."""

    def __init__(self, blobs: BlobFolder, root: int, found: list[tuple[bytes, bool]]) -> None:
        self._blobs = blobs
        self._root = root
        self._found = found
        self.artifacts: list[Artifact] = []
        self.written: list[str] = []
        self.error: OSError | StoreError | None = None

    def work(self) -> None:
        """Never raises; `error` holds what went wrong."""
        try:
            with FolderStack(self._root) as stack:
                for path, is_folder in self._found:
                    parts = check_path(path)
                    if is_folder:
                        self.artifacts.append(Artifact(path=path, mode=0o040000))
                    else:
                        self._take(path, parts[-1], stack.enter(parts[:-1], create=False))
        except (OSError, StoreError) as error:
            self.error = error

    def _take(self, path: bytes, name: bytes, folder: int) -> None:
        kind = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISLNK(kind):
            target = os.readlink(name, dir_fd=folder)
            self._add(path, 0o120000, self._store(target), len(target))
        elif stat.S_ISREG(kind):
            self._take_file(path, os.open(name, _OPEN, dir_fd=folder))
        else:
            shown = path.decode("utf-8", "backslashreplace")
            self._blobs.quarantine.warn(f"artifact '{shown}' is neither file, link nor folder: left out")

    def _take_file(self, path: bytes, source: int) -> None:
        try:
            facts = os.fstat(source)
            mode = 0o100755 if facts.st_mode & stat.S_IXUSR else 0o100644
            if facts.st_size > CHUNK_BYTES:
                digest, size = self._store_large(source)
            else:
                data = read_all(source, facts.st_size)
                digest, size = self._store(data), len(data)
        finally:
            os.close(source)
        self._add(path, mode, digest, size)

    def _add(self, path: bytes, mode: int, digest: str, size: int) -> None:
        self.artifacts.append(Artifact(path=path, mode=mode, digest=digest, size_bytes=size))

    def _store(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        if not self._blobs.has(digest, len(data)):
            self._blobs.write(digest, data)
            self.written.append(digest)
        return digest

    def _store_large(self, source: int) -> tuple[str, int]:
        digest, size, is_new = store_file(self._blobs, source)
        if is_new:
            self.written.append(digest)
        return digest, size


def store_file(blobs: BlobFolder, source: int) -> tuple[str, int, bool]:
    """Make a blob of all that can be read from `source`; return digest, bytes, whether it is new. Raises OSError."""
    target, aside = blobs.create_aside()
    hasher = hashlib.sha256()
    try:
        # What is hashed is what is stored, even when somebody writes to the source meanwhile.
        if blobs.cloner.clone(source, target):
            size = _hash_aside(aside, hasher.update)
        else:
            size = copy_chunks(source, target, hasher.update)
        digest = hasher.hexdigest()
        is_new = not blobs.has(digest, size)
        if is_new:
            blobs.publish(aside, digest)
        else:
            Path(aside).unlink()
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    finally:
        os.close(target)
    return digest, size, is_new


def _hash_aside(aside: str, update: Callable[[bytes], object]) -> int:
    descriptor = os.open(aside, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return copy_chunks(descriptor, None, update)
    finally:
        os.close(descriptor)
