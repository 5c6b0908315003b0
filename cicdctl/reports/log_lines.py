"""What of a log is wanted, and its lines on their way to the screen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from cicdctl.errors import StoreError
from cicdctl.model import Value
from cicdctl.reports.text import LineSplitter, clean_line

CHUNK_BYTES = 1 << 16


class LogView(Value, frozen=True, kw_only=True):
    """What of a log is wanted, and how. `color`: what the stage coloured stays so."""

    follow: bool = False
    tail: int | None = None
    grep: str | None = None
    attempt: int | None = None
    raw: bool = False
    path: bool = False
    json: bool = False
    color: bool = False

    def wants(self, line: bytes) -> bool:
        """Whether a line holds what is looked for."""
        return self.grep is None or self.grep.encode("utf-8", "surrogateescape") in line


def read_lines(path: Path, view: LogView) -> Iterator[bytes]:
    """Yield the lines of a log that are wanted, without their newlines."""
    from cicdctl.store import LogReader

    found = _whole_lines(path) if view.tail is None else iter(LogReader(path).tail(view.tail))
    return (line for line in found if view.wants(line))


def show_line(line: bytes, view: LogView, *, prefix: str = "") -> None:
    """Print one line, cleaned unless the raw bytes are wanted."""
    if view.raw:
        sys.stdout.flush()
        sys.stdout.buffer.write(prefix.encode() + line + b"\n")
    else:
        print(prefix + clean_line(line, keep_colors=view.color))


def copy_log(path: Path) -> None:
    """Print every byte of a log as it is."""
    sys.stdout.flush()
    for chunk in read_chunks(path, 0):
        sys.stdout.buffer.write(chunk)


def read_chunks(path: Path, offset: int) -> Iterator[bytes]:
    """Yield what a log holds from an offset on. Raises StoreError when it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise StoreError(f'cannot read the log "{path}": {error.strerror}') from error


def _whole_lines(path: Path) -> Iterator[bytes]:
    splitter = LineSplitter()
    for chunk in read_chunks(path, 0):
        yield from splitter.feed(chunk)
    if rest := splitter.rest():
        yield rest
