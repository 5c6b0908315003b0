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
from cicdctl.units import format_duration

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

SHOWN_STAGES = 8


class LiveReport:
    """Draws with rich on stdout. Hooks come from the runner's threads; a lock orders them."""

    def __init__(self, state_folder: Path, *, color: bool | None = None) -> None:
        self._state_folder = state_folder
        self._color = color
        self._lock = threading.Lock()
        self._running: dict[str, float] = {}
        self._total = self._done = self._width = 0
        self._live: Live | None = None
        self._console_made: Console | None = None

    @hookimpl
    def cicdctl_run_started(self, run: Run, plan: Plan) -> None:
        # rich takes 50 ms to import, which a piped or cached run never pays.
        from rich.live import Live

        self._total, self._done = len(plan.stages), 0
        self._width = max((len(planned.id) for planned in plan.stages), default=0)
        self._console.print(lines.run_title(run), style="bold", markup=False, highlight=False)
        self._live = Live(get_renderable=self._draw, console=self._console, refresh_per_second=8, transient=True)
        self._live.start()

    @hookimpl
    def cicdctl_stage_started(self, run: Run, stage: str, attempt: int) -> None:
        with self._lock:
            self._running.setdefault(stage, time.monotonic())

    @hookimpl
    def cicdctl_stage_finished(self, run: Run, result: StageResult) -> None:
        from rich.text import Text

        with self._lock:
            self._running.pop(result.stage, None)
            self._done += 1
        name = lines.word(result)
        style = lines.STYLES[name]
        self._console.print(
            Text.assemble(
                (f" {lines.MARKS[name]} ", style),
                f"{result.stage:<{self._width}}  ",
                (f"{name:<9}", style),
                f"  {lines.stage_note(result)}",
            ),
            soft_wrap=True,
        )

    @hookimpl
    def cicdctl_run_finished(self, summary: RunSummary) -> None:
        if self._live is not None:
            self._live.stop()
        for text in failure_block(summary, self._state_folder, keep_colors=self._console.color_system is not None):
            self._console.out(text, highlight=False)
        verdict = summary.run.verdict.value if summary.run.verdict else "failed"
        style = f"bold {lines.STYLES[verdict]}"
        self._console.print(lines.run_end(summary), style=style, markup=False, highlight=False, soft_wrap=True)

    @hookimpl
    def cicdctl_warning(self, text: str) -> None:
        self._console.print(f"warning: {text}", style="yellow", markup=False, highlight=False, soft_wrap=True)

    @property
    def _console(self) -> Console:
        if self._console_made is None:
            from rich.console import Console

            self._console_made = Console(no_color=self._color is False, force_terminal=self._color or None)
        return self._console_made

    def _draw(self) -> RenderableType:
        from rich.text import Text

        with self._lock:
            running = list(self._running.items())
        now = time.monotonic()
        drawn = Text()
        for stage, since in running[:SHOWN_STAGES]:
            drawn.append(" ● ", "yellow")
            drawn.append(f"{stage:<{self._width}}  {format_duration(now - since)}\n")
        more = f", {len(running) - SHOWN_STAGES} more running" if len(running) > SHOWN_STAGES else ""
        drawn.append(f"   {self._done}/{self._total} stages{more}", "bright_black")
        return drawn
