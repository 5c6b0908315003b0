"""The shell of a model: one command in a copy of the checkout, in bubblewrap, without network, keys, git and secrets.

A copy, so that nothing a command does has to be undone: what it made of text files is taken over by the same door as
every edit, and all else goes with the copy.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from cicdctl.errors import CicdError
from cicdctl.fixers.claude.reading import ToolError, check_readable, read_bytes
from cicdctl.fixers.sandboxed import open_shop
from cicdctl.git.folders import wait_for_tick
from cicdctl.model import Value
from cicdctl.model.fixing import FixRequest
from cicdctl.process import Exit, probe_sandbox
from cicdctl.project import Project
from cicdctl.runner.places import remove_scratch

LIMIT_S = 60.0
MOST_COMMAND = 4_000
MOST_COMMANDS = 40
HEAD_BYTES, TAIL_BYTES = 64_000, 192_000


class Ran(Value, frozen=True, kw_only=True):
    """What one command did. `changed` are text files of the checkout as it left them, `lost` those it took away."""

    words: str
    output: bytes
    changed: Mapping[str, bytes] = {}
    lost: tuple[str, ...] = ()


def why_no_shell() -> str | None:
    """Say why a model gets no shell on this machine; None when it does."""
    support = probe_sandbox()
    return None if support.bwrap else f'tools = "sandboxed-shell" needs bubblewrap, and {support.bwrap_problem}'


class Shell:
    """The commands of one attempt."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._used = 0

    def run(self, request: FixRequest, command: str) -> Ran:
        """Run a command line of `sh` on the files as they are; how it ends is an answer.

        Raises ToolError when it cannot be run.
        """
        if len(command) > MOST_COMMAND or "\0" in command or not command.strip():
            raise ToolError(f"a command has 1 to {MOST_COMMAND} characters, and no NUL")
        if self._used >= MOST_COMMANDS:
            raise ToolError(f"all {MOST_COMMANDS} commands are used")
        self._used += 1
        try:
            with self._folder() as folder:
                return self._run_in(folder, request, command)
        except CicdError as error:
            raise ToolError(f"it cannot be run: {error.message}") from error
        except OSError as error:
            raise ToolError(f"it cannot be run: {error.strerror}") from error

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        scratch = self._project.cache_folder / "scratch"
        scratch.mkdir(mode=0o700, exist_ok=True)
        folder = Path(mkdtemp(prefix="shell-", dir=scratch))
        try:
            yield folder
        finally:
            remove_scratch(folder)

    def _run_in(self, folder: Path, request: FixRequest, command: str) -> Ran:
        copy = folder / "checkout"
        copied = copy_checkout(request.worktree, copy)
        wait_for_tick(folder, max((facts[-1] for facts in copied.values()), default=0))
        output = _Output()
        with open_shop(
            self._project,
            copy,
            network=False,
            deadline=request.deadline,
            cancelled=request.cancelled,
            is_strict=True,
        ) as shop:
            ended = shop.attempt(command, limit_s=LIMIT_S, take=output.take)
        # No host path for whoever reads it.
        said = output.text().replace(os.fsencode(copy) + b"/", b"").replace(os.fsencode(copy), b".")
        changed: dict[str, bytes] = {}
        lost: list[str] = []
        for path, facts in copied.items():
            if _facts(copy, path) == facts:
                continue
            try:
                content = read_bytes(copy, path)
                if content != read_bytes(request.worktree, path):
                    changed[path] = content
            except ToolError:
                lost.append(path)
        return Ran(words=_words(ended), output=said, changed=changed, lost=tuple(lost))


def copy_checkout(worktree: Path, copy: Path) -> dict[str, tuple[int, ...]]:
    """Copy a checkout without git's folder and what may hold secrets; return facts of each regular file in the copy.

    Links are copied as links. Raises OSError.
    """
    found: dict[str, tuple[int, ...]] = {}
    copy.mkdir(mode=0o700)
    todo = [""]
    while todo:
        prefix = todo.pop()
        with os.scandir(worktree / prefix) as rows:
            for row in rows:
                path = f"{prefix}{row.name}"
                try:
                    check_readable(path)
                except ToolError:
                    continue
                if row.is_dir(follow_symlinks=False):
                    (copy / path).mkdir(mode=0o755)
                    todo.append(f"{path}/")
                elif row.is_symlink():
                    (copy / path).symlink_to(os.readlink(row.path))  # noqa: PTH115 - its text
                elif row.is_file(follow_symlinks=False):
                    shutil.copyfile(row.path, copy / path, follow_symlinks=False)
                    (copy / path).chmod(stat.S_IMODE(row.stat(follow_symlinks=False).st_mode) & 0o755 | 0o600)
                    found[path] = _facts(copy, path) or ()
    return found


def _facts(copy: Path, path: str) -> tuple[int, ...] | None:
    """What no command can keep while it changes a file: the last is the time at which it was last touched."""
    try:
        facts = (copy / path).lstat()
    except OSError:
        return None
    return facts.st_mode, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _words(ended: Exit) -> str:
    if ended.reason == "timed_out":
        return f"ended after {ended.seconds:.0f} s: it took too long (at most {LIMIT_S:.0f} s)"
    if ended.reason != "exited":
        return f"ended: {ended.detail or ended.reason}"
    how = f"signal {ended.signal}" if ended.exit_code is None else f"exit status {ended.exit_code}"
    left = f"; it left {ended.leftovers} processes, which are ended" if ended.leftovers else ""
    return f"{how} after {ended.seconds:.1f} s{left}"


class _Output:
    """Keeps the beginning and the end of what a command writes."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def take(self, chunk: bytes) -> None:
        room = HEAD_BYTES - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:] if room > 0 else chunk
        extra = len(self._tail) - TAIL_BYTES
        if extra > 0:
            del self._tail[:extra]
            self._dropped += extra

    def text(self) -> bytes:
        gap = f"\n[… {self._dropped} bytes left out …]\n".encode() if self._dropped else b""
        return bytes(self._head) + gap + bytes(self._tail)
