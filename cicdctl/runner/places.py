"""Where the files of a run lie: names made from stage ids, which may hold anything."""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from types import TracebackType
from typing import BinaryIO

from cicdctl.process import Sandbox


def file_name(stage: str) -> str:
    """Return a stage id as a file name: as it is when plain, else the plain part and a digest that keeps it unique."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._=,[]-") else "_" for c in stage)
    if plain == stage and len(stage) <= 100 and not stage.startswith("."):
        return stage
    return f"{plain[:80].lstrip('.')}-{sha256(stage.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def log_path(run: int, stage: str, attempt: int) -> str:
    """Return the path of an attempt's log, relative to the state folder."""
    return f"logs/{run}/{file_name(stage)}.{attempt}.log"


class Scratch:
    """The private folder of one attempt, gone when it ends: TMPDIR, HOME unless it is kept, two files to write to."""

    def __init__(self, cache_folder: Path, run: int, stage: str, attempt: int) -> None:
        self.folder = cache_folder / "scratch" / f"{run}-{file_name(stage)}.{attempt}"
        self.tmp = self.folder / "tmp"
        self.home = self.folder / "home"
        self.outputs = self.folder / "output"
        self.summary = self.folder / "summary"

    def __enter__(self) -> Scratch:
        remove_scratch(self.folder)
        self.tmp.mkdir(parents=True, mode=0o700)
        self.home.mkdir(mode=0o700)
        for path in (self.outputs, self.summary):
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        remove_scratch(self.folder)


class Workplace:
    """Where one attempt runs. `reusable`: the worktree may serve another, as far as is known."""

    def __init__(self, worktree: Path, scratch: Scratch, sandbox: Sandbox | None) -> None:
        self.worktree = worktree
        self.scratch = scratch
        self.sandbox = sandbox
        self.reusable = False


def read_plain(path: Path | bytes, limit: int) -> bytes:
    """Read at most `limit` bytes of a file that a stage may have replaced: no link at its end, no pipe."""
    with open_plain(path) as file:
        return file.read(limit)


def open_plain(path: Path | bytes) -> BinaryIO:
    """Open a file that a stage may have replaced: never waits for a pipe. Raises OSError, for a link too."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def remove_scratch(folder: Path) -> None:
    """Remove a scratch folder whatever a stage made of it: a link, read-only folders, ten thousand levels.

    What resists is moved to the trash of the worktrees at once and deleted with it. Never follows a link.
    """
    try:
        rmtree(folder)
    except FileNotFoundError:
        return
    except (OSError, RecursionError):
        from cicdctl.git.folders import Trash

        with suppress(OSError):
            Trash(folder.parent.parent / "trash").throw(folder)
