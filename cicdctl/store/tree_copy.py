"""Copies folders and all below: clones where the file system can, keeps times, follows no link."""

from __future__ import annotations

import os
import stat

from cicdctl.errors import StoreError
from cicdctl.store.artifact_paths import MAX_DEPTH
from cicdctl.store.copying import Cloner, copy_in_kernel

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TARGET = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_entry(name: bytes, source: int, target: int, cloner: Cloner, depth: int = 0) -> int:
    """Copy the file, link or folder `name` from one open folder into another; return the bytes of its files.

    A file or link that is there is replaced, a folder is filled. Sockets and the like are left out.
    Raises OSError, and StoreError for folders that are too deep.
    """
    facts = os.stat(name, dir_fd=source, follow_symlinks=False)
    if stat.S_ISDIR(facts.st_mode):
        return _copy_folder(name, source, target, cloner, depth, facts)
    if stat.S_ISLNK(facts.st_mode):
        link = os.readlink(name, dir_fd=source)
        _unlink(name, target)
        os.symlink(link, name, dir_fd=target)
        return 0
    if not stat.S_ISREG(facts.st_mode):
        return 0
    return _copy_file(name, source, target, cloner)


def _copy_folder(name: bytes, source: int, target: int, cloner: Cloner, depth: int, facts: os.stat_result) -> int:
    if depth >= MAX_DEPTH:
        raise StoreError(f"folders deeper than {MAX_DEPTH}")
    inside = os.open(name, _FOLDER, dir_fd=source)
    try:
        made = _make_folder(name, target)
        try:
            with os.scandir(inside) as entries:
                names = [os.fsencode(entry.name) for entry in entries]
            size = sum(copy_entry(one, inside, made, cloner, depth + 1) for one in names)
            os.fchmod(made, stat.S_IMODE(facts.st_mode) & 0o755 | 0o700)
            os.utime(made, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
            return size
        finally:
            os.close(made)
    finally:
        os.close(inside)


def _make_folder(name: bytes, target: int) -> int:
    try:
        os.mkdir(name, 0o700, dir_fd=target)
    except FileExistsError:
        if not stat.S_ISDIR(os.stat(name, dir_fd=target, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=target)
            os.mkdir(name, 0o700, dir_fd=target)
    return os.open(name, _FOLDER, dir_fd=target)


def _copy_file(name: bytes, source: int, target: int, cloner: Cloner) -> int:
    reading = os.open(name, _SOURCE, dir_fd=source)
    try:
        facts = os.fstat(reading)
        mode = stat.S_IMODE(facts.st_mode) & 0o755
        try:
            writing = os.open(name, _TARGET, 0o600, dir_fd=target)
        except FileExistsError:
            _unlink(name, target)
            writing = os.open(name, _TARGET, 0o600, dir_fd=target)
        try:
            if not cloner.clone(reading, writing):
                copy_in_kernel(reading, writing)
            os.fchmod(writing, mode)
            # Compilers and Python's own byte code are judged by these times.
            os.utime(writing, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
        finally:
            os.close(writing)
        return facts.st_size
    finally:
        os.close(reading)


def _unlink(name: bytes, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        os.rmdir(name, dir_fd=folder)
