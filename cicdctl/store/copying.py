"""Moves bytes between files: as a clone where the file system can, else through memory; and makes many durable."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Sequence

CHUNK_BYTES = 1024 * 1024
# From linux/fs.h: _IOW(0x94, 9, int).
_FICLONE = 0x40049409
_NO_CLONE = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM)


class Cloner:
    """Tries FICLONE until a pair of file systems says that it cannot; then says no without asking. Any thread."""

    def __init__(self) -> None:
        self._refused = False

    def clone(self, source: int, target: int) -> bool:
        """Make the empty file `target` share the content of `source`. False: copy instead."""
        if self._refused:
            return False
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError as error:
            if error.errno not in _NO_CLONE:
                raise
            self._refused = True
            return False
        return True


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write every byte of `data`. Raises OSError."""
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])


def read_all(descriptor: int, size: int) -> bytes:
    """Read to the end of a file that should hold `size` bytes; the answer may be shorter or longer than that."""
    data = os.read(descriptor, size + 1)
    if len(data) == size:
        return data
    parts = [data]
    while data:
        data = os.read(descriptor, CHUNK_BYTES)
        parts.append(data)
    return b"".join(parts)


def copy_chunks(source: int, target: int | None, on_chunk: Callable[[bytes], object]) -> int:
    """Read `source` to its end, hand each chunk to `on_chunk` and write it to `target`; return the bytes."""
    size = 0
    while chunk := os.read(source, CHUNK_BYTES):
        on_chunk(chunk)
        if target is not None:
            write_all(target, chunk)
        size += len(chunk)
    return size


def copy_in_kernel(source: int, target: int) -> None:
    """Copy the rest of `source` to `target` without bringing it into this process where the kernel can."""
    try:
        while os.copy_file_range(source, target, 64 * CHUNK_BYTES):
            pass
    except OSError as error:
        if error.errno not in _NO_CLONE:
            raise
        copy_chunks(source, target, len)


def sync_all(paths: Sequence[str]) -> None:
    """Make files and folders of one file system durable. Few are synced each; for many, one call for all of it.

    Raises OSError.
    """
    if len(paths) > 40 and sync_file_system(paths[-1]):
        return
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_file_system(path: str) -> bool:
    """Make all of a file system durable; False where there is no such call. Raises OSError."""
    import ctypes  # slow to import, and only needed for many files

    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)
    return True
