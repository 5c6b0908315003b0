"""Follows the logs of a run that goes on: every attempt of every stage, as they grow, to their last byte."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from cicdctl.errors import StoreError
from cicdctl.model import RunSummary, StageResult, Value
from cicdctl.project import Project
from cicdctl.reports import lines
from cicdctl.reports.log_lines import LogView, read_chunks, show_line
from cicdctl.reports.output import say_aside
from cicdctl.reports.text import LineSplitter, quoted
from cicdctl.runner.places import log_path
from cicdctl.runner.recovery import recover_and_tell
from cicdctl.runner.selection import open_log

POLL_S = 0.1
RECOVER_EVERY_S = 1.0
TAIL_BLOCK_BYTES = 1 << 16


class Try(Value, frozen=True, kw_only=True):
    """An attempt at one look. `has_ended`: its log grows no more; `number` 0 is the log of a cached result."""

    stage: str
    number: int
    path: Path
    has_ended: bool


def follow_run(project: Project, number: int, stage: str, view: LogView) -> int:
    """Print what comes, of one stage or of all, until it has ended; say on stderr how. Returns exit status 0.

    A run whose runner dies meanwhile is closed here, so that the wait ends.
    """
    logs: dict[Path, _GrowingLog] = {}
    recover_at = time.monotonic() + RECOVER_EVERY_S
    is_first = True
    load: Callable[[], RunSummary | None] = partial(project.state.load, number)
    if not project.is_here:
        from cicdctl.remote.waiting import load_there

        load = partial(load_there, project, number)  # which is patient with a server that is started anew
    while True:
        # The state is read before the logs: what has ended in it, has ended in them.
        summary = load()
        if summary is None:
            raise StoreError(f"run #{number} is gone", hint="cicdctl history lists them")
        for one in _list_tries(project, summary, stage, view):
            if one.path not in logs:
                prefix = "" if stage else f"{quoted(one.stage)} | "
                logs[one.path] = _GrowingLog(one.path, view, prefix, tail=view.tail if is_first else None)
                if one.number > 1:
                    say_aside(f"{quoted(one.stage)}: attempt {one.number}")
            logs[one.path].show_more(has_ended=one.has_ended)
        sys.stdout.flush()
        result = next((result for result in summary.stages if result.stage == stage), None)
        if summary.run.verdict is not None or result is not None:
            tell_end(summary, result, quiet=project.invocation.verbosity < 0)
            return 0
        is_first = False
        time.sleep(POLL_S)
        if time.monotonic() >= recover_at:
            recover_and_tell(project)
            recover_at = time.monotonic() + RECOVER_EVERY_S


def _list_tries(project: Project, summary: RunSummary, stage: str, view: LogView) -> Iterator[Try]:
    """Yield the attempts that are known: those of ended stages, the open ones, and those before an open one."""
    number, folder = summary.run.number, project.state_folder
    for result in summary.stages:
        if stage in ("", result.stage):
            if result.cached and stage and result.log is not None:
                yield Try(stage=stage, number=0, path=open_log(project, result), has_ended=True)
            for attempt in result.attempts:
                if attempt.log is not None and view.attempt in (None, attempt.number):
                    path = folder / attempt.log
                    yield Try(stage=result.stage, number=attempt.number, path=path, has_ended=True)
    for opened in project.state.open_attempts(number):
        if opened.log is not None and stage in ("", opened.stage):
            for before in range(1, opened.number + 1):
                if view.attempt in (None, before):
                    path = folder / (opened.log if before == opened.number else log_path(number, opened.stage, before))
                    yield Try(stage=opened.stage, number=before, path=path, has_ended=before < opened.number)


def tell_end(summary: RunSummary, result: StageResult | None, *, quiet: bool) -> None:
    """Say on stderr how the stage, or the whole run, ended."""
    if not quiet:
        say_aside(lines.run_end(summary) if result is None else lines.stage_line(result, width=0))


class _GrowingLog:
    """One log, shown from where it was left off; `tail` begins so many lines before its present end."""

    def __init__(self, path: Path, view: LogView, prefix: str, *, tail: int | None) -> None:
        self._path = path
        self._view = view
        self._prefix = prefix
        self._splitter = LineSplitter()
        self._offset = 0 if tail is None else _find_tail(path, tail)
        self._has_ended = False

    def show_more(self, *, has_ended: bool) -> None:
        """Print all lines that are whole; at the end of the attempt the last one without a newline, too."""
        if self._has_ended or not self._path.exists():
            return
        for chunk in read_chunks(self._path, self._offset):
            self._offset += len(chunk)
            self._show(self._splitter.feed(chunk))
        if has_ended:
            rest = self._splitter.rest()
            self._show([rest] if rest else [])
            self._has_ended = True

    def _show(self, found: list[bytes]) -> None:
        for line in found:
            if self._view.wants(line):
                show_line(line, self._view, prefix=self._prefix)


def _find_tail(path: Path, count: int) -> int:
    """Return the offset at which the last `count` lines begin."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            found = 0
            while end > 0:
                start = max(0, end - TAIL_BLOCK_BYTES)
                file.seek(start)
                block = file.read(end - start)
                at = len(block)
                while (at := block.rfind(b"\n", 0, at)) >= 0:
                    found += 1
                    if found > count:
                        return start + at + 1
                end = start
            return 0
    except FileNotFoundError:
        return 0
