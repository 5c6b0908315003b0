"""What a stage left in a worktree: compared with our own copy of the index, and undone."""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cicdctl.git.checkout import Written, change_files
from cicdctl.git.folders import FOLDER_FLAGS, FOLDER_MODE, Folders, Trash, allow_owner, split_path
from cicdctl.git.repository import Repository
from cicdctl.git.trees import FILE, LINK, MODULE, PROGRAM
from cicdctl.git.worktree_index import WorktreeIndex

# What we wrote, as the file system says it and as git does; any other mode is a change.
_PLAIN_MODES = {0o100644: FILE, 0o100755: PROGRAM, 0o120777: LINK}
# The stat words of a head that are compared. The other four (mtime, owner, group) cannot change without ctime.
_WORDS = struct.Struct(">II8xIII8xI").unpack_from
_BILLION = 1_000_000_000
_LOW = 0xFFFFFFFF
# Third byte of the mode word of a submodule's entry.
_MODULE_BYTE = MODULE >> 8


class Leftovers(NamedTuple):
    """Paths that are not as they were written. Untracked folders, even ignored ones, are one row each."""

    untracked: tuple[bytes, ...]
    changed: tuple[bytes, ...]  # tracked: edited, replaced or missing

    @property
    def paths(self) -> tuple[bytes, ...]:
        """All of them, each once, sorted."""
        return tuple(sorted({*self.untracked, *self.changed}))


def scan(root: Path, index: WorktreeIndex) -> Leftovers:
    """Compare every file with the stat words of its index entry, and find what is not in the index.

    Permissions of tracked folders are put back on the way. Nobody else may use the worktree meanwhile.
    Raises OSError when `root` is no folder any more.
    """
    return _Scan(index).run(root)


class _Scan:
    def __init__(self, index: WorktreeIndex) -> None:
        self.entries = index.entries()
        self.folders = index.trees().keys() or _folders_of(self.entries)
        self.untracked: list[bytes] = []
        self.changed: list[bytes] = []
        self.seen: list[bytes] = []

    def run(self, root: Path) -> Leftovers:
        stack: list[tuple[int, bytes, list[bytes]]] = []
        try:
            at = os.open(root, FOLDER_FLAGS)
            stack.append((at, b"", []))
            stack[-1][2].extend(self._look(at, b""))
            while stack:
                at, prefix, below = stack[-1]
                if not below:
                    os.close(stack.pop()[0])
                    continue
                name = below.pop()
                inside = _enter(name, at)
                path = prefix + name + b"/"
                stack.append((inside, path, []))
                stack[-1][2].extend(self._look(inside, path))
        finally:
            for at, _, _ in stack:
                os.close(at)
        missing = self.entries.keys() - set(self.seen) if len(self.seen) < len(self.entries) else ()
        return Leftovers(tuple(sorted(self.untracked)), tuple(sorted((*self.changed, *missing))))

    def _look(self, at: int, prefix: bytes) -> list[bytes]:
        """Compare the files of one open folder; give the names of tracked folders in it.

        The loop runs once per file of the repository: what could be a function is written out.
        """
        if os.fstat(at).st_mode & 0o7777 != FOLDER_MODE:
            os.fchmod(at, FOLDER_MODE)
        below: list[bytes] = []
        entry_of, saw, words_of, mode_of = self.entries.get, self.seen.append, _WORDS, _PLAIN_MODES.get
        encoding, errors = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
        with os.scandir(at) as rows:
            for row in rows:
                name = row.name.encode(encoding, errors)
                path = prefix + name
                head = entry_of(path)
                if head is not None:
                    saw(path)
                    if head[26] == _MODULE_BYTE:
                        self._look_at_module(at, name, path)
                        continue
                    found = row.stat(follow_symlinks=False)
                    seconds, ns, device, inode, mode, size = words_of(head)
                    if (
                        seconds * _BILLION + ns != found.st_ctime_ns
                        or inode != found.st_ino & _LOW
                        or mode != mode_of(found.st_mode)
                        or size != found.st_size & _LOW
                        or device != found.st_dev & _LOW
                    ):
                        self.changed.append(path)
                elif path in self.folders and row.is_dir(follow_symlinks=False):
                    below.append(name)
                elif path != b".git":
                    self.untracked.append(path)
        return below

    def _look_at_module(self, at: int, name: bytes, path: bytes) -> None:
        try:
            inside = _enter(name, at)
        except OSError:
            self.changed.append(path)
            return
        try:
            if os.fstat(inside).st_mode & 0o7777 != FOLDER_MODE:
                os.fchmod(inside, FOLDER_MODE)
            self.untracked += [path + b"/" + os.fsencode(below) for below in os.listdir(inside)]  # noqa: PTH208 - a descriptor
        finally:
            os.close(inside)


def restore(
    repository: Repository,
    root: Path,
    index: WorktreeIndex,
    found: Leftovers,
    trash: Trash,
    *,
    keep_untracked: bool = False,
) -> Written:
    """Undo what `scan` found: delete the untracked (unless kept), write the changed anew, never through a link.

    Raises GitError or OSError when that fails; the worktree is then not clean.
    """
    if found.untracked and not keep_untracked:
        with Folders(root, trash) as folders:
            for path in found.untracked:
                folder, name = split_path(path)
                folders.clear(folders.find(folder), name)
    if not found.changed:
        return Written(index, 0)
    entries = index.entries()
    new = {path: (int.from_bytes(entries[path][24:28], "big"), entries[path][40:]) for path in found.changed}
    gone = {path: entry for path, entry in new.items() if entry[0] != MODULE}
    return change_files(repository, root, index, gone, new, {}, trash)


def _folders_of(entries: Iterable[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for path in entries:
        end = path.rfind(b"/")
        while end > 0 and (folder := path[:end]) not in found:
            found.add(folder)
            end = folder.rfind(b"/")
    return found


def _enter(name: bytes, at: int) -> int:
    try:
        return os.open(name, FOLDER_FLAGS, dir_fd=at)
    except OSError as error:
        if error.errno != errno.EACCES:
            raise
    allow_owner(name, at)
    return os.open(name, FOLDER_FLAGS, dir_fd=at)
