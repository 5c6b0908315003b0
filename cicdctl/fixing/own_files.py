"""The files of the commit that failed: which of them a tool means, and what they hold around a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec.structs import replace

from cicdctl.fixing.paths import SECRETS
from cicdctl.git import compile_globs
from cicdctl.model.fixing import CodeWindow, Diagnostic

MOST_WINDOWS = 12
WINDOW_LINES = 20
MOST_WINDOW_CHARS = 16_000
MOST_FILE_BYTES = 400_000


class OwnFiles:
    """Paths of a tree, and their content by `read`, which gives None for what is no file."""

    def __init__(self, paths: Iterable[str], read: Callable[[str], bytes | None]) -> None:
        self.paths = frozenset(paths)
        self._read = read
        self._by_name: dict[str, list[str]] | None = None
        self._is_secret = compile_globs(SECRETS)

    def find(self, file: str) -> str | None:
        """Return the path that a tool means: it may name it in its worktree, in its module, or without its folder."""
        if file in self.paths:
            return file
        parts = file.split("/")
        for start in range(1, len(parts)):
            tail = "/".join(parts[start:])
            if tail in self.paths:
                return tail
        if self._by_name is None:
            self._by_name = {}
            for path in self.paths:
                self._by_name.setdefault(path.rpartition("/")[2], []).append(path)
        alike = [path for path in self._by_name.get(parts[-1], ()) if path.endswith(f"/{file}") or path == file]
        return alike[0] if len(alike) == 1 else None

    def place(self, diagnostic: Diagnostic) -> Diagnostic:
        """Name our own files as the tree does; others stay as they are."""
        frames = tuple(replace(frame, file=self.find(frame.file) or frame.file) for frame in diagnostic.frames)
        file = diagnostic.file and (self.find(diagnostic.file) or diagnostic.file)
        return replace(diagnostic, file=file, frames=frames)

    def windows(self, diagnostics: Sequence[Diagnostic], redact: Callable[[str], str]) -> Iterator[CodeWindow]:
        """Yield the code around what was complained about: of each trace the innermost own frames first.

        What may be a file of secrets is never shown.
        """
        left = MOST_WINDOW_CHARS
        shown: dict[str, list[tuple[int, int]]] = {}
        read: dict[str, list[str] | None] = {}
        for file, line in self._places(diagnostics):
            if sum(map(len, shown.values())) == MOST_WINDOWS or left <= 0:
                return
            if any(start <= line <= end for start, end in shown.get(file, ())):
                continue
            if file not in read:
                read[file] = self._lines(file, redact)
            lines = read[file]
            if lines is None or line > len(lines):
                continue
            start, end = max(1, line - WINDOW_LINES), min(len(lines), line + WINDOW_LINES)
            for first, last in shown.get(file, ()):  # no line twice
                if first <= start <= last:
                    start = last + 1
                if first <= end <= last:
                    end = first - 1
            text = "\n".join(lines[start - 1 : end])
            if len(text) > left:
                continue
            left -= len(text)
            shown.setdefault(file, []).append((start, end))
            yield CodeWindow(file=file, start=start, end=end, text=text)

    def _places(self, diagnostics: Sequence[Diagnostic]) -> Iterator[tuple[str, int]]:
        for one in diagnostics:
            if one.file in self.paths and one.file is not None:
                yield one.file, one.line or 1
        for one in diagnostics:
            yield from (
                (frame.file, frame.line) for frame in reversed(one.frames) if frame.file in self.paths and frame.line
            )

    def _lines(self, file: str, redact: Callable[[str], str]) -> list[str] | None:
        """Return the lines without secrets; hidden in the whole file, for the middle of a key looks like nothing."""
        if self._is_secret(file.encode("utf-8", "surrogateescape")):
            return None
        content = self._read(file)
        if content is None or len(content) > MOST_FILE_BYTES or b"\0" in content:
            return None
        text = content.decode("utf-8", "replace").removesuffix("\n")
        lines, hidden = text.split("\n"), redact(text).split("\n")
        if len(hidden) == len(lines):
            return hidden
        # A key of several lines has become one mark: the others keep their numbers.
        known = set(hidden)
        return [line if line in known else "[REDACTED:lines]" for line in lines]
