"""Files of a tree on disk: a first write, a move by difference, a plain export."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from cicdctl.errors import GitError
from cicdctl.git.folders import FOLDER_MODE, Folders, Trash, split_path
from cicdctl.git.names import refuse_name, show_path
from cicdctl.git.objects import STREAM_ABOVE_BYTES
from cicdctl.git.repository import Repository
from cicdctl.git.trees import FOLDER, LINK, MODULE, PROGRAM, TreeEntry, check_rows, parse_tree
from cicdctl.git.worktree_index import WorktreeIndex, build_index, stat_words, submodule_words

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LINK_BYTES = 4095
# Gives the open folder and the name under which a path is to be created.
_Place = Callable[[bytes], tuple[int, bytes]]


# Path, entry before, entry after, as `Repository.changed_entries` gives them.
Change = tuple[bytes, TreeEntry | None, TreeEntry | None]


class Content(NamedTuple):
    """Everything a tree holds: rows of (path, mode, raw id) in index order, and the raw id of each folder."""

    rows: list[tuple[bytes, int, bytes]]
    trees: dict[bytes, bytes]


class Written(NamedTuple):
    """What a checkout left: the index, and the newest ctime in nanoseconds (0: nothing was written)."""

    new_index: WorktreeIndex
    newest_ns: int


def read_content(repository: Repository, tree: str) -> Content:
    """Read a whole tree. Raises GitError for names, modes and repetitions that must not reach a disk."""
    size = repository.hash_bytes
    rows: list[tuple[bytes, int, bytes]] = []
    trees = {b"": bytes.fromhex(tree)}
    stack = [iter(check_rows(parse_tree(repository.read_tree(tree), size), b""))]
    while stack:
        for mode, path, raw in stack[-1]:
            if mode == FOLDER:
                trees[path] = raw
                below = parse_tree(repository.read_tree(raw.hex()), size)
                stack.append(iter(check_rows(below, path + b"/")))
                break
            rows.append((path, mode, raw))
        else:
            stack.pop()
    # A tree that is not sorted is legal to read, but an index must be.
    rows.sort()
    return Content(rows, trees)


def write_content(repository: Repository, content: Content, root: Path) -> Written:
    """Write a whole tree into the empty folder `root`; nobody else may use the folder meanwhile.

    Bytes and modes are those of `git worktree add` without filters. Raises GitError; the caller
    removes `root` then.
    """
    with Folders(root) as folders:
        writer = _Writer(repository, folders)
        used = {split_path(path)[0] for path, _, _ in content.rows}
        for folder in sorted(_with_parents(used)):
            _make_folder(folder, folders.root)
        # No link exists yet, so a whole path below the root leads nowhere else.
        heads = writer.write(content.rows, lambda path: (folders.root, path))
    pairs = [(path, heads[path]) for path, _, _ in content.rows]
    return Written(build_index(pairs, content.trees, repository.hash_bytes), writer.newest_ns)


def export(repository: Repository, tree: str, target: Path) -> None:
    """Write the files of a tree into `target`, a new or empty folder, without `.git`.

    Raises GitError when the folder is not empty, or the tree must not be written.
    """
    from cicdctl.git.conversion import find_conversions, refuse_conversion

    content = read_content(repository, tree)
    conversion = find_conversions(repository, content.rows).conversion
    if conversion is not None:
        raise refuse_conversion(conversion)
    if not target.exists():
        target.mkdir(mode=FOLDER_MODE, parents=True)
        target.chmod(FOLDER_MODE)
    if any(target.iterdir()):
        raise GitError(f"'{target}' is not empty", hint="export into a new folder")
    write_content(repository, content, target)


def move_tree(
    repository: Repository, root: Path, index: WorktreeIndex, changes: Iterable[Change], new_tree: str, trash: Trash
) -> Written:
    """Change a clean worktree by `changes` into one of `new_tree`; unchanged files are not even looked at.

    Untracked things in the way of a new file go to the trash, others stay. Raises GitError or OSError;
    the worktree is then between the two trees.
    """
    gone: dict[bytes, tuple[int, bytes]] = {}
    new: dict[bytes, tuple[int, bytes]] = {}
    for path, before, after in changes:
        if before is not None:
            gone[path] = (before.mode, bytes.fromhex(before.oid))
        if after is not None:
            new[path] = (after.mode, bytes.fromhex(after.oid))
    trees = _changed_trees(repository, new_tree, gone.keys() | new.keys())
    return change_files(repository, root, index, gone, new, trees, trash)


def change_files(
    repository: Repository,
    root: Path,
    index: WorktreeIndex,
    gone: Mapping[bytes, tuple[int, bytes]],
    new: Mapping[bytes, tuple[int, bytes]],
    trees: Mapping[bytes, bytes | None],
    trash: Trash,
) -> Written:
    """Remove `gone` (path: old mode, raw id), then write `new` (path: mode, raw id), never through a link.

    `trees` gives the new id of each folder whose content changes, None for folders that vanish.
    """
    rows = sorted((path, mode, raw) for path, (mode, raw) in new.items())
    with Folders(root, trash) as folders:
        _remove(folders, gone, new)
        writer = _Writer(repository, folders)
        heads = writer.write(rows, lambda path: _parent(folders, path))
    known = {path: raw for path, raw in trees.items() if raw is not None}
    spliced = None
    if gone.keys() <= new.keys():
        spliced = index.with_words(heads, {path: raw for path, (_, raw) in gone.items()}, known)
    if spliced is None:
        entries = dict(index.entries())
        for path in gone:
            entries.pop(path, None)
        entries.update(heads)
        before = index.trees()
        merged = {**before, **known} if before else {}
        kept = {path: raw for path, raw in merged.items() if path not in trees or trees[path] is not None}
        spliced = build_index(sorted(entries.items()), kept, index.id_bytes)
    return Written(spliced, writer.newest_ns)


class _Writer:
    """Writes rows below one root and remembers the index head of each."""

    def __init__(self, repository: Repository, folders: Folders) -> None:
        self.repository = repository
        self.folders = folders
        self.newest_ns = 0
        self._heads: dict[bytes, bytes] = {}

    def write(self, rows: Iterable[tuple[bytes, int, bytes]], place: _Place) -> dict[bytes, bytes]:
        """Files in pack order, submodules as empty folders, links last; gives path: stat words + id."""
        files: dict[str, list[tuple[bytes, int, bytes]]] = {}
        links: list[tuple[bytes, bytes, bytes]] = []
        for row in rows:
            if row[1] == MODULE:
                self._make_module(row[0], row[2], place)
            else:
                files.setdefault(row[2].hex(), []).append(row)
        for oid, chunks in _contents(self.repository, files):
            for path, mode, raw in files[oid]:
                if mode == LINK:
                    links.append((path, raw, b"".join(chunks)))
                else:
                    self._write_file(path, mode, raw, chunks, place)
        for path, raw, target in sorted(links):
            self._write_link(path, raw, target, place)
        return self._heads

    def _write_file(self, path: bytes, mode: int, raw: bytes, chunks: Iterable[bytes], place: _Place) -> None:
        wanted = 0o755 if mode == PROGRAM else 0o644
        try:
            at, name = place(path)
            try:
                file = os.open(name, _NEW_FILE, wanted, dir_fd=at)
            except FileExistsError:
                self.folders.clear(at, name)
                at, name = place(path)
                file = os.open(name, _NEW_FILE, wanted, dir_fd=at)
            try:
                for chunk in chunks:
                    done = os.write(file, chunk)
                    while done < len(chunk):
                        done += os.write(file, memoryview(chunk)[done:])
                found = os.fstat(file)
                if found.st_mode & 0o7777 != wanted:
                    os.fchmod(file, wanted)
                    found = os.fstat(file)
            finally:
                os.close(file)
        except OSError as error:
            raise _failure(path, error) from error
        if found.st_ctime_ns > self.newest_ns:
            self.newest_ns = found.st_ctime_ns
        self._heads[path] = stat_words(found, mode) + raw

    def _write_link(self, path: bytes, raw: bytes, target: bytes, place: _Place) -> None:
        if not target or b"\0" in target or len(target) > _MAX_LINK_BYTES:
            raise refuse_name(path, "a link without a possible target")
        try:
            at, name = place(path)
            try:
                os.symlink(target, name, dir_fd=at)
            except FileExistsError:
                self.folders.clear(at, name)
                at, name = place(path)
                os.symlink(target, name, dir_fd=at)
            found = os.stat(name, dir_fd=at, follow_symlinks=False)
        except OSError as error:
            raise _failure(path, error) from error
        self.newest_ns = max(self.newest_ns, found.st_ctime_ns)
        self._heads[path] = stat_words(found, LINK) + raw

    def _make_module(self, path: bytes, raw: bytes, place: _Place) -> None:
        try:
            at, name = place(path)
            try:
                os.mkdir(name, FOLDER_MODE, dir_fd=at)
            except FileExistsError:
                self.folders.clear(at, name)
                at, name = place(path)
                os.mkdir(name, FOLDER_MODE, dir_fd=at)
            os.chmod(name, FOLDER_MODE, dir_fd=at)
        except OSError as error:
            raise _failure(path, error) from error
        self._heads[path] = submodule_words() + raw


def _contents(repository: Repository, oids: Iterable[str]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Yield (id, chunks), in pack order; what is too large for one piece comes last, read chunk by chunk."""
    waiting = set(oids)
    try:
        for oid, data in repository.read_blobs(oids):
            waiting.discard(oid)
            yield oid, [data]
    except GitError:
        # One blob above the limit ends the bulk read; the others are still wanted.
        for oid in sorted(waiting):
            kind, size = repository.objects.kind_and_size(oid)
            if kind != b"blob" or size <= STREAM_ABOVE_BYTES:
                yield oid, [repository.read_object(oid)[1]]
            else:
                yield oid, _Chunks(repository, oid)


