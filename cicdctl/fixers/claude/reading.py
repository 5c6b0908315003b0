"""Reads files and folders of the worktree: nothing outside it, through no link, and none that hold secrets."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cicdctl.fixing.paths import SECRETS, PathRules
from cicdctl.git import compile_globs

MOST_BYTES = 400_000
MOST_ENTRIES = 300

_hostile = PathRules(None).why_hostile
_secret = compile_globs(tuple(glob.lower() for glob in SECRETS))


class ToolError(Exception):
    """A tool cannot do what it was asked; the text is for the model, and names no path of this machine."""


def check_readable(path: str) -> None:
    """Raise ToolError for a path that is never shown."""
    problem = _hostile(path)
    if problem is not None:
        raise ToolError(problem)
    if _secret(os.fsencode(path.lower())):
        raise ToolError("secret-file: files like this are never shown")


def read_bytes(worktree: Path, path: str) -> bytes:
    """Return the content of a regular file. Raises ToolError."""
    check_readable(path)
    with _opened(worktree, path, os.O_RDONLY) as descriptor:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ToolError("it is no regular file" if not stat.S_ISDIR(facts.st_mode) else "it is a directory")
        if facts.st_size > MOST_BYTES:
            raise ToolError(f"it has {facts.st_size} bytes; at most {MOST_BYTES} are shown, use grep")
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(MOST_BYTES + 1)


def read_text(worktree: Path, path: str) -> str:
    """Return the content of a UTF-8 file, its byte order mark and line ends kept. Raises ToolError."""
    try:
        return read_bytes(worktree, path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ToolError("it is not UTF-8 text") from error


def lines_of(text: str) -> list[str]:
    """Return the lines as compilers count them: a form feed or a lone carriage return ends none."""
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []


def is_folder(worktree: Path, path: str) -> bool:
    """Whether there is a folder at a path; "" is the worktree itself. Raises ToolError."""
    if path:
        check_readable(path)
    with _opened(worktree, path, os.O_RDONLY) as descriptor:
        return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def list_folder(worktree: Path, path: str) -> list[str]:
    """Return the names in a folder, those of folders with a slash behind. Raises ToolError."""
    if path:
        check_readable(path)
    with _opened(worktree, path, os.O_RDONLY | os.O_DIRECTORY) as descriptor, os.scandir(descriptor) as rows:
        names = sorted(
            f"{row.name}/" if row.is_dir(follow_symlinks=False) else row.name for row in rows if row.name != ".git"
        )
    names = [name for name in names if name.isprintable()]
    left = len(names) - MOST_ENTRIES
    return [*names[:MOST_ENTRIES], *([f"[{left} more]"] if left > 0 else [])]


@contextmanager
def _opened(worktree: Path, path: str, flags: int) -> Iterator[int]:
    """Open part by part, so that no link is followed, not even one that is put there in between."""
    held = []
    try:
        descriptor = os.open(worktree, os.O_RDONLY | os.O_DIRECTORY)
        held.append(descriptor)
        parts = path.split("/") if path else []
        for number, part in enumerate(parts):
            is_last = number == len(parts) - 1
            mode = flags if is_last else os.O_RDONLY | os.O_DIRECTORY
            descriptor = os.open(part, mode | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
            held.append(descriptor)
        yield descriptor
    except FileNotFoundError as error:
        raise ToolError("there is no such file") from error
    except OSError as error:
        raise ToolError(f"it cannot be read: {error.strerror}") from error
    finally:
        for descriptor in held:
            os.close(descriptor)
