"""A diagnostic that is still being read, and what all matchers share."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cicdctl.model.fixing import Diagnostic, DiagnosticKind, Frame

MOST_MESSAGE = 500
MOST_FRAMES = 12
MOST_BLOCK_LINES = 400  # of one complaint

Lines = Sequence[str]

# Code that came with a tool or a package: nobody repairs a failure there.
_LIBRARY = re.compile(
    r"site-packages/|dist-packages/|node_modules/|/lib/python\d|^node:|^<|/go[\d.-]*/src/|/rustc/|/\.cargo/registry/"
    r"|^(?:java|jdk|javax|sun|kotlin|scala|groovy)[./]|^org/(?:junit|gradle|apache/maven)|/importlib/"
)


class Draft:
    """Gathers what following lines say of one complaint; lines count from 1.

    `frames` lead inwards: the last is where it happened. `is_weak`: it says that something failed, not what; it
    counts only where nothing better is found. `is_readable`: its lines tell people something, as JSON does not.
    """

    def __init__(
        self,
        tool: str,
        kind: DiagnosticKind,
        message: str,
        start: int,
        *,
        end: int | None = None,
        file: str | None = None,
        line: str | int | None = None,
        column: str | int | None = None,
        code: str | None = None,
        test_id: str | None = None,
        is_weak: bool = False,
    ) -> None:
        self.tool = tool
        self.kind: DiagnosticKind = kind
        self.message = message.strip()
        self.start = start
        self.end = start if end is None else end
        self.file: str | None = None
        self.line: int | None = None
        self.column: int | None = None
        self.code = code or None
        self.test_id = test_id
        self.is_weak = is_weak
        self.is_readable = True
        self.frames: list[Frame] = []
        if file is not None:
            self.place(file, line, column)

    def place(self, file: str, line: str | int | None = None, column: str | int | None = None) -> None:
        """Say where it is."""
        self.file = file.removeprefix("file://").removeprefix("./")
        self.line = positive(line)
        self.column = positive(column)

    def place_by_frames(self) -> None:
        """It is where the innermost frame is that belongs to no library; without one, the innermost of all."""
        own = [frame for frame in self.frames if not is_library(frame.file)] or self.frames
        if own:
            self.place(own[-1].file, own[-1].line)

    def done(self) -> Diagnostic:
        """Return it as a value."""
        return Diagnostic(
            tool=self.tool,
            kind=self.kind,
            message=self.message[:MOST_MESSAGE],
            file=self.file,
            line=self.line,
            column=self.column,
            code=self.code,
            test_id=self.test_id,
            log_span=(self.start, max(self.start, self.end)) if self.is_readable else None,
            frames=few_frames(self.frames),
        )


def positive(text: str | int | None) -> int | None:
    """Read a line or column; None for what is none."""
    if text is None or len(str(text)) > 9:
        return None
    return max(int(text), 0) or None


def is_library(file: str) -> bool:
    """Whether a file of a stack trace belongs to a tool or a package."""
    return _LIBRARY.search(file) is not None


def few_frames(frames: Sequence[Frame]) -> tuple[Frame, ...]:
    """Keep the own frames, and of the libraries' the outermost and the innermost; at most MOST_FRAMES."""
    libraries = [at for at, frame in enumerate(frames) if is_library(frame.file)]
    wanted = [frame for at, frame in enumerate(frames) if at not in libraries or at in (libraries[0], libraries[-1])]
    if len(wanted) > MOST_FRAMES:  # of a recursion, both ends
        wanted = [*wanted[: MOST_FRAMES // 3], *wanted[-(MOST_FRAMES - MOST_FRAMES // 3) :]]
    return tuple(wanted)


def block_end(lines: Lines, start: int, is_end: re.Pattern[str], *, most: int = MOST_BLOCK_LINES) -> int:
    """Return the index of the first line from `start` on that `is_end` matches, at most `most` further."""
    last = min(len(lines), start + most)
    for at in range(start, last):
        if is_end.match(lines[at]):
            return at
    return last


def last_text(lines: Lines, start: int, end: int) -> int:
    """Return the number, from 1, of the last line before index `end` that is not empty; at least `start` + 1."""
    while end > start + 1 and not lines[end - 1].strip():
        end -= 1
    return end
