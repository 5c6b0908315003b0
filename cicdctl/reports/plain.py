"""The report for pipes, files and logs: one whole line per fact, in the order in which it happened."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TextIO

from cicdctl.model import Plan, Run, RunSummary, StageResult
from cicdctl.plugin_api import hookimpl
from cicdctl.reports import lines
from cicdctl.reports.text import clean_line, quoted

TAIL_LINES = 20


class WarningReport:
    """Tells warnings on stderr and nothing else."""

    @hookimpl
    def cicdctl_warning(self, text: str) -> None:
        print(f"warning: {quoted(text, limit=1000)}", file=sys.stderr)


class PlainReport(WarningReport):
    """Writes to `stream` as stages end. `state_folder` is where the logs are, for the tail of a failure."""

    def __init__(self, state_folder: Path, *, stream: TextIO | None = None, quiet: bool = False) -> None:
        self._state_folder = state_folder
        self._stream = sys.stdout if stream is None else stream
        self._quiet = quiet
        self._width = 0

    @hookimpl
    def cicdctl_run_started(self, run: Run, plan: Plan) -> None:
        self._width = max((len(planned.id) for planned in plan.stages), default=0)
        if not self._quiet:
            self._print(lines.run_title(run))

    @hookimpl
    def cicdctl_stage_finished(self, run: Run, result: StageResult) -> None:
        if not self._quiet:
            self._print("  " + lines.stage_line(result, width=self._width))

    @hookimpl
    def cicdctl_run_finished(self, summary: RunSummary) -> None:
        for text in failure_block(summary, self._state_folder):
            self._print(text)
        self._print(lines.run_end(summary))

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


def failure_block(summary: RunSummary, state_folder: Path, *, keep_colors: bool = False) -> list[str]:
    """The blocks of the first five stages that broke the run, with the tails of their logs."""
    blocks: list[str] = []
    for result in lines.broke(summary.stages)[:5]:
        log = result.attempts[-1].log if result.attempts else None
        path = state_folder / log if log else None
        tail = [clean_line(raw, keep_colors=keep_colors) for raw in _tail(path)] if path else []
        blocks += lines.failure_lines(result, summary.run, tail=tail, log=str(path or ""))
    return [*blocks, ""] if blocks else []


def _tail(path: Path) -> list[bytes]:
    from cicdctl.store import LogReader

    if not path.exists():
        return []
    return LogReader(path).tail(TAIL_LINES)
