"""Walks below a root by folder descriptors, so that no planted link can lead a path elsewhere."""

from __future__ import annotations

import errno
import os
from types import TracebackType

from cicdctl.errors import StoreError

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderStack:
    """Descriptors of the folders of one path, kept while paths come in sorted order. One thread."""

    def __init__(self, root: int) -> None:
        """`root` is an open folder, which stays the caller's."""
        self._descriptors = [root]
        self._parts: list[bytes] = []

    def enter(self, parts: tuple[bytes, ...], *, create: bool) -> int:
        """Return the descriptor of the folder `parts`, valid until the next call.

        With `create`, missing folders are made 0755, and a link or file in the way is removed, not
        followed. Raises OSError.
        """
        same = 0
        for mine, wanted in zip(self._parts, parts, strict=False):
            if mine != wanted:
                break
            same += 1
        self._leave(same)
        for part in parts[same:]:
            parent = self._descriptors[-1]
            self._descriptors.append(_make(part, parent) if create else os.open(part, _OPEN, dir_fd=parent))
            self._parts.append(part)
        return self._descriptors[-1]

    def _leave(self, depth: int) -> None:
        while len(self._parts) > depth:
            self._parts.pop()
            os.close(self._descriptors.pop())

    def __enter__(self) -> FolderStack:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(0)


def open_root(root: str | os.PathLike[str]) -> int:
    """Open the folder to work in; a link as its last part is refused. Raises StoreError."""
    try:
        return os.open(root, _OPEN)
    except OSError as error:
        raise StoreError(f"cannot open folder '{os.fspath(root)}': {error.strerror}") from error


def _make(part: bytes, parent: int) -> int:
    # Threads may make the same folder, so each step may find it done.
    for _ in range(10):
        try:
            return os.open(part, _OPEN, dir_fd=parent)
        except FileNotFoundError:
            try:
                os.mkdir(part, 0o755, dir_fd=parent)
            except FileExistsError:
                continue
        except NotADirectoryError:
            # Also what O_DIRECTORY with O_NOFOLLOW answers for a link.
            _unlink(part, parent)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            _unlink(part, parent)
    return os.open(part, _OPEN, dir_fd=parent)


def _unlink(part: bytes, parent: int) -> None:
    try:
        os.unlink(part, dir_fd=parent)
    except (FileNotFoundError, IsADirectoryError):
        return