class _Chunks:
    """A blob that is read anew each time it is iterated, and never held whole."""

    def __init__(self, repository: Repository, oid: str) -> None:
        self._repository = repository
        self._oid = oid

    def __iter__(self) -> Iterator[bytes]:
        return self._repository.objects.stream(self._oid)


def _failure(path: bytes, error: OSError) -> GitError:
    hint = "free some space, or set another cache folder" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return GitError(f"cannot write {show_path(path)}: {error.strerror}", hint=hint)


def _parent(folders: Folders, path: bytes) -> tuple[int, bytes]:
    folder, name = split_path(path)
    return folders.make(folder), name


def _with_parents(folders: Iterable[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for folder in folders:
        while folder and folder not in found:
            found.add(folder)
            folder = split_path(folder)[0]
    return found


def _make_folder(folder: bytes, root: int) -> None:
    try:
        os.mkdir(folder, FOLDER_MODE, dir_fd=root)
        if os.stat(folder, dir_fd=root).st_mode & 0o7777 != FOLDER_MODE:
            os.chmod(folder, FOLDER_MODE, dir_fd=root)
    except OSError as error:
        raise _failure(folder, error) from error


def _remove(folders: Folders, gone: Mapping[bytes, tuple[int, bytes]], new: Mapping[bytes, object]) -> None:
    """Remove files of the old tree, then the folders they leave empty. What is missing already is no error."""
    emptied: set[bytes] = set()
    for path in sorted(gone):
        folder, name = split_path(path)
        try:
            at = folders.find(folder)
            if gone[path][0] != MODULE:
                folders.clear(at, name)
            else:
                os.rmdir(name, dir_fd=at)
        except OSError as error:
            # A folder that is no folder any more, or a submodule somebody filled.
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENOTEMPTY):
                raise _failure(path, error) from error
        if path not in new and folder:
            emptied.add(folder)
    folders.forget()
    for folder in sorted(_with_parents(emptied), reverse=True):
        parent, name = split_path(folder)
        try:
            os.rmdir(name, dir_fd=folders.find(parent))
        except OSError:
            folders.forget()
            continue
        folders.forget()


def _changed_trees(repository: Repository, tree: str, paths: Iterable[bytes]) -> dict[bytes, bytes | None]:
    """Give the new tree id of every folder above a changed path; None for folders the new tree lacks."""
    size = repository.hash_bytes
    found: dict[bytes, bytes | None] = {b"": bytes.fromhex(tree)}
    below: dict[bytes, dict[bytes, bytes]] = {}
    for folder in sorted(_with_parents(split_path(path)[0] for path in paths)):
        parent, name = split_path(folder)
        raw = found[parent]
        if raw is not None and parent not in below:
            rows = parse_tree(repository.read_tree(raw.hex()), size)
            below[parent] = {row[1]: row[2] for row in rows if row[0] == FOLDER}
        found[folder] = below[parent].get(name) if raw is not None else None
    return found
