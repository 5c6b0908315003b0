"""Shows logs: whole, the tail, matching lines, or as they grow."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from cicdctl.errors import StoreError
from cicdctl.model import RunState, Value
from cicdctl.project import Project
from cicdctl.reports.output import print_document
from cicdctl.reports.text import clean_line, quoted
from cicdctl.runner.selection import find_run, find_stage, open_log

CHUNK_BYTES = 1 << 16
FOLLOW_POLL_S = 0.1


class LogView(Value, frozen=True, kw_only=True):
    """What of a log is wanted, and how."""

    follow: bool = False
    tail: int | None = None
    grep: str | None = None
    attempt: int | None = None
    raw: bool = False
    path: bool = False
    json: bool = False


def print_log(project: Project, run: str, stage: str, view: LogView) -> int:
    """Print a log. Returns exit status 0. Raises UsageError or StoreError when there is none."""
    summary = find_run(project, run)
    if view.follow and summary.run.verdict is None:
        return _follow(project, summary.run.number, stage, view)
    result = find_stage(summary, stage)
    path = open_log(project, result, view.attempt)
    if view.path:
        print(path)
    elif view.json:
        lines = [clean_line(line) for line in _lines(path, view)]
        print_document("log", {"run": summary.run.number, "stage": result.stage, "path": str(path), "lines": lines})
    elif view.raw and view.tail is None and view.grep is None:
        _copy(path)
    else:
        for line in _lines(path, view):
            _show(line, view)
    return 0


def _lines(path: Path, view: LogView) -> Iterator[bytes]:
    from cicdctl.store import LogReader

    found = _whole_lines(path) if view.tail is None else iter(LogReader(path).tail(view.tail))
    needle = None if view.grep is None else view.grep.encode()
    return (line for line in found if needle is None or needle in line)


def _whole_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        rest = b""
        while chunk := file.read(CHUNK_BYTES):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
            if len(rest) > 16 * CHUNK_BYTES:
                yield rest
                rest = b""
        if rest:
            yield rest


def _show(line: bytes, view: LogView) -> None:
    if view.raw:
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()
    else:
        print(clean_line(line, keep_colors=sys.stdout.isatty()))


def _copy(path: Path) -> None:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


def _follow(project: Project, number: int, stage: str, view: LogView) -> int:
    """Print what comes, of one stage or of all in turn, until the run has ended."""
    shown: dict[str, int] = {}
    while True:
        summary = project.state.load(number)
        if summary is None:
            raise StoreError(f"run #{number} is gone")
        paths = {}
        for opened in project.state.open_attempts(number):
            if opened.log and stage in ("", opened.stage):
                paths[opened.log] = opened.stage
        for result in summary.stages:
            if result.log and not result.cached and stage in ("", result.stage):
                paths[result.log] = result.stage
        for log, name in paths.items():
            shown[log] = _print_from(
                project.state_folder / log, shown.get(log, 0), "" if stage else f"{quoted(name)} | ", view
            )
        ended = summary.run.state is RunState.DONE or (
            stage and any(result.stage == stage for result in summary.stages)
        )
        if ended:
            return 0
        time.sleep(FOLLOW_POLL_S)


def _print_from(path: Path, offset: int, prefix: str, view: LogView) -> int:
    """Print whole lines from an offset on; return the offset of the first that is not whole."""
    if not path.exists():
        return offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(1 << 22)
    end = data.rfind(b"\n") + 1
    for line in data[:end].split(b"\n")[:-1] if end else ():
        if view.grep is None or view.grep.encode() in line:
            sys.stdout.write(prefix)
            sys.stdout.flush()
            _show(line, view)
    sys.stdout.flush()
    return offset + end
