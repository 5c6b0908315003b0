"""Sees whether what ran for a fixer has changed what git obeys: pointers, settings and hooks."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from cicdctl.project import Project

# Of a repository: what makes git run programs, or look for them elsewhere.
_OBEYED = ("config", "config.worktree", "hooks", "info/attributes")
_OF_WORKTREE = ("commondir", "gitdir", "config.worktree")
_MOST_READ = 1 << 20


class Seals:
    """What nobody may change while a fixer works, as it was when this was made. Raises OSError.

    `is_shut_off`: commands cannot reach the user's own repository, so what changes in it is the user's doing.
    """

    def __init__(self, project: Project, worktree: Path, *, is_shut_off: bool) -> None:
        self._pointer = worktree / ".git"
        self._admin = _admin_of(self._pointer)
        self._own = None if is_shut_off else project.repository.common_dir
        self._before = dict(self._look())

    def broken(self) -> list[str]:
        """Return the names, for people, of what differs, appeared or is gone; the user's own begin with `.git/`."""
        after = dict(self._look())
        return sorted(name for name in after.keys() | self._before.keys() if after.get(name) != self._before.get(name))

    def _look(self) -> Iterator[tuple[str, str]]:
        yield "the worktree's .git", _digest(self._pointer)
        if self._admin is not None:
            yield from ((f"the worktree's {name}", _digest(self._admin / name)) for name in _OF_WORKTREE)
            yield from ((f"its repository's {name}", digest) for name, digest in _of_repository(self._admin.parents[1]))
        if self._own is not None:
            yield from ((f".git/{name}", digest) for name, digest in _of_repository(self._own))


def _admin_of(pointer: Path) -> Path | None:
    """Return git's own folder for a worktree; None when the pointer is not one that git writes."""
    if pointer.is_symlink() or not pointer.is_file():
        return None
    folder = Path(os.fsdecode(pointer.read_bytes()[:4096]).removeprefix("gitdir:").strip())
    return folder if folder.is_absolute() and folder.parent.name == "worktrees" else None


def _of_repository(folder: Path) -> Iterator[tuple[str, str]]:
    for name in _OBEYED:
        yield name, _digest(folder / name)
        if name == "hooks" and (folder / name).is_dir():
            yield from ((f"hooks/{path.name}", _digest(path)) for path in sorted((folder / name).iterdir()))


def _digest(path: Path) -> str:
    """Say what a path is, and what is in it; a link is not followed. Raises OSError."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return ""
    content = b""
    if stat.S_ISLNK(facts.st_mode):
        content = os.fsencode(path.readlink())
    elif stat.S_ISREG(facts.st_mode):
        with path.open("rb") as file:
            content = file.read(_MOST_READ)
    return f"{facts.st_mode:o} {hashlib.sha256(content).hexdigest()}"
