"""Folders below one root, opened part by part and never through a link; and the trash things go to."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from pathlib import Path
from types import TracebackType

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FOLDER_MODE = 0o755
_MOST_OPEN = 200
_IN_THE_WAY = (errno.ENOTDIR, errno.ELOOP)


def split_path(path: bytes) -> tuple[bytes, bytes]:
    """Give the folder ("" for the root) and the name of a path."""
    end = path.rfind(b"/")
    return (path[:end], path[end + 1 :]) if end >= 0 else (b"", path)


class Folders:
    """Descriptors of the folders below `root`. A context manager; not thread-safe."""

    def __init__(self, root: Path, trash: Trash | None = None) -> None:
        self.root = os.open(root, FOLDER_FLAGS)
        self._trash = trash
        self._open: dict[bytes, int] = {}

    def __enter__(self) -> Folders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.forget()
        os.close(self.root)

    def find(self, folder: bytes) -> int:
        """Give the descriptor of an existing folder. Raises OSError when a part is missing or no real folder."""
        return self._reach(folder, create=False)

    def make(self, folder: bytes) -> int:
        """Give the descriptor of a folder, created with mode 0755; files and links in its place are removed."""
        return self._reach(folder, create=True)

    def _reach(self, folder: bytes, *, create: bool) -> int:
        if not folder:
            return self.root
        found = self._open.get(folder)
        if found is not None:
            return found
        if len(self._open) >= _MOST_OPEN:
            self.forget()
        at, path = self.root, b""
        for name in folder.split(b"/"):
            path = path + b"/" + name if path else name
            known = self._open.get(path)
            if known is None:
                known = self._open[path] = self._step(at, name, create=create)
            at = known
        return at

    def _step(self, at: int, name: bytes, *, create: bool) -> int:
        try:
            return os.open(name, FOLDER_FLAGS, dir_fd=at)
        except OSError as error:
            if not create or error.errno not in (*_IN_THE_WAY, errno.ENOENT):
                raise
            if error.errno != errno.ENOENT:
                self.clear(at, name)
        os.mkdir(name, FOLDER_MODE, dir_fd=at)
        made = os.open(name, FOLDER_FLAGS, dir_fd=at)
        if stat.S_IMODE(os.fstat(made).st_mode) != FOLDER_MODE:
            os.fchmod(made, FOLDER_MODE)
        return made

    def clear(self, at: int, name: bytes) -> None:
        """Remove whatever has this name in an open folder: files are unlinked, folders go to the trash."""
        try:
            os.unlink(name, dir_fd=at)
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            if not stat.S_ISDIR(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
                raise
            self.forget()
            if self._trash is None:
                os.rmdir(name, dir_fd=at)
            else:
                self._trash.throw(name, at)

    def forget(self) -> None:
        """Close every folder but the root: needed before a folder that may be open is moved or removed."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()


class Trash:
    """A folder that takes things by rename at once and deletes them slowly in a background thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._mutex = threading.Lock()

    def throw(self, name: bytes | Path, at: int | None = None) -> None:
        """Move a file or folder here. `at` is the open folder `name` is relative to. Raises OSError."""
        target = os.fsencode(self.folder) + b"/" + os.urandom(8).hex().encode()
        try:
            os.rename(name, target, src_dir_fd=at)
        except PermissionError:
            # Moving a folder writes to its "..", which a stage may have forbidden.
            allow_owner(name, at)
            os.rename(name, target, src_dir_fd=at)
        except FileNotFoundError:
            if self.folder.is_dir():
                raise
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.rename(name, target, src_dir_fd=at)

    def start(self) -> None:
        """Begin to delete what lies here, unless that is going on already."""
        with self._mutex:
            if self._thread is not None and self._thread.is_alive():
                return
            if self._stop.is_set() or not self._names():
                return
            self._thread = threading.Thread(target=self.empty, name="cicdctl-trash", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait until everything that is being deleted is gone."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Stop deleting after the file at hand; the rest waits for the next process."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def empty(self) -> None:
        """Delete everything here now, in this thread. Never follows a link; what resists stays."""
        stuck: set[str] = set()
        while names := [name for name in self._names() if name not in stuck]:
            for name in names:
                if self._stop.is_set():
                    return
                if not self._delete(name):
                    stuck.add(name)

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.folder)  # noqa: PTH208 - names only
        except OSError:
            return []

    def _delete(self, name: str) -> bool:
        """Delete one entry; folders in it are moved up to the trash, so depth costs neither stack nor descriptors."""
        try:
            at = os.open(self.folder, FOLDER_FLAGS)
        except OSError:
            return False
        try:
            try:
                os.unlink(name, dir_fd=at)
                return True
            except (IsADirectoryError, PermissionError):
                return self._hollow(name, at)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        finally:
            os.close(at)

    def _hollow(self, name: str, at: int) -> bool:
        allow_owner(name, at)
        inside = os.open(name, FOLDER_FLAGS, dir_fd=at)
        try:
            with os.scandir(inside) as rows:
                found = [(row.name, row.is_dir(follow_symlinks=False)) for row in rows]
            for below, is_folder in found:
                if self._stop.is_set():
                    return False
                if is_folder:
                    self._lift(below, inside)
                else:
                    os.unlink(below, dir_fd=inside)
        finally:
            os.close(inside)
        os.rmdir(name, dir_fd=at)
        return True

    def _lift(self, name: str, inside: int) -> None:
        try:
            os.rmdir(name, dir_fd=inside)
        except OSError:
            self.throw(os.fsencode(name), inside)


def allow_owner(name: bytes | str | Path, at: int | None) -> None:
    """Give the owner all rights on a folder without following a link (fchmodat cannot on Linux)."""
    try:
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=at)
    except NotADirectoryError:
        return
    try:
        if os.fstat(handle).st_mode & 0o700 != 0o700:
            Path(f"/proc/self/fd/{handle}").chmod(0o700)
    finally:
        os.close(handle)


def wait_for_tick(folder: Path, after_ns: int) -> None:
    """Wait until the clock of the file system has passed `after_ns` (a ctime): 0 to 10 ms.

    A file that changes afterwards cannot have the ctime of one written before.
    """
    probe = os.open(folder / "clock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        while True:
            os.utime(probe)
            if os.fstat(probe).st_ctime_ns > after_ns:
                return
            time.sleep(0.0005)
    finally:
        os.close(probe)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file beside its place and rename it there: readers see the old or the new one. Raises OSError."""
    beside = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    beside.write_bytes(data)
    beside.chmod(0o644)
    beside.replace(path)
