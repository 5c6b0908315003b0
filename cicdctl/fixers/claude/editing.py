"""Edits files of the worktree: one exact replacement or one new file, with every other byte as it was."""

from __future__ import annotations

import ast
import difflib
import os
import secrets
import warnings
from collections.abc import Callable
from pathlib import Path

import msgspec

from cicdctl.fixers.claude.reading import ToolError, lines_of, read_bytes
from cicdctl.model.fixing import EditRefused

MOST_CHARS = 200_000
_MARK = "[REDACTED:"


class Refused(ToolError):
    """An edit of a protected file; a handful of them ends the attempt."""


class Edits:
    """What was changed, and how it was before. `allow(path)` raises EditRefused; `hide` takes out secrets.

    Files are hidden as a whole before some of their lines are shown: half a private key looks like nothing.
    """

    def __init__(self, worktree: Path, allow: Callable[[str], None], hide: Callable[[str], str]) -> None:
        self._worktree = worktree
        self._allow = allow
        self._hide = hide
        self._before: dict[str, bytes | None] = {}
        self.count = 0

    def replace(self, path: str, old: str, new: str) -> str:
        """Replace the only place where `old` stands; return the lines around it. Raises ToolError."""
        self._check(path, old, new)
        data = read_bytes(self._worktree, path)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ToolError("it is not UTF-8 text; it cannot be edited") from error
        if "\r\n" in text and "\r\n" not in old:
            # Models write plain line ends; the file keeps its own.
            old, new = old.replace("\n", "\r\n"), new.replace("\r\n", "\n").replace("\n", "\r\n")
        if old == new:
            raise ToolError("old_str and new_str are the same")
        count = text.count(old)
        if count != 1:
            raise ToolError(_not_one(self._hide(text), old, count))
        at = text.index(old)
        changed = text[:at] + new + text[at + len(old) :]
        _check_syntax(path, text, changed)
        self._write(path, data, changed.encode("utf-8"))
        line = self._hide(text[:at]).count("\n") + 1
        return _around(self._hide(changed), line, new.count("\n") + 1)

    def create(self, path: str, content: str) -> str:
        """Write a new file. Raises ToolError."""
        self._check(path, "", content)
        if os.path.lexists(self._worktree / path):
            raise ToolError("it exists; use str_replace")
        _check_syntax(path, "", content)
        self._write(path, None, content.encode("utf-8"))
        return f"created, {len(lines_of(content))} lines"

    def take_over(self, path: str, data: bytes) -> None:
        """Replace a file by what a command made of it. Raises ToolError."""
        before = read_bytes(self._worktree, path)
        try:
            old, new = before.decode("utf-8"), data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ToolError("it is not UTF-8 text") from error
        if "\0" in old:
            raise ToolError("it is no text")
        self._check(path, "", new)
        _check_syntax(path, old, new)
        self._write(path, before, data)

    def changed(self) -> tuple[str, ...]:
        """Return every path that was written."""
        return tuple(sorted(self._before))

    def restore(self) -> None:
        """Put everything back: whoever goes on starts from the same files."""
        for path, data in self._before.items():
            if data is None:
                (self._worktree / path).unlink(missing_ok=True)
            else:
                self._replace_file(path, data)
        self._before.clear()

    def _check(self, path: str, old: str, new: str) -> None:
        try:
            self._allow(path)
        except EditRefused as error:
            raise Refused(str(error)) from error
        if _MARK in old or _MARK in new:
            raise ToolError("text that stands for something hidden cannot be edited; choose another place")
        if "\0" in new:
            raise ToolError("a text file holds no NUL")
        if len(new) > MOST_CHARS:
            raise ToolError(f"at most {MOST_CHARS} characters at once")
        try:
            new.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ToolError("it holds half a character") from error

    def _write(self, path: str, before: bytes | None, data: bytes) -> None:
        try:
            (self._worktree / path).parent.mkdir(parents=True, exist_ok=True)
            # A folder of ours on the way may be new: look once more whether it is one.
            self._allow(path)
            self._replace_file(path, data)
        except EditRefused as error:
            raise Refused(str(error)) from error
        except OSError as error:
            raise ToolError(f"it cannot be written: {error.strerror}") from error
        self._before.setdefault(path, before)
        self.count += 1

    def _replace_file(self, path: str, data: bytes) -> None:
        """Write beside and rename: a hard link to a file elsewhere is cut, not written through."""
        target = self._worktree / path
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
        aside = target.with_name(f".{secrets.token_hex(6)}.part")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            aside.chmod(mode)
            aside.replace(target)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def _not_one(text: str, old: str, count: int) -> str:
    if count > 1:
        return f"old_str stands {count} times in it; take more lines around it"
    wanted = lines_of(old.strip())
    lines = lines_of(text)
    first = wanted[0] if wanted else ""
    near = difflib.get_close_matches(first, [line for line in lines if line.strip()], n=1, cutoff=0.5)
    if not near:
        return "old_str does not stand in it; view the file again"
    at = lines.index(near[0])
    shown = "\n".join(f"{number + 1:6}  {lines[number]}" for number in range(at, min(len(lines), at + len(wanted) + 2)))
    return f"old_str does not stand in it; the nearest is\n{shown}"


def _around(text: str, line: int, count: int) -> str:
    lines = lines_of(text)
    first, last = max(0, line - 4), min(len(lines), line + count + 3)
    return "\n".join(f"{number + 1:6}  {lines[number]}" for number in range(first, last))


def _check_syntax(path: str, before: str, after: str) -> None:
    """Raise ToolError when an edit breaks what could be read before; an older error does not block."""
    problem = _syntax_problem(path, after)
    if problem is not None and (not before or _syntax_problem(path, before) is None):
        raise ToolError(f"not written, it would break the syntax: {problem}")


def _syntax_problem(path: str, text: str) -> str | None:
    try:
        if path.endswith((".py", ".pyi")):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a doubtful escape is no error
                ast.parse(text.removeprefix("\ufeff"))
        elif path.endswith(".json"):
            msgspec.json.decode(text)
        elif path.endswith(".toml"):
            msgspec.toml.decode(text)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error)[:200] or type(error).__name__
    return None
