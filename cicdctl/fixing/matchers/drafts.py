"""A diagnostic that is still being read."""

from __future__ import annotations

from cicdctl.model.fixing import Diagnostic, DiagnosticKind, Frame

MOST_MESSAGE = 500
MOST_FRAMES = 12


class Draft:
    """Gathers what following lines say of one complaint; `start` counts from 1."""

    def __init__(self, tool: str, kind: DiagnosticKind, message: str, start: int, **facts: str | int | None) -> None:
        self.tool = tool
        self.kind: DiagnosticKind = kind
        self.message = message.strip()
        self.start = self.end = start
        self.file: str | None = None
        self.line: int | None = None
        self.column: int | None = None
        self.code: str | None = None
        self.test_id: str | None = None
        self.frames: list[Frame] = []
        for name, value in facts.items():
            setattr(self, name, value)

    def place(self, file: str, line: str | int | None, column: str | int | None = None) -> None:
        """Say where it is."""
        self.file = file.removeprefix("./")
        self.line = int(line) if line is not None and int(line) > 0 else None
        self.column = int(column) if column is not None else None

    def done(self) -> Diagnostic:
        """Return it as a value."""
        frames = self.frames if len(self.frames) <= MOST_FRAMES else [*self.frames[:4], *self.frames[4 - MOST_FRAMES :]]
        return Diagnostic(
            tool=self.tool,
            kind=self.kind,
            message=self.message[:MOST_MESSAGE],
            file=self.file,
            line=self.line,
            column=self.column,
            code=self.code,
            test_id=self.test_id,
            log_span=(self.start, max(self.start, self.end)),
            frames=tuple(frames),
        )
