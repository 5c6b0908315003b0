"""The few small things commands print that are no run: numbers, lists, documents."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from cicdctl.model import Run
from cicdctl.reports.document import run_fields, versioned
from cicdctl.reports.text import quoted


class Voice:
    """Tells of a run as it goes. When the reader goes away the run goes on all the same, and `close` says so."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_alone = False

    def say(self, text: str) -> None:
        """Print a line at once."""
        try:
            if not self._is_alone:
                print(text, file=self._stream, flush=True)
        except BrokenPipeError:
            self._is_alone = True

    def close(self) -> None:
        """Raise BrokenPipeError when the reader has gone away."""
        if self._is_alone:
            raise BrokenPipeError


def say_aside(text: str) -> None:
    """Print a line to stderr; nothing else depends on whether somebody reads it."""
    Voice(sys.stderr).say(text)


def trace(line: str) -> None:
    """Print one hook call (`-vv`)."""
    say_aside(f"hook: {quoted(line)}")


def print_document(kind: str, body: Mapping[str, Any]) -> None:
    """Print one versioned JSON document."""
    print(versioned(kind, body))


def print_lines(lines: Iterable[str]) -> None:
    """Print lines that are ready for people."""
    for line in lines:
        print(line)


def print_table(rows: Sequence[Sequence[str]], *, header: Sequence[str] = ()) -> None:
    """Print columns, each as wide as its widest cell; the last one is not padded."""
    table = [*([header] if header else []), *rows]
    if not table:
        return
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_started(run: Run, *, json: bool) -> int:
    """Say which run was started in the background. Returns exit status 0."""
    if json:
        print_document("started", {"run": run_fields(run)})
    else:
        print(f"#{run.number}")
        print(f"{run.pipeline} runs in the background; cicdctl logs {run.number} -f follows it", file=sys.stderr)
    return 0
