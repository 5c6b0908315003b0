"""The report for pipes, files and logs: one whole line per fact, in the order in which it happened."""

from __future__ import annotations

import sys
from pathlib import Path

from cicdctl.model import Plan, Run, RunSummary, StageResult
from cicdctl.plugin_api import hookimpl
from cicdctl.reports import lines
from cicdctl.reports.output import Voice, say_aside
from cicdctl.reports.text import clean_line, painted, quoted

TAIL_LINES = 20


class WarningReport:
    """Tells warnings on stderr and nothing else."""

    @hookimpl
    def cicdctl_warning(self, text: str) -> None:
        say_aside(f"warning: {quoted(text, limit=1000)}")


class PlainReport(WarningReport):
    """Writes to stdout as stages end. `state_folder` is where the logs are, for the tail of a failure."""

    def __init__(self, state_folder: Path, *, color: bool = False, quiet: bool = False) -> None:
        self._state_folder = state_folder
        self._color = color
        self._quiet = quiet
        self._voice = Voice(sys.stdout)
        self._width = 0

    @hookimpl
    def cicdctl_run_started(self, run: Run, plan: Plan) -> None:
        self._width = lines.name_width(planned.id for planned in plan.stages)
        if not self._quiet:
            self._voice.say(self._paint(lines.run_title(run), "bold"))

    @hookimpl
    def cicdctl_stage_finished(self, run: Run, result: StageResult) -> None:
        if not self._quiet:
            self._voice.say("  " + lines.stage_line(result, width=self._width, paint=self._paint))

    @hookimpl
    def cicdctl_run_finished(self, summary: RunSummary) -> None:
        for text in failure_block(summary, self._state_folder, keep_colors=self._color):
            self._voice.say(text)
        self._voice.say(self._paint(lines.run_end(summary), lines.run_style(summary.run)))

    def close(self) -> None:
        """Raise BrokenPipeError when the reader went away before the end."""
        self._voice.close()

    def _paint(self, text: str, style: str) -> str:
        return painted(text, style) if self._color else text


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
