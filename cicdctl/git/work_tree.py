"""One look at the user's working tree: what differs from the index by its stat words, and what is untracked."""

from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING

from cicdctl.git.ignore import IgnoreRules, read_small
from cicdctl.git.index_file import ASSUME_VALID, SKIP_WORKTREE, IndexEntry, IndexFile
from cicdctl.git.names import check_name, show_path
from cicdctl.git.trees import FILE, LINK, MODULE, PROGRAM

if TYPE_CHECKING:
    from cicdctl.git.repository import Repository

_WORDS = struct.Struct(">10I").unpack
_BILLION = 1_000_000_000
_LOW = 0xFFFFFFFF


class WorkTreeScan:
    """What the scan found. `suspects` are tracked paths whose content must be hashed, `untracked` those to add;
    both with the mode they have on disk. `modules` are submodules at another commit than the index says.
    """

    def __init__(self) -> None:
        self.suspects: list[tuple[bytes, int]] = []
        self.untracked: list[tuple[bytes, int]] = []
        self.deleted: list[bytes] = []
        self.modules: list[tuple[bytes, bytes]] = []
        self.warnings: list[str] = []


def scan_work_tree(
    repository: Repository, root: bytes, index: IndexFile, rules: IgnoreRules, *, file_mode: bool
) -> WorkTreeScan:
    """Compare every tracked file's `lstat` with the index and list what is neither tracked nor ignored.

    Reads no content but .gitignore files. `file_mode` False: the executable bit on disk says nothing.
    """
    scanner = _Scanner(repository, index, file_mode)
    todo = [(root, b"", rules, False)]
    while todo:
        todo += scanner.look_into(*todo.pop())
    return scanner.finish()


class _Scanner:
    def __init__(self, repository: Repository, index: IndexFile, file_mode: bool) -> None:
        self._repository = repository
        self._found = WorkTreeScan()
        self._left = dict(index.entries)
        self._stamp = index.stamp_ns
        self._file_mode = file_mode
        self._tracked_folders = _folders_of(index.entries)
        self._modes: dict[int, int] = {}

    def look_into(
        self, folder: bytes, prefix: bytes, rules: IgnoreRules, ignored: bool
    ) -> list[tuple[bytes, bytes, IgnoreRules, bool]]:
        """Look at one folder; gives the folders inside it that must be looked into."""
        try:
            with os.scandir(folder) as listing:
                rows = list(listing)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except PermissionError:
            self._found.warnings.append(f"cannot read the folder {show_path(prefix)}, left out")
            return []
        if prefix and prefix[:-1] not in self._tracked_folders and self._is_repository(folder, rows):
            self._found.warnings.append(f"{show_path(prefix)} is a repository of its own, left out")
            return []
        if not ignored:
            for row in rows:
                if row.name == b".gitignore":
                    rules = rules.enter(prefix, read_small(row.path, follow=False))
        inner = []
        take = self._left.pop
        unchanged = self._is_unchanged
        for row in rows:
            path = prefix + row.name
            entry = take(path, None)
            if entry is not None:
                if unchanged(path, entry, row):
                    continue
                if not row.is_dir(follow_symlinks=False):
                    continue
            if row.is_dir(follow_symlinks=False):
                if row.name != b".git" and (into := self._folder(row, path, rules, ignored)) is not None:
                    inner.append(into)
            elif not ignored and not rules.ignores(path, row.name, False):
                self._add(row, path)
        return inner

    def _is_unchanged(self, path: bytes, entry: IndexEntry, row: os.DirEntry[bytes]) -> bool:
        """Compare one entry; notes what it finds. False when it is not unchanged, or a folder is in its place."""
        if entry.flags & ASSUME_VALID or entry.more_flags & SKIP_WORKTREE:
            return True
        found = row.stat(follow_symlinks=False)
        changed_s, changed_ns, modified_s, modified_ns, _, inode, mode, uid, gid, size = _WORDS(entry.words)
        modified = modified_s * _BILLION + modified_ns
        on_disk = self._modes.get(found.st_mode) or self._mode(found.st_mode)
        if (
            modified == found.st_mtime_ns
            and changed_s * _BILLION + changed_ns == found.st_ctime_ns
            and size == found.st_size & _LOW
            and inode == found.st_ino & _LOW
            and uid == found.st_uid
            and gid == found.st_gid
            and on_disk == mode
            and modified < self._stamp
        ):
            return True
        if mode == MODULE and on_disk == stat.S_IFDIR:
            self._look_at_module(path, entry, row.path)
            return True
        if on_disk in (FILE, PROGRAM, LINK):
            if not self._file_mode and on_disk != LINK and mode != LINK:
                on_disk = mode
            self._found.suspects.append((path, on_disk))
            return True
        self._found.deleted.append(path)
        if on_disk != stat.S_IFDIR:
            self._found.warnings.append(f"{show_path(path)} is neither file nor link, left out")
        return False

    def _mode(self, mode: int) -> int:
        kind = stat.S_IFMT(mode)
        if kind == stat.S_IFREG:
            kind = PROGRAM if mode & 0o100 else FILE
        self._modes[mode] = kind
        return kind

    def _look_at_module(self, path: bytes, entry: IndexEntry, place: bytes) -> None:
        from cicdctl.git.discovery import head_of_nested

        # No repository in the folder: not initialised, which changes nothing.
        oid = head_of_nested(place)
        if oid and bytes.fromhex(oid) != entry.raw:
            self._found.modules.append((path, bytes.fromhex(oid)))

    def _folder(
        self, row: os.DirEntry[bytes], path: bytes, rules: IgnoreRules, ignored: bool
    ) -> tuple[bytes, bytes, IgnoreRules, bool] | None:
        ignored = ignored or rules.ignores(path, row.name, True)
        if ignored and path not in self._tracked_folders:
            return None
        return row.path, path + b"/", rules, ignored

    def _is_repository(self, folder: bytes, rows: list[os.DirEntry[bytes]]) -> bool:
        from cicdctl.git.discovery import is_nested_repository

        return any(row.name == b".git" for row in rows) and is_nested_repository(folder)

    def _add(self, row: os.DirEntry[bytes], path: bytes) -> None:
        if row.name == b".git" and b"/" not in path:
            return
        try:
            mode = self._mode(row.stat(follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return
        if mode not in (FILE, PROGRAM, LINK):
            self._found.warnings.append(f"{show_path(path)} is neither file nor link, left out")
            return
        reason = check_name(row.name, mode)
        if reason:
            self._found.warnings.append(f"{show_path(path)} is left out: {reason}")
            return
        self._found.untracked.append((path, FILE if mode == PROGRAM and not self._file_mode else mode))

    def finish(self) -> WorkTreeScan:
        """Whatever was not met on the way is deleted, unless git was told not to look."""
        for path, entry in self._left.items():
            if not (entry.flags & ASSUME_VALID or entry.more_flags & SKIP_WORKTREE):
                self._found.deleted.append(path)
        return self._found


def _folders_of(paths: dict[bytes, IndexEntry]) -> set[bytes]:
    folders = {path.rpartition(b"/")[0] for path in paths}
    for folder in list(folders):
        while folder:
            folder = folder.rpartition(b"/")[0]
            if folder in folders:
                break
            folders.add(folder)
    return folders
