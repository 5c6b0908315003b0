"""What commands wrote in a worktree: every file before and after, by its content."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

# Of larger files only kind, size and times count: no formatter is meant for them.
MOST_READ = 8 << 20


class FileState(NamedTuple):
    """`facts` are those of the file system, which only say that nothing happened; `digest` and `mode` what it is."""

    facts: tuple[int, ...]
    mode: int
    digest: bytes


def take_stock(worktree: Path, earlier: Mapping[str, FileState] | None = None) -> dict[str, FileState]:
    """Return every file below a worktree by its path; no link is followed, git's own are left out.

    Files that look untouched since `earlier` are not read again. Raises OSError.
    """
    found: dict[str, FileState] = {}
    todo = [""]
    while todo:
        prefix = todo.pop()
        with os.scandir(worktree / prefix) as rows:
            for row in rows:
                name = f"{prefix}{row.name}"
                if name == ".git":
                    continue
                if row.is_dir(follow_symlinks=False):
                    todo.append(f"{name}/")
                    continue
                facts = row.stat(follow_symlinks=False)
                known = (earlier or {}).get(name)
                found[name] = _state(row.path, facts, known)
    return found


def changed_names(before: Mapping[str, FileState], after: Mapping[str, FileState]) -> list[str]:
    """Return the paths whose kind, mode or content differs, sorted."""
    return sorted(name for name in before.keys() | after.keys() if _is(before.get(name)) != _is(after.get(name)))


def _is(state: FileState | None) -> tuple[int, bytes] | None:
    return None if state is None else (state.mode, state.digest)


def _state(path: str, facts: os.stat_result, known: FileState | None) -> FileState:
    numbers = (facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)
    if known is not None and known.facts == numbers:
        return known
    if stat.S_ISLNK(facts.st_mode):
        content = os.fsencode(os.readlink(path))  # noqa: PTH115 - bytes of the link
    elif stat.S_ISREG(facts.st_mode) and facts.st_size <= MOST_READ:
        content = Path(path).read_bytes()
    else:
        content = repr(numbers).encode()
    return FileState(numbers, facts.st_mode, hashlib.sha256(content).digest())
