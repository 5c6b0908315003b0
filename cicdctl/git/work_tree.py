"""One look at the user's working tree: what differs from the index by its stat words, and what is untracked."""

from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING

from cicdctl.git.ignore import IgnoreRules, read_small
from cicdctl.git.index_file import WORDS_BYTES, IndexFile
from cicdctl.git.names import check_name, show_path
from cicdctl.git.trees import FILE, LINK, MODULE, PROGRAM

if TYPE_CHECKING:
    from cicdctl.git.repository import Repository

# All stat words but the device, whose number may change when the machine starts.
_WORDS = struct.Struct(">4I4x5I").unpack_from
_BILLION = 1_000_000_000
_LOW = 0xFFFFFFFF
# Every mode of a file that git writes as 644 or 755, and of a link.
_USUAL_MODES = [*range(0o100000, 0o101000), 0o120777]


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
        self._hidden = index.hidden
        self._file_mode = file_mode
        self._entries = index.entries
        self._folders: set[bytes] | None = None
        self._modes = {mode: self._mode(mode) for mode in _USUAL_MODES}
        # An entry as young as the index itself may have been changed since without any word telling.
        self._stamp = index.stamp_ns

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
        names = [row.name for row in rows]
        if prefix and b".git" in names and not self._tracks_below(prefix[:-1]) and _is_repository(folder):
            self._found.warnings.append(f"{show_path(prefix)} is a repository of its own, left out")
            return []
        if not ignored and b".gitignore" in names:
            rules = rules.enter(prefix, read_small(folder + b"/.gitignore", follow=False))
        inner = []
        take, modes, words_of, stamp = self._left.pop, self._modes, _WORDS, self._stamp
        for name, row in zip(names, rows, strict=True):
            path = prefix + name
            entry = take(path, None)
            if entry is not None:
                found = row.stat(follow_symlinks=False)
                changed_s, changed_ns, modified_s, modified_ns, inode, mode, uid, gid, size = words_of(entry)
                modified = modified_s * _BILLION + modified_ns
                # One long comparison in this loop and not a function: it runs for every tracked file.
                if (
                    modified == found.st_mtime_ns
                    and modified < stamp
                    and changed_s * _BILLION + changed_ns == found.st_ctime_ns
                    and size == found.st_size & _LOW
                    and inode == found.st_ino & _LOW
                    and mode == modes.get(found.st_mode)
                    and uid == found.st_uid
                    and gid == found.st_gid
                ):
                    continue
                if self._is_no_folder(path, entry, row, found):
                    continue
            if row.is_dir(follow_symlinks=False):
                if name != b".git" and (into := self._folder(row, path, rules, ignored)) is not None:
                    inner.append(into)
            elif not ignored and not rules.ignores(path, name, False):
                self._add(row, path)
        return inner

    def _is_no_folder(self, path: bytes, entry: bytes, row: os.DirEntry[bytes], found: os.stat_result) -> bool:
        """Note what an entry that may have changed is now. False when an ordinary folder is in its place."""
        if path in self._hidden:
            return True
        mode = int.from_bytes(entry[24:28], "big")
        on_disk = self._mode(found.st_mode)
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
            return True
        return False

    def _mode(self, mode: int) -> int:
        kind = stat.S_IFMT(mode)
        if kind == stat.S_IFREG:
            return PROGRAM if mode & 0o100 else FILE
        return kind

    def _look_at_module(self, path: bytes, entry: bytes, place: bytes) -> None:
        from cicdctl.git.discovery import head_of_nested

        # No repository in the folder: not initialised, which changes nothing.
        oid = head_of_nested(place)
        if oid and bytes.fromhex(oid) != entry[WORDS_BYTES : WORDS_BYTES + len(oid) // 2]:
            self._found.modules.append((path, bytes.fromhex(oid)))

    def _folder(
        self, row: os.DirEntry[bytes], path: bytes, rules: IgnoreRules, ignored: bool
    ) -> tuple[bytes, bytes, IgnoreRules, bool] | None:
        ignored = ignored or rules.ignores(path, row.name, True)
        if ignored and not self._tracks_below(path):
            return None
        return row.path, path + b"/", rules, ignored

    def _tracks_below(self, folder: bytes) -> bool:
        if self._folders is None:
            self._folders = _folders_of(self._entries)
        return folder in self._folders

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
        self._found.deleted += [path for path in self._left if path not in self._hidden]
        return self._found


def _folders_of(paths: dict[bytes, bytes]) -> set[bytes]:
    folders = {path.rpartition(b"/")[0] for path in paths}
    for folder in list(folders):
        while folder:
            folder = folder.rpartition(b"/")[0]
            if folder in folders:
                break
            folders.add(folder)
    return folders


def _is_repository(folder: bytes) -> bool:
    from cicdctl.git.discovery import is_nested_repository

    return is_nested_repository(folder)
