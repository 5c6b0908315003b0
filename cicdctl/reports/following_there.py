"""Follows the log of a stage on a server over one stream, which is taken up again where it was cut."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import msgspec

from cicdctl.errors import StoreError
from cicdctl.model import RunSummary, StageResult
from cicdctl.project import Project
from cicdctl.remote.client import Unreachable
from cicdctl.remote.logs import log_address
from cicdctl.remote.project import RemoteProject
from cicdctl.remote.waiting import PATIENCE_S, POLL_S, load_there
from cicdctl.reports.following import tell_end
from cicdctl.reports.log_lines import LogView, show_line
from cicdctl.reports.output import say_aside
from cicdctl.reports.text import LineSplitter, quoted


class _Piece(msgspec.Struct, frozen=True):
    """What a stream says of a log: text up to byte `end`."""

    end: int
    text: str


def follow_log_there(project: Project, number: int, stage: str, view: LogView) -> int:
    """Print what comes of every attempt until the stage has ended; say on stderr how. Returns exit status 0.

    A server that is started anew meanwhile is waited for. Raises StoreError.
    """
    assert isinstance(project, RemoteProject)
    project.logs.wanted = None  # no copies: what is streamed is shown at once
    shown, tail = 0, view.tail
    while True:
        summary = load_there(project, number)
        result = next((one for one in summary.stages if one.stage == stage), None)
        for attempt in _attempts(project, summary, result, stage):
            if attempt is not None and attempt <= shown:
                continue
            if attempt is not None:
                shown = attempt
                if attempt > 1:
                    say_aside(f"{quoted(stage)}: attempt {attempt}")
            _Following(project, number, stage, attempt, view).show(tail)
        if summary.run.verdict is not None or result is not None:
            tell_end(summary, result, quiet=project.invocation.verbosity < 0)
            return 0
        tail = None
        time.sleep(POLL_S)


def _attempts(project: Project, summary: RunSummary, result: StageResult | None, stage: str) -> Iterator[int | None]:
    """Yield the attempts that have a log, in order; None is the log of a cached result."""
    if result is not None:
        if result.cached and result.log is not None:
            yield None
        yield from (one.number for one in result.attempts if one.log is not None)
    for opened in project.state.open_attempts(summary.run.number):
        if opened.stage == stage and opened.log is not None:
            yield from range(1, opened.number + 1)


class _Following:
    """One attempt's log, shown up to its end."""

    def __init__(self, project: RemoteProject, number: int, stage: str, attempt: int | None, view: LogView) -> None:
        self._client = project.client
        self._address = log_address(number, stage)
        self._attempt = attempt
        self._view = view
        self._splitter = LineSplitter()
        self._offset = 0

    def show(self, tail: int | None) -> None:
        """Print it as it grows; with `tail` from so many lines before its present end."""
        if tail is not None:
            self._begin_near_end(tail)
        heard_at = time.monotonic()
        while True:
            try:
                for _, kind, data in self._client.stream(f"{self._address}/stream", self._query(offset=self._offset)):
                    heard_at = time.monotonic()
                    if kind == "log":
                        self._take(data)
                    elif kind == "end":
                        rest = self._splitter.rest()
                        self._show([rest] if rest else [])
                        return
            except Unreachable:
                if time.monotonic() - heard_at > PATIENCE_S:
                    raise
            time.sleep(POLL_S)  # it was cut, or the server ends: once more from where we are

    def _begin_near_end(self, tail: int) -> None:
        window = self._client.get_lines(self._address, self._query(from_line=-tail, lines=tail))
        try:
            lines, self._offset = [str(line) for line in window["lines"]], int(window["size"])
            is_open = bool(window["open_line"])
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"the server tells what makes no sense here: {error}") from error
        text = "\n".join(lines) + ("" if is_open or not lines else "\n")
        self._show(self._splitter.feed(text.encode()))

    def _take(self, data: str) -> None:
        try:
            piece = msgspec.json.decode(data, type=_Piece)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise StoreError(f"the server tells what makes no sense here: {error}") from error
        self._offset = piece.end
        self._show(self._splitter.feed(piece.text.encode()))

    def _query(self, **more: int) -> dict[str, object]:
        return {"attempt": self._attempt, **more}

    def _show(self, lines: list[bytes]) -> None:
        for line in lines:
            show_line(line, self._view)
        sys.stdout.flush()
