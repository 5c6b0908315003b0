"""The report for a terminal: finished stages scroll up, running ones stay at the bottom with their clocks."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cicdctl.model import Plan, Run, RunSummary, StageResult
from cicdctl.plugin_api import hookimpl
from cicdctl.reports import lines
from cicdctl.reports.plain import failure_block
from cicdctl.reports.text import quoted
from cicdctl.units import format_duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

SHOWN_STAGES = 8


class LiveReport:
    """Draws with rich on stdout; `close` gives the terminal back. Hooks come from many threads; a lock orders them."""

    def __init__(self, state_folder: Path, *, color: bool | None = None) -> None:
        self._state_folder = state_folder
        self._color = color
        self._lock = threading.Lock()
        self._running: dict[str, tuple[float, int]] = {}
        self._total = self._done = self._width = 0
        self._live: Live | None = None
        self._console_made: Console | None = None

    @hookimpl
    def cicdctl_run_started(self, run: Run, plan: Plan) -> None:
        # rich takes 50 ms to import, which a piped or cached run never pays.
        from rich.live import Live

        self._total, self._done = len(plan.stages), 0
        self._width = lines.name_width(planned.id for planned in plan.stages)
        self._console.print(lines.run_title(run), style="bold", markup=False, highlight=False)
        # Given itself, not a drawing: else what was drawn before is shown below each line that is printed.
        self._live = Live(self, console=self._console, refresh_per_second=8, transient=True)
        self._live.start()

    @hookimpl
    def cicdctl_stage_started(self, run: Run, stage: str, attempt: int) -> None:
        with self._lock:
            since, _ = self._running.get(stage, (time.monotonic(), 0))
            self._running[stage] = (since, attempt)

    @hookimpl
    def cicdctl_stage_finished(self, run: Run, result: StageResult) -> None:
        from rich.text import Text

        with self._lock:
            self._running.pop(result.stage, None)
            self._done += 1
        name, style = lines.word(result), lines.style_of(result)
        self._console.print(
            Text.assemble(
                (f" {lines.MARKS[name]} ", style),
                f"{quoted(result.stage):<{self._width}}  ",
                (f"{name:<9}", style),
                f"  {lines.stage_note(result)}",
            ),
            soft_wrap=True,
        )

    @hookimpl
    def cicdctl_run_finished(self, summary: RunSummary) -> None:
        self.close()
        for text in failure_block(summary, self._state_folder, keep_colors=self._console.color_system is not None):
            self._console.out(text, highlight=False)
        style = f"bold {lines.run_style(summary.run)}"
        self._console.print(lines.run_end(summary), style=style, markup=False, highlight=False, soft_wrap=True)

    @hookimpl
    def cicdctl_warning(self, text: str) -> None:
        self._console.print(
            f"warning: {quoted(text, limit=1000)}", style="yellow", markup=False, highlight=False, soft_wrap=True
        )

    def close(self) -> None:
        """Wipe the drawing and give cursor, stdout and stderr back; calling it again does nothing."""
        if self._live is not None:
            self._live.stop()

    @property
    def _console(self) -> Console:
        if self._console_made is None:
            from rich.console import Console

            self._console_made = Console(no_color=self._color is False, force_terminal=self._color or None)
        return self._console_made

    def __rich__(self) -> Text:
        """Draw the stages that run, with their clocks, and how many are done and wait."""
        from rich.text import Text

        with self._lock:
            running, done = list(self._running.items()), self._done
        now = time.monotonic()
        drawn = Text()
        for stage, (since, attempt) in running[:SHOWN_STAGES]:
            drawn.append(" ● ", "yellow")
            again = f"  attempt {attempt}" if attempt > 1 else ""
            drawn.append(f"{quoted(stage):<{self._width}}  {format_duration(now - since)}{again}\n")
        waiting = self._total - done - len(running)
        counts = [f"{done}/{self._total} stages"]
        counts += [f"{len(running) - SHOWN_STAGES} more running"] * (len(running) > SHOWN_STAGES)
        counts += [f"{waiting} waiting"] * (waiting > 0)
        drawn.append("   " + ", ".join(counts), "bright_black")
        return drawn
