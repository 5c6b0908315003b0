"""The log of one stage in a page: the lines that are shown without scripts, and what log.js begins with."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from msgspec.structs import replace

from cicdctl.errors import CicdError
from cicdctl.fixing.matchers import find_diagnostics
from cicdctl.model import RunSummary, Value
from cicdctl.project import Project
from cicdctl.reports.text import clean_line
from cicdctl.runner.stage_logs import StageLog, find_stage_log
from cicdctl.server.pages.ansi import Piece, pieces
from cicdctl.server.pages.stages import StageView
from cicdctl.server.pages.words import stamp
from cicdctl.store import LogReader, read_times
from cicdctl.store.log_times import LineTimes

WINDOW = 200
TAIL = 20
_MOST_CHARS = 2000  # of a line without scripts; a hostile log must not become a page of megabytes
_LOOKED_THROUGH = 4000
_MOST_BYTES = 4 * 2**20
_BEFORE_ERROR = 12


class LogLine(Value, frozen=True, kw_only=True):
    """A line with its number, from 1. `is_cut`: there is more of it. `came`: when, empty where nobody noted it."""

    number: int
    pieces: tuple[Piece, ...]
    is_cut: bool = False
    came: str = ""


class LogPart(Value, frozen=True, kw_only=True):
    """What of a log is shown. `total` lines in `size` bytes; `is_open`: the last one has no newline yet.

    `missing` says why there is none. `error` is the number of the line of the first error, 0 when none is known.
    """

    stage: StageView
    attempt: int = 0
    attempts: tuple[int, ...] = ()
    total: int = 0
    size: int = 0
    is_open: bool = False
    is_growing: bool = False
    lines: tuple[LogLine, ...] = ()
    error: int = 0
    missing: str = ""

    @property
    def is_newest(self) -> bool:
        """Whether it is that of the last attempt."""
        return not self.attempts or self.attempt == self.attempts[-1]

    @property
    def earlier(self) -> int:
        """The number of the line at which the lines before these begin; 0 when there are none."""
        return max(1, self.lines[0].number - WINDOW) if self.lines and self.lines[0].number > 1 else 0

    @property
    def later(self) -> int:
        """The number of the line that comes after these; 0 when there is none."""
        return self.lines[-1].number + 1 if self.lines and self.lines[-1].number < self.total else 0


def read_part(
    project: Project, summary: RunSummary, stage: StageView, *, attempt: int | None = None, from_line: int | None = None
) -> LogPart:
    """Return the part from a line on (counted from 1); by default where it failed first, else its end.

    An attempt that there is not is the newest.
    """
    log = _find(project, summary, stage, attempt)
    if log is None:
        return LogPart(stage=stage, missing="Its log is gone: it was older than what is kept.")
    is_waiting = summary.run.verdict is None and stage.result is None
    part = LogPart(
        stage=stage,
        attempt=log.attempt,
        attempts=tuple(range(1, log.attempts + 1)),
        is_growing=is_waiting and log.attempt == log.attempts,
    )
    if log.path is None or not log.path.exists():
        missing = "It has not started yet." if is_waiting else "It printed nothing."
        return replace(part, missing=missing if stage.result is None else "It has no log.")
    try:
        reader = LogReader(log.path)
        error = _first_error(reader, stage)
        first = from_line or (error - _BEFORE_ERROR if error else 0)
        # From 0 on; a negative one counts from the end.
        window = reader.look(max(0, first - 1) if first else -WINDOW, WINDOW)
        times = read_times(log.path, window.start, window.lines)
    except CicdError as fault:
        return replace(part, missing=f"Its log cannot be read: {fault.message}.")
    return replace(
        part,
        total=window.total,
        size=window.size,
        is_open=bool(window.lines) and not window.lines[-1].endswith(b"\n"),
        lines=tuple(
            _line(window.first + 1 + at, raw, _came(times, at) if times else "") for at, raw in enumerate(window.lines)
        ),
        error=error,
    )


def read_tail(project: Project, summary: RunSummary, stage: StageView) -> tuple[LogLine, ...]:
    """Return the last lines of the log of a stage; none when there is no log."""
    log = _find(project, summary, stage, None)
    if log is None or log.path is None or not log.path.exists():
        return ()
    try:
        window = LogReader(log.path).look(-TAIL, TAIL)
    except CicdError:
        return ()
    return tuple(_line(number, raw) for number, raw in enumerate(window.lines, window.first + 1))


def _find(project: Project, summary: RunSummary, stage: StageView, attempt: int | None) -> StageLog | None:
    for wanted in (attempt, None):
        with suppress(CicdError):
            return find_stage_log(project, summary, stage.id, wanted)
    return None


def _first_error(reader: LogReader, stage: StageView) -> int:
    if stage.result is None or stage.result.verdict.is_green:
        return 0
    return first_error(reader.path, reader.size)


@lru_cache(maxsize=64)
def first_error(path: Path, size: int) -> int:
    """Return the line that the first complaint of a tool begins in, among the last ones of a log of this size; 0: none.

    Lines count from 1.
    """
    reader = LogReader(path)
    window = reader.look(-_LOOKED_THROUGH, _LOOKED_THROUGH, most_bytes=_MOST_BYTES)
    lines = [clean_line(raw)[:_MOST_CHARS] for raw in window.lines]
    spans = [one.log_span for one in find_diagnostics(lines).diagnostics if one.log_span is not None]
    return window.first + min(spans)[0] if spans else 0


def _line(number: int, raw: bytes, came: str = "") -> LogLine:
    text = clean_line(raw, keep_colors=True)
    shown = tuple(pieces(text[:_MOST_CHARS]))
    return LogLine(number=number, pieces=shown, is_cut=len(text) > _MOST_CHARS, came=came)


def _came(times: LineTimes, at: int) -> str:
    since_s = times.since_s[at]
    return f"{stamp(times.opened_at + since_s)}, after {since(since_s)}"


def since(seconds: float) -> str:
    """Say when a line came, counted from the start of its log, as static/times.js does: `0:02.3`, `1:00:02.3`."""
    tenths = int(seconds * 10 + 1e-6)
    hours, minutes, rest = tenths // 36000, tenths // 600 % 60, f"{tenths // 10 % 60:02}.{tenths % 10}"
    return f"{hours}:{minutes:02}:{rest}" if hours else f"{minutes}:{rest}"
